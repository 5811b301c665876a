"""``certificate``: certificates of destruction, our own and those of vendors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.certificates.certify import Certificate
    from orchestrator.actions.certificates.vendors import Imported

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def certificate() -> None:
    """List, show, verify, export and revoke certificates; take in those of vendors."""


@certificate.command("list")
@pass_invocation
def list_certificates(invocation: Invocation) -> None:
    """Show every certificate, ours by number and those of vendors."""
    from orchestrator.actions.certificates import certify, vendors

    site = invocation.open_site()
    ours = [_document(one) for one in certify.listing(site)]
    theirs = [_imported(one) for one in vendors.listing(site)]
    if invocation.as_json:
        render.show_json({"certificates": ours, "vendor_certificates": theirs})
        return
    render.table(
        ["number", "kind", "about", "state", "ledger entry", "reason"],
        [
            [one["number"], one["kind"], one["subject"], one["state"], one["entry"], one["reason"]]
            for one in ours
        ],
    )
    if theirs:
        _show_imported(theirs)


@certificate.command()
@click.argument("number")
@pass_invocation
def show(invocation: Invocation, number: str) -> None:
    """Show the record of certificate NUMBER."""
    from orchestrator.actions.certificates import certify

    found, record = certify.get(invocation.open_site(), number)
    if invocation.as_json:
        render.show_json({**_document(found), "record": record})
        return
    facts = [[name, value] for name, value in _document(found).items()]
    render.table(["certificate", ""], [*facts, *_flat("", record["act"])])


@certificate.command()
@click.argument("number")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="New file.")
@click.option("--record", "as_record", is_flag=True, help="The JSON record in place of the PDF.")
@pass_invocation
def export(invocation: Invocation, number: str, target: Path, *, as_record: bool) -> None:
    """Write the PDF of certificate NUMBER to a file, unchanged."""
    from orchestrator.actions.certificates import export as export_certificate

    made = export_certificate.export(invocation.open_site(), number, target, as_record=as_record)
    if invocation.as_json:
        render.show_json({"number": number, "file": target, "sha256": made})
        return
    render.say(f"certificate {number}: {target}, SHA-256 {made}")


@certificate.command()
@click.argument("file", type=_FILE)
@click.option(
    "--signer", type=_FILE, help="PEM certificate to be trusted.  [default: whom the ledger names]"
)
@pass_invocation
def verify(invocation: Invocation, file: Path, signer: Path | None) -> None:
    """Check a certificate's PDF: signature, attached record, proof, and the ledger.

    Exit status 4 if it is not valid or was revoked, 3 if something could not be checked.
    """
    from orchestrator.actions.certificates import verify as verify_certificate

    found = verify_certificate.verify(invocation.open_site(), file, signer=signer)
    checks = [{"name": one.name, "state": one.state, "detail": one.detail} for one in found.checks]
    if invocation.as_json:
        render.show_json(
            {
                "verdict": found.verdict,
                "number": found.number,
                "kind": found.kind,
                "checks": checks,
            }
        )
    else:
        render.table(
            ["check", "state", "found"],
            [[one["name"], one["state"], one["detail"]] for one in checks],
        )
        render.say(f"certificate {found.number or '–'}: {render.colour(found.verdict)}")
    if found.verdict in ("invalid", "revoked"):
        raise ExitWith(4)
    if found.verdict == "unknown":
        raise ExitWith(3)


@certificate.command()
@click.argument("number")
@click.option("--reason", required=True, help="Why, in at most 200 characters; no names.")
@pass_invocation
def revoke(invocation: Invocation, number: str, reason: str) -> None:
    """Take certificate NUMBER out of force; it stays on file and says so."""
    from orchestrator.actions.certificates import certify

    site = invocation.open_site()
    _show_one(invocation, certify.revoke(site, number, reason=reason))


@certificate.command()
@pass_invocation
def settle(invocation: Invocation) -> None:
    """Finish certificates whose issuing was cut short; other commands that issue do so too."""
    from orchestrator.actions.certificates import certify

    done = [_document(one) for one in certify.settle(invocation.open_site())]
    if invocation.as_json:
        render.show_json({"certificates": done})
        return
    render.say(f"{len(done)} certificates were brought to an end")


@certificate.command("import")
@click.argument("file", type=_FILE)
@click.option("--vendor", required=True, help="Name of the vendor's table in the site file.")
@click.option(
    "--serials", type=_FILE, required=True, help="Text file: the serial numbers, one a line."
)
@click.option(
    "--override", is_flag=True, help="Propose it although the vendor's agreement is wanting."
)
@pass_invocation
def import_(
    invocation: Invocation, file: Path, vendor: str, serials: Path, *, override: bool
) -> None:
    """Keep a vendor's certificate FILE and match its serial numbers with the media register."""
    from orchestrator.actions.certificates import vendors

    site = invocation.open_site()
    site.demand_role("compliance", "custodian")
    _show_import(
        invocation,
        vendors.import_certificate(site, file, vendor=vendor, serials=serials, override=override),
    )


@certificate.command()
@click.argument("certificate_id", metavar="ID")
@pass_invocation
def confirm(invocation: Invocation, certificate_id: str) -> None:
    """Let vendor's certificate ID pass, as a second person of compliance."""
    from orchestrator.actions.certificates import vendors

    _show_import(invocation, vendors.confirm(invocation.open_site(), certificate_id))


def _show_one(invocation: Invocation, found: Certificate) -> None:
    if invocation.as_json:
        render.show_json(_document(found))
    else:
        render.say(f"certificate {found.number} is {found.state}")


def _document(found: Certificate) -> dict[str, Any]:
    return {
        "number": found.number,
        "kind": found.kind,
        "subject": found.subject,
        "state": found.state,
        "record_sha256": found.record_sha256,
        "pdf_sha256": found.pdf_sha256,
        "entry": found.recorded_index,
        "issued_entry": found.issued_index,
        "reason": found.reason,
        "file": found.pdf,
    }


def _show_import(invocation: Invocation, found: Imported) -> None:
    if invocation.as_json:
        render.show_json(_imported(found))
    else:
        _show_imported([_imported(found)])
        if found.state == "proposed":
            command = f"orchestrator --as ACTOR certificate confirm {found.id}"
            render.note(f"next, by somebody else: {command}")


def _show_imported(rows: list[dict[str, Any]]) -> None:
    render.table(
        [
            "vendor's certificate",
            "vendor",
            "state",
            "matched",
            "never ours",
            "not certified",
            "but",
        ],
        [
            [
                row["id"],
                row["vendor"],
                row["state"],
                len(row["matched"]),
                ", ".join(row["never_ours"]) or "none",
                ", ".join(row["not_certified"]) or "none",
                "; ".join([*row["refusals"], *row["remarks"]]) or "–",
            ]
            for row in rows
        ],
    )


def _imported(found: Imported) -> dict[str, Any]:
    return {
        "id": found.id,
        "vendor": found.vendor,
        "state": found.state,
        "sha256": found.sha256,
        "refusals": found.refusals,
        "remarks": found.remarks,
        "proposed_by": found.proposed_by,
        "confirmed_by": found.confirmed_by,
        "matched": found.matched,
        "never_ours": found.never_ours,
        "not_certified": found.not_certified,
    }


def _flat(prefix: str, value: Any) -> list[list[str]]:
    if isinstance(value, dict):
        return [row for name, one in value.items() for row in _flat(f"{prefix}{name}.", one)]
    if isinstance(value, list) and len(value) > 20:
        return [[prefix.rstrip("."), f"{len(value)} values, see --json"]]
    if isinstance(value, list):
        return [row for at, one in enumerate(value, 1) for row in _flat(f"{prefix}{at}.", one)]
    return [[prefix.rstrip("."), render.cell(value)]]
