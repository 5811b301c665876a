"""``ledger``: what was done, signed; list, export, verify, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.ledger_outside import anchor, fetch, reopen, witness
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.ledger.export import Format
    from orchestrator.actions.ledger.listing import Listed, Wanted
    from orchestrator.actions.site import Site

_FILE = click.Path(path_type=Path, dir_okay=False)
_FROM = click.option("--from", "first", metavar="DATE", help="First day, or instant.")
_LAST = "Last day, or instant."
_TO = click.option("--to", "last", metavar="DATE", help=_LAST)
_TO_DATE = click.option("--to-date", "last", metavar="DATE", help=_LAST)


@click.group()
def ledger() -> None:
    """List, export, verify and anchor the ledger of what was done."""


for _command in (anchor, fetch, witness, reopen):
    ledger.add_command(_command)


@ledger.command("list")
@click.option("--type", "types", multiple=True, help="Only this type, or types such as disposal.")
@_FROM
@_TO
@click.option("--actor", help="Only what this actor did.")
@click.option("--medium", help="Only what is about this medium (label or id).")
@click.option("--study", metavar="KEY", help="Only what is about this study (pseudonym).")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@pass_invocation
def list_entries(invocation: Invocation, /, limit: int, **asked: Any) -> None:
    """Show the newest entries that fit, oldest first."""
    from orchestrator.actions.ledger import listing as ledger_listing

    site = invocation.open_site()
    found = ledger_listing.listing(site, _wanted(site, limit=limit, **asked))
    if invocation.as_json:
        render.show_json(
            {
                "entries": [_document(one) for one in found.entries],
                "size": found.reader.checkpoint.size,
                "root": found.reader.checkpoint.root.hex(),
                "checkpoint": found.reader.checkpoint.data.decode(),
                "origin": found.reader.checkpoint.origin,
                "vkey": found.vkey,
            }
        )
        return
    render.table(
        ["entry", "at", "type", "actor", "says"],
        [
            [one.index, one.entry.at, one.entry.type, one.entry.actor, _words(one)]
            for one in found.entries
        ],
    )
    size = found.reader.checkpoint.size
    render.say(
        f"{len(found.entries)} shown of {size} entries, root {found.reader.checkpoint.root.hex()}"
    )
    render.say(f"key {found.vkey}")


@ledger.command()
@click.option("--format", "kind", type=click.Choice(["csv", "jsonl", "bundle"]), required=True)
@click.option("--to", type=_FILE, required=True, help="The new file.")
@click.option("--type", "types", multiple=True, help="Only this type, or types such as disposal.")
@_FROM
@_TO_DATE
@pass_invocation
def export(invocation: Invocation, /, kind: str, to: Path, **asked: Any) -> None:
    """Write the ledger to a file: a table, exact lines, or a bundle that verifies by itself."""
    from orchestrator.actions.ledger import export as ledger_export

    site = invocation.open_site()
    reader, count = ledger_export.export(
        site, to, kind=cast("Format", kind), wanted=_wanted(site, **asked)
    )
    if invocation.as_json:
        render.show_json(
            {
                "file": to,
                "entries": count,
                "size": reader.checkpoint.size,
                "root": reader.checkpoint.root.hex(),
                "checkpoint": reader.checkpoint.data.decode(),
            }
        )
    else:
        render.say(f"{count} entries written to {to}; root {reader.checkpoint.root.hex()}")


@ledger.command()
@click.option("--against", type=_FILE, help="A checkpoint that was kept: it must be contained.")
@pass_invocation
def verify(invocation: Invocation, against: Path | None) -> None:
    """Derive everything anew from the stored bytes and compare it with what was signed.

    Exit status: 0 verified, 4 damaged, 5 lost or not made.
    """
    from orchestrator.actions.ledger import check

    found = check.verify(invocation.open_site(), against=against)
    if invocation.as_json:
        render.show_json(
            {
                "verdict": found.verdict,
                "origin": found.origin,
                "size": found.size,
                "root": found.root,
                "vkey": found.vkey,
                "problems": found.problems,
                "remarks": found.remarks,
                "anchors": found.anchors,
            }
        )
    else:
        render.say(f"ledger {found.origin}: {render.colour(found.verdict)}, {found.size} entries")
        for line in [*found.problems, *found.remarks]:
            render.say(f"  {line}")
        if found.anchors:
            render.table(
                ["anchor", "with", "entries", "at", "holds"],
                [[a["kind"], a["target"], a["size"], a["at"], a["holds"]] for a in found.anchors],
            )
    if found.verdict != "verified":
        raise ExitWith(4)


@ledger.command()
@_FROM
@_TO
@click.option("--to-file", "to", type=_FILE, required=True, help="The new PDF file.")
@pass_invocation
def report(invocation: Invocation, first: str | None, last: str | None, to: Path) -> None:
    """Write a summary of a period for printing."""
    from orchestrator.actions.ledger import report as ledger_report

    count = ledger_report.write_report(invocation.open_site(), to, first=first, last=last)
    if invocation.as_json:
        render.show_json({"file": to, "entries": count})
    else:
        render.say(f"{count} entries summarised in {to}")


@ledger.command()
@click.argument("entry", type=click.IntRange(0))
@click.option("--to", type=_FILE, required=True, help="The new file.")
@pass_invocation
def disclose(invocation: Invocation, entry: int, to: Path) -> None:
    """Write what ENTRY is about, with the proof; who gets the file learns it for good."""
    import json

    from orchestrator.actions.ledger import listing as ledger_listing
    from orchestrator.actions.ledger.vouchers import new_file

    site = invocation.open_site()
    found = ledger_listing.disclose(site, entry)
    new_file(to, json.dumps(found, ensure_ascii=False, indent=1).encode() + b"\n")
    if invocation.as_json:
        render.show_json({"file": to, "entry": entry, "subjects": len(found["subjects"])})
    else:
        render.say(f"entry {entry} disclosed in {to}; keep it where only its reader gets it")


def _wanted(site: Site, *, first: str | None, last: str | None, **asked: Any) -> Wanted:
    from orchestrator.actions.ledger.listing import Wanted, span

    since, until = span(site.config.timezone, first, last)
    return Wanted(since=since, until=until, **asked)


def _document(one: Listed) -> dict[str, Any]:
    entry = one.entry
    return {
        "index": one.index,
        "at": entry.at,
        "type": entry.type,
        "actor": entry.actor,
        "id": entry.id,
        "body": dict(entry.body),
        "subjects": {kind: list(found) for kind, found in entry.subjects.items()},
        "evidence": dict(entry.evidence),
        "note": entry.note,
        "intent": entry.intent,
    }


def _words(one: Listed) -> str:
    body = {name: value for name, value in one.entry.body.items() if value not in (None, [], {})}
    text = ", ".join(f"{name} {_short(value)}" for name, value in body.items())
    return ", ".join(part for part in (text, one.entry.note) if part)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}:{_short(one)}" for name, one in value.items())
    if isinstance(value, list):
        return f"[{len(value)}]"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"
