"""``ledger anchor|fetch|witness|reopen``: the ledger and what others keep of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation

if TYPE_CHECKING:
    from orchestrator.actions.ledger.anchor import Anchoring
    from orchestrator.actions.ledger.anchored import Anchored

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--cosignature", type=_FILE, help="Attach the line that the witness printed.")
@click.option("--request", type=_FILE, help="Write what is carried to the witness.")
@click.option("--seen", type=click.IntRange(0), default=0, help="Entries the witness saw last.")
@click.option("--unanchored", is_flag=True, help="Go on with a restored ledger, on your word.")
@click.option("--note", help="Why, with --unanchored; names nobody.")
@pass_invocation
def anchor(
    invocation: Invocation,
    cosignature: Path | None,
    request: Path | None,
    seen: int,
    note: str | None,
    *,
    unanchored: bool,
) -> None:
    """Put the newest checkpoint where this machine cannot take it back.

    Exit status: 0 anchored everywhere, 3 not everywhere, 5 something outside contradicts it.
    """
    from orchestrator.actions.ledger import anchor as actions
    from orchestrator.actions.ledger import vouchers

    if sum(map(bool, (cosignature, request, unanchored))) > 1:
        raise click.UsageError("--cosignature, --request and --unanchored do not go together")
    site = invocation.open_site()
    site.demand_role("operator", "custodian", "compliance")
    if cosignature is not None:
        _show_anchors(invocation, [vouchers.attach_cosignature(site, cosignature)])
        return
    if request is not None:
        checkpoint = vouchers.write_request(site, request, seen=seen)
        if invocation.as_json:
            render.show_json({"file": request, "size": checkpoint.size, "seen": seen})
        else:
            render.say(f"carry {request} to the witness; it is about {checkpoint.size} entries")
        return
    if unanchored:
        if note is None:
            raise click.UsageError("--unanchored needs --note: why it is right")
        actions.accept_unanchored(site, note=note)
    done = actions.anchor(site)
    _show_anchors(invocation, done.targets, done)
    if any(one.state != "anchored" for one in done.targets):
        raise ExitWith(3)


@click.command()
@pass_invocation
def fetch(invocation: Invocation) -> None:
    """Take in the entries that a bucket has and this machine has lost.

    They are taken only if they are whole and continue the ledger as it is here. What they tell of
    and the catalog does not know is brought back.

    Exit status: 0 done, 3 a bucket could not be asked or believed, 5 lost or not made.
    """
    from orchestrator.actions.rebuilding.learn import learn
    from orchestrator.cli.catalog import show_brought

    done = learn(invocation.open_site())
    if invocation.as_json:
        render.show_json(
            {
                "size": done.size,
                "fetched": [
                    {"copy": one.copy, "before": one.before, "size": one.size}
                    for one in done.fetched
                ],
                "problems": done.problems,
                "brought_back": done.brought_back,
                "not_brought_back": done.lost,
            }
        )
    else:
        for one in done.fetched:
            render.say(f"copy {one.copy}: {one.size - one.before} entries taken in")
        for name, why in done.problems.items():
            render.say(f"copy {name}: {why}")
        show_brought(done.brought_back, done.lost)
        render.say(f"{done.size} entries")
    if done.problems:
        raise ExitWith(3)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--new", metavar="NAME", help="Make a witness of this name and print its key.")
@click.option("--request", type=_FILE, help="What was carried here.")
@click.option("--key", metavar="VKEY", help="The ledger's public key, as text or file.")
@pass_invocation
def witness(
    invocation: Invocation, folder: Path, new: str | None, request: Path | None, key: str | None
) -> None:
    """On a second machine: sign what continues the ledger as it was last seen in FOLDER."""
    from orchestrator.actions.ledger import witness as ledger_witness
    from orchestrator.clock import SystemClock

    if new is not None:
        made = ledger_witness.make_witness(folder, new)
        render.show_json({"vkey": made}) if invocation.as_json else render.say(made)
        return
    if request is None or key is None:
        raise click.UsageError("give --request and --key, or --new NAME")
    vkey = Path(key).read_text(encoding="utf-8").strip() if Path(key).is_file() else key
    line = ledger_witness.witness(folder, request, vkey=vkey, now=SystemClock().now()).decode()
    if invocation.as_json:
        render.show_json({"cosignature": line})
    else:
        render.say(line.rstrip("\n"))


@click.command()
@click.option("--note", required=True, help="Why, at most 200 characters; names nobody.")
@pass_invocation
def reopen(invocation: Invocation, note: str) -> None:
    """Open a new ledger after one that was lost, damaged or put back; takes compliance."""
    from orchestrator.actions.ledger import reopen as ledger_reopen

    made = ledger_reopen.reopen(invocation.open_site(), note=note)
    if invocation.as_json:
        render.show_json({"origin": made.origin, "vkey": made.verifier.vkey})
    else:
        render.say(f"opened {made.origin}\nkey {made.verifier.vkey}")


def _show_anchors(
    invocation: Invocation, targets: list[Anchored], done: Anchoring | None = None
) -> None:
    rows = [
        {
            "kind": one.kind,
            "target": one.target,
            "state": one.state,
            "files": one.files,
            "extended": one.extended,
            "protected_until": one.protected_until,
            "detail": one.detail,
        }
        for one in targets
    ]
    if invocation.as_json:
        about = (
            {}
            if done is None
            else {
                "run": done.run,
                "entries": done.size,
                "root": done.root,
                "checkpoint": done.checkpoint.read_text(encoding="utf-8"),
            }
        )
        render.show_json({**about, "anchors": rows})
        return
    if not rows:
        render.say("this site has nothing outside to anchor with: no bucket, authority or witness")
        return
    render.table(
        ["anchor", "with", "state", "files", "extended", "protected until", "detail"],
        [list(row.values()) for row in rows],
    )
