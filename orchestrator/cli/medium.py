"""``medium``: offline media and their custody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import PARTLY_DONE, ExitWith
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.media import MediumFacts


@click.group()
def medium() -> None:
    """Register, mount, release and retire offline media."""


@medium.command()
@click.argument("copy")
@click.argument("mount_point", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--label", required=True, help="What is written on the medium.")
@click.option(
    "--plain-folder",
    is_flag=True,
    help="Take a folder that is no medium of its own; it never counts as one.",
)
@pass_invocation
def add(
    invocation: Invocation, copy: str, mount_point: Path, label: str, *, plain_folder: bool
) -> None:
    """Make the mounted, empty file system at MOUNT_POINT a medium of COPY."""
    from orchestrator.actions import media

    site = invocation.open_site()
    site.demand_role("custodian")
    facts = media.register(site, copy, mount_point, label=label, allow_folder=plain_folder)
    _show(invocation, [facts])


@medium.command("list")
@click.option("--retired", is_flag=True, help="Also those that were retired.")
@pass_invocation
def list_media(invocation: Invocation, *, retired: bool) -> None:
    """Show every medium: where it is, when it was last seen, when it is due."""
    from orchestrator.actions import media

    _show(invocation, media.listing(invocation.open_site(), retired=retired))


@medium.command()
@click.argument("copy")
@pass_invocation
def mount(invocation: Invocation, copy: str) -> None:
    """Mount the medium of COPY in the way the site file says."""
    from orchestrator.actions import media

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    _show(invocation, [media.mount(site, copy)])


@medium.command()
@click.argument("copy")
@click.option("--holder", help="Who takes it.")
@click.option("--location", help="Where it goes.")
@click.option("--seal", help="Number of the seal it is under.")
@pass_invocation
def release(
    invocation: Invocation, copy: str, holder: str | None, location: str | None, seal: str | None
) -> None:
    """Write everything out and unmount the medium of COPY; then it may be pulled out."""
    from orchestrator.actions import media

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    _show(invocation, [media.release(site, copy, holder=holder, location=location, seal=seal)])


@medium.command()
@click.argument("name")
@click.option("--holder", help="Who has it now.")
@click.option("--location", help="Where it is now.")
@click.option("--seal", help="Number of the seal it came under.")
@pass_invocation
def receive(
    invocation: Invocation, name: str, holder: str | None, location: str | None, seal: str | None
) -> None:
    """Record that medium NAME (label or id) has come back."""
    from orchestrator.actions import media

    site = invocation.open_site()
    site.demand_role("custodian")
    _show(invocation, [media.receive(site, name, holder=holder, location=location, seal=seal)])


@medium.command()
@click.argument("name")
@click.option("--note", help="Why.")
@pass_invocation
def retire(invocation: Invocation, name: str, note: str | None) -> None:
    """Take medium NAME (label or id) out of service; what it holds stays until sanitized."""
    from orchestrator.actions import retire as retirement

    site = invocation.open_site()
    site.demand_role("custodian")
    _show(invocation, [retirement.retire(site, name, note=note)])


@medium.command("custody")
@click.argument("name")
@pass_invocation
def show_custody(invocation: Invocation, name: str) -> None:
    """Show who had medium NAME (label or id) from whom, when, under which seal, and the gaps."""
    from orchestrator.actions import custody, media

    site = invocation.open_site()
    chain = custody.chain(site, media.find(site, name, retired=True))
    links = [
        {
            "at": link.at,
            "event": link.event,
            "actor": link.actor,
            "from": link.given_by,
            "to": link.taken_by,
            "location": link.location,
            "seal": link.seal,
            "note": link.note,
        }
        for link in chain.links
    ]
    if invocation.as_json:
        render.show_json({"medium": chain.medium.id, "custody": links, "gaps": list(chain.gaps)})
        return
    headings = ["at", "event", "actor", "from", "to", "location", "seal", "note"]
    render.table(headings, [[link[one] for one in headings] for link in links])
    for gap in chain.gaps:
        render.say(f"gap: {gap}")


def _show(invocation: Invocation, found: list[MediumFacts]) -> None:
    if invocation.as_json:
        render.show_json({"media": [_document(facts) for facts in found]})
    else:
        _show_table(found)
    if any(facts.unrecorded for facts in found):
        raise ExitWith(PARTLY_DONE)


def _show_table(found: list[MediumFacts]) -> None:
    render.table(
        ["medium", "copy", "id", "state", "connected at", "holder", "location", "seen", "due"],
        [
            [
                facts.row.label,
                facts.row.copy_,
                facts.row.id[:8],
                "overdue" if facts.overdue else facts.row.state,
                facts.connected,
                facts.row.holder,
                facts.row.location,
                facts.row.last_seen,
                facts.row.due_at,
            ]
            for facts in found
        ],
    )


def _document(facts: MediumFacts) -> dict[str, Any]:
    row = facts.row
    return {
        "medium": row.id,
        "copy": row.copy_,
        "label": row.label,
        "serial": row.serial,
        "fs_uuid": row.fs_uuid,
        "state": row.state,
        "overdue": facts.overdue,
        "connected": facts.connected,
        "holder": row.holder,
        "location": row.location,
        "last_seen": row.last_seen,
        "due": row.due_at,
        "gaps": list(facts.gaps),
    }
