"""``sanitize``: emptying media so that it can be shown, and recording what others did."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import documents, render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.catalog.sanitization_tables import Sanitization

_LEVEL = click.Choice(["clear", "purge", "destroy"])
_DEVICE = click.Path(path_type=Path)


@click.group()
def sanitize() -> None:
    """Sanitize media: look, propose, approve, run, validate."""


@sanitize.command()
@click.argument("device", type=_DEVICE)
@pass_invocation
def probe(invocation: Invocation, device: Path) -> None:
    """Show what DEVICE is and what could be reached on it; changes nothing."""
    from orchestrator.actions.sanitization import sanitize as action
    from orchestrator.actions.sanitization.rows import described

    found = action.look(invocation.open_site(), device)
    facts = described(found.facts)
    medium = found.medium.id if found.medium is not None else None
    if invocation.as_json:
        techniques = [
            {
                "technique": one.technique,
                "method": one.method,
                "allowed": one.allowed,
                "reasons": list(one.reasons),
            }
            for one in found.reaches
        ]
        render.show_json(
            {"device": found.facts.device, "medium": medium, **facts, "techniques": techniques}
        )
        return
    shown = {key: value for key, value in facts.items() if key not in ("serials", "capabilities")}
    render.table(["fact", "value"], [[key, _plain(value)] for key, value in shown.items()])
    render.table(
        ["technique", "could reach", "may be used", "reasons"],
        [
            [one.technique, one.method or "no method", one.allowed, "; ".join(one.reasons)]
            for one in found.reaches
            if one.of_kind
        ],
    )
    others = [one.technique for one in found.reaches if not one.of_kind]
    render.say(f"not for this kind of medium: {', '.join(others)}")


@sanitize.command()
@click.argument("device", type=_DEVICE, required=False)
@click.option("--technique", help="How; `sanitize probe` lists them.")
@click.option("--approved", metavar="ID", help="Do what was proposed and approved.")
@click.option("--required", type=_LEVEL, help="The method the organization asks for.")
@click.option("--property", "number", help="The organization's own number of the medium.")
@click.option("--source", help="The user or the computer the medium comes from.")
@click.option("--destination", help="Where the medium goes afterwards.")
@click.option(
    "--attest",
    multiple=True,
    metavar="CONDITION",
    help="For a cryptographic erase: encrypted_from_first_write, no_other_key_copies.",
)
@pass_invocation
def run(
    invocation: Invocation,
    /,
    device: Path | None,
    approved: str | None,
    technique: str | None,
    **more: Any,
) -> None:
    """Propose to sanitize DEVICE; or, with --approved, do it."""
    from orchestrator.actions.sanitization import execute as sanitize_run
    from orchestrator.actions.sanitization import sanitize as action

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    if approved is not None:
        if device is not None or technique is not None:
            raise UsageError("--approved stands alone: device and technique were approved")
        row = sanitize_run.execute(site, approved)
        _show(invocation, row)
        if row.verification != "verified":
            raise ExitWith(OrchestratorError.exit_code if row.verification == "not_verified" else 3)
        return
    if device is None or technique is None:
        raise UsageError(
            "give DEVICE and --technique to propose, or --approved ID to do it",
            hint="orchestrator sanitize probe DEVICE",
        )
    wanted = action.Proposal(
        device,
        technique,
        required=more["required"],
        property_number=more["number"],
        media_source=more["source"],
        destination=more["destination"],
        conditions=more["attest"],
    )
    _show(invocation, action.propose(site, wanted))


@sanitize.command()
@click.argument("name", metavar="ID")
@pass_invocation
def approve(invocation: Invocation, name: str) -> None:
    """Agree to a proposal, as another person than the one who made it."""
    from orchestrator.actions.sanitization import sanitize as action

    site = invocation.open_site()
    site.demand_role("compliance", "custodian")
    _show(invocation, action.approve(site, name))


@sanitize.command()
@click.argument("name", metavar="ID")
@click.option("--reason", required=True, help="Why; no patient's name in it.")
@pass_invocation
def refuse(invocation: Invocation, name: str, reason: str) -> None:
    """Turn a proposal down."""
    from orchestrator.actions.sanitization import sanitize as action

    site = invocation.open_site()
    site.demand_role("compliance", "custodian")
    _show(invocation, action.refuse(site, name, reason=reason))


@sanitize.command("record")
@click.option("--technique", required=True, help="What was done: degauss, shred, vendor-erase …")
@click.option("--kind", required=True, help="Kind of medium: hdd, ata_ssd, nvme, tape …")
@click.option("--medium", help="Label or id, if it is one of the register.")
@click.option("--serial", help="Serial number on the medium.")
@click.option("--model", help="Model on the medium.")
@click.option("--manufacturer", help="Manufacturer on the medium.")
@click.option("--source", help="The user or the computer the medium comes from.")
@click.option("--property", "number", help="The organization's own number of the medium.")
@click.option("--performed-by", help="Who did it, if not you: a person's name.")
@click.option("--vendor", help="Which vendor did it, by its table in the site file.")
@click.option("--at", type=click.DateTime(), help="When, in the site's time zone.  [default: now]")
@click.option("--tool", help="Machine that was used.")
@click.option("--destination", help="Where the remains went.")
@click.option("--required", type=_LEVEL, help="The method the organization asks for.")
@click.option(
    "--evidence",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file that supports it; kept by its hash.",
)
@pass_invocation
def record_act(invocation: Invocation, /, **said: Any) -> None:
    """Record what a person or vendor did to a medium; it is shown as attested."""
    from orchestrator.actions.sanitization import attest as sanitize_record

    site = invocation.open_site()
    site.demand_role("custodian", "compliance")
    at: datetime | None = said["at"]
    attested = sanitize_record.Attested(
        technique=said["technique"],
        kind=said["kind"],
        ended_at=at.replace(tzinfo=site.config.timezone) if at is not None else site.clock.now(),
        performer=said["performed_by"],
        company=said["vendor"],
        medium=said["medium"],
        serial=said["serial"],
        model=said["model"],
        manufacturer=said["manufacturer"],
        media_source=said["source"],
        property_number=said["number"],
        tool=said["tool"],
        destination=said["destination"],
        evidence={f"file_{count}": file for count, file in enumerate(said["evidence"], 1)},
        required=said["required"],
    )
    _show(invocation, sanitize_record.attest(site, attested))


@sanitize.command()
@click.argument("name", metavar="ID")
@click.option("--accept", is_flag=True, help="The organization accepts it.")
@click.option("--reject", is_flag=True, help="The organization rejects it.")
@click.option("--reason", multiple=True, help="Why; no patient's name in it.")
@pass_invocation
def validate(
    invocation: Invocation, name: str, reason: tuple[str, ...], accept: bool, reject: bool
) -> None:
    """Accept or reject an outcome, as a person who did not do it; then it is certified."""
    from orchestrator.actions.sanitization import attest as sanitize_record

    if accept == reject:
        raise UsageError("say --accept or --reject: one of the two")
    site = invocation.open_site()
    site.demand_role("compliance", "custodian")
    _show(
        invocation,
        sanitize_record.validate(site, name, accept=accept, reasons=reason),
    )


@sanitize.command()
@click.argument("name", metavar="ID")
@pass_invocation
def show(invocation: Invocation, name: str) -> None:
    """Show one sanitization with all that was observed."""
    from orchestrator.actions.sanitization import sanitize as action

    _show(invocation, action.show(invocation.open_site(), name))


@sanitize.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """Show every sanitization, oldest first."""
    from orchestrator.actions.sanitization import sanitize as action

    rows = action.listing(invocation.open_site())
    if invocation.as_json:
        render.show_json({"sanitizations": [documents.sanitization(row) for row in rows]})
        return
    render.table(
        ["id", "medium", "technique", "state", "method", "verification", "validation"],
        [
            [
                row.id,
                row.property_number or row.serial or row.device,
                row.technique,
                row.state,
                row.method or "none",
                row.verification,
                row.validation,
            ]
            for row in rows
        ],
    )


def _show(invocation: Invocation, row: Sanitization) -> None:
    found = documents.sanitization(row)
    if invocation.as_json:
        render.show_json(found)
        return
    left_out = ("measured",)
    render.table(
        ["", "value"],
        [
            [key, _plain(value)]
            for key, value in found.items()
            if key not in left_out and (key == "method" or value not in (None, [], {}))
        ],
    )
    if row.state == "proposed":
        render.say(f"next, another person: orchestrator --as ACTOR sanitize approve {row.id}")
    elif row.state == "approved":
        render.say(f"next: orchestrator --as ACTOR sanitize run --approved {row.id}")
    elif row.state in ("executed", "recorded") and row.validation == "pending":
        render.say(
            f"next, another person: orchestrator --as ACTOR sanitize validate {row.id} --accept, "
            "or --reject"
        )
        render.say(
            "reasons to reject that no program sees: people not qualified, tools not calibrated or "
            "maintained, a medium other than the one named"
        )


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return "; ".join(str(one) for one in value) or None
    if isinstance(value, dict):
        return ", ".join(sorted(value)) or None
    return value
