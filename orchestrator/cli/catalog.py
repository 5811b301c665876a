"""``catalog``: the site's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import PARTLY_DONE, ExitWith
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.disposal.suppression import Standing
    from orchestrator.actions.rebuild import Rebuilt


@click.group()
def catalog() -> None:
    """Rebuild the catalog from any copy."""


@catalog.command()
@click.option("--copy", required=True, help="The copy to read.")
@click.option("--store", help="Only the repository of this store.  [default: all]")
@click.option("--rotated", is_flag=True, help="What the primary lacks, a rotation has taken.")
@pass_invocation
def rebuild(invocation: Invocation, copy: str, store: str | None, *, rotated: bool) -> None:
    """Make the catalog anew from the manifests and the state in COPY.

    What happened after that state is brought back from the ledger, which may take missing entries
    from a bucket. The old catalog file, if there is one, is put aside and kept. Exit status 3 if
    something could not be brought back: what, and what to do about it, is said.
    """
    from orchestrator.actions.rebuild import rebuild as make_anew

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    wanted = site.stores([store] if store else None)
    done = make_anew(site, site.copy_config(copy).name, wanted, rotated=rotated)
    _show_rebuilt(invocation, done)
    if done.lost or done.unasked:
        raise ExitWith(PARTLY_DONE)


def _show_rebuilt(invocation: Invocation, done: Rebuilt) -> None:
    if invocation.as_json:
        render.show_json(
            {
                "copy": done.copy,
                "rows": done.rows,
                "snapshots": done.snapshots,
                "files": done.files,
                "put_aside": done.put_aside,
                "unasked": done.unasked,
                "fetched": 0 if done.fetched is None else done.fetched.size - done.fetched.before,
                "brought_back": done.brought_back,
                "not_brought_back": done.lost,
            }
        )
        return
    render.say(
        f"catalog rebuilt from copy {done.copy}: {done.rows} rows of state, {done.snapshots} "
        f"snapshots, {done.files} files"
    )
    if done.put_aside is not None:
        render.say(f"the old one is kept at {done.put_aside}")
    if done.unasked:
        render.say(
            f"copy {', '.join(done.unasked)} could not be asked for disposed studies: restore "
            "nothing before: orchestrator catalog suppression --recover"
        )
    if done.fetched is not None:
        render.say(
            f"copy {done.fetched.copy} had {done.fetched.size - done.fetched.before} entries of "
            "the ledger that were lost here"
        )
    show_brought(done.brought_back, done.lost)
    render.say("next: orchestrator check, then orchestrator status")


def show_brought(brought: dict[str, int], lost: list[str]) -> None:
    """Say what the ledger gave back that the catalog did not know, and what it could not."""
    if brought:
        words = ", ".join(f"{count} {noun.replace('_', ' ')}" for noun, count in brought.items())
        render.say(f"brought back from the ledger: {words}")
    for words in lost:
        render.say(f"not brought back: {words}")


@catalog.command()
@click.option("--note", required=True, help="How you know the time; names nobody.")
@pass_invocation
def clock(invocation: Invocation, note: str) -> None:
    """Say that this machine's clock is right, although runs were recorded at a later time.

    Whatever removes something is refused until then, unless a bucket's server agrees with the
    clock: a clock that jumped ahead for a night and was set right looks like one set back.
    """
    from orchestrator.actions import clock_trust

    until = clock_trust.confirm(invocation.open_site(), note=note)
    if invocation.as_json:
        render.show_json({"recorded_until": until})
        return
    render.say(f"what was recorded until {render.cell(until)} does not count any more")


@catalog.command("suppression")
@click.option("--recover", is_flag=True, help="Take the newest list of kit and buckets.")
@pass_invocation
def suppression_list(invocation: Invocation, *, recover: bool) -> None:
    """Show where the list of disposed studies lies; restores leave these out.

    It is kept in the catalog, beside the state in every copy, in the recovery kit's folder and in
    every bucket. With --recover, exit status 3 if a bucket could not be asked.
    """
    from orchestrator.actions.disposal import suppression

    site = invocation.open_site()
    if recover:
        site.demand_role("custodian", "operator", "compliance")
        suppression.recover(site)
    found = suppression.standing(site)
    if invocation.as_json:
        render.show_json(
            {
                "number": found.number,
                "studies": found.studies,
                "outstanding": found.outstanding,
                "unasked": found.unasked,
            }
        )
    else:
        _say_suppression(found)
    if recover and found.unasked:
        raise ExitWith(PARTLY_DONE)


def _say_suppression(found: Standing) -> None:
    render.say(f"{found.studies} disposed studies, list number {found.number}")
    for name in found.outstanding:
        render.say(f"copy {name} has not got this list yet")
    for name in found.unasked:
        render.say(f"copy {name} could not be asked, and may hold a newer one")
