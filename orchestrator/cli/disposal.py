"""``disposal``: letting go of what no rule keeps, through every copy, and proving it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import PARTLY_DONE, ExitWith
from orchestrator.cli.disposal_documents import batch, story_of
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.actions.disposal.listing import Batch


@click.group()
def disposal() -> None:
    """Dispose of what is due: propose, approve, execute, and see what is left."""


@disposal.command()
@click.argument("store", required=False)
@pass_invocation
def propose(invocation: Invocation, store: str | None) -> None:
    """Propose everything that is due in STORE, or in all stores; changes nothing yet."""
    from orchestrator.actions.disposal import propose as action

    _show(invocation, action.propose(invocation.open_site(), store))


@disposal.command()
@click.argument("name", metavar="ID")
@click.option("--notice", help="What was done about the notices the schedules ask for.")
@pass_invocation
def approve(invocation: Invocation, name: str, notice: str | None) -> None:
    """Agree to a batch, as another person than the one who proposed it."""
    from orchestrator.actions.disposal import decide_batch as action

    _show(invocation, action.approve(invocation.open_site(), name, notice=notice))


@disposal.command()
@click.argument("name", metavar="ID")
@click.option("--reason", required=True, help="Why; no patient's name in it.")
@pass_invocation
def refuse(invocation: Invocation, name: str, reason: str) -> None:
    """Turn a batch down, or call an approved one off before it is executed."""
    from orchestrator.actions.disposal import decide_batch as action

    _show(invocation, action.refuse(invocation.open_site(), name, reason=reason))


@disposal.command()
@click.argument("name", metavar="ID")
@click.option("--execute", "is_real", is_flag=True, help="Do it; otherwise only say what would go.")
@pass_invocation
def execute(invocation: Invocation, name: str, *, is_real: bool) -> None:
    """Remove an approved batch from the store and from every copy that can be reached."""
    from orchestrator.actions.disposal import execute as action
    from orchestrator.actions.disposal import listing

    site = invocation.open_site()
    done = action.execute(site, name, dry_run=not is_real)
    stores = [
        {
            "store": one.store,
            "going": one.going,
            "files": one.files,
            "bytes": one.bytes,
            "files_removed_from_store": one.files_removed,
            "removed_from_store": one.removed_live,
            "removed_from_primary": one.removed_primary,
            "kept": dict(one.kept),
        }
        for one in done.stores
    ]
    execution = {"dry_run": done.dry_run, "stores": stores, "problems": done.problems}
    _show(invocation, listing.show(site, name), execution=execution)
    if done.problems:
        raise ExitWith(PARTLY_DONE)


@disposal.command()
@click.argument("study")
@click.option(
    "--reason", help="Why it is a record again; in the ledger for good, names no patient."
)
@click.option("--withdraw", is_flag=True, help="Take back what one person has asked for.")
@pass_invocation
def readmit(invocation: Invocation, study: str, reason: str | None, *, withdraw: bool) -> None:
    """Take STUDY, which came back after its disposal, into the records again.

    Two people are needed, the first one of compliance. From then on restores bring it back, and
    its periods run as any other's. Its disposals must be complete.
    """
    from orchestrator.actions.disposal import readmit as action

    if withdraw == (reason is not None):
        raise UsageError("say --reason TEXT, or --withdraw")
    site = invocation.open_site()
    done = action.withdraw(site, study) if reason is None else action.readmit(site, study, reason)
    if invocation.as_json:
        render.show_json(dataclasses.asdict(done))
    else:
        words = {
            "asked": "is left out of restores until another person says the same",
            "withdrawn": "is left out of restores; nobody asks for it any more",
            "readmitted": f"is a record again in store {', '.join(done.stores)}",
        }
        render.say(f"study {study} {words[done.state]}")
        for name in done.outstanding:
            render.say(
                f"copy {name} has not got the new list; the next nightly settling tries again"
            )
        if done.unrecorded is not None:
            render.say(
                f"the ledger does not say so, so that a rebuild may forget it: {done.unrecorded}"
            )
    if done.outstanding or done.unrecorded is not None:
        raise ExitWith(PARTLY_DONE)


@disposal.command("list")
@pass_invocation
def list_disposals(invocation: Invocation) -> None:
    """Show every disposal, oldest first."""
    from orchestrator.actions.disposal import listing

    found = listing.listing(invocation.open_site())
    if invocation.as_json:
        render.show_json({"disposals": [batch(one) for one in found]})
        return
    render.table(
        ["disposal", "state", "studies", "proposed by", "decided by", "left on", "earliest"],
        [
            [
                one.row.id,
                one.row.state if one.row.paused is None else f"{one.row.state}, paused",
                one.studies,
                one.row.proposed_by,
                one.row.decided_by,
                _left(one),
                one.earliest_completion,
            ]
            for one in found
        ],
    )


@disposal.command()
@click.argument("name", metavar="ID")
@click.option("--study", metavar="KEY", help="Tell what became of one study, by its pseudonym.")
@pass_invocation
def show(invocation: Invocation, name: str, study: str | None) -> None:
    """Show a disposal: what goes, by which rule, and where something is left until when."""
    from orchestrator.actions.disposal import listing
    from orchestrator.actions.disposal.story import story

    site = invocation.open_site()
    if study is None:
        _show(invocation, listing.show(site, name))
        return
    told = story(site, name, study)
    if invocation.as_json:
        render.show_json(batch(listing.show(site, name)) | {"study": story_of(told)})
        return
    render.table(
        ["when", "what", "who", "ledger entry"],
        [[one.at, one.what, one.who, one.entry] for one in told.chapters],
    )


@disposal.command()
@click.argument("name", metavar="ID")
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path, dir_okay=False),
    help="The PDF to write.",
)  # fmt: skip
@pass_invocation
def statement(invocation: Invocation, name: str, target: Path) -> None:
    """Write what is gone and what remains until when; it is no certificate."""
    from orchestrator.actions.disposal import statement as action

    action.write(invocation.open_site(), name, target)
    if invocation.as_json:
        render.show_json({"disposal": name, "file": target})
        return
    render.say(f"written: {target}")


def _left(one: Batch) -> str:
    gone = ("absent", "attested", "pending")
    names = sorted({copy.copy for copy in one.copies if copy.state not in gone})
    return ", ".join(names) or "–"


def _show(invocation: Invocation, one: Batch, *, execution: dict[str, Any] | None = None) -> None:
    if invocation.as_json:
        render.show_json(batch(one) | ({} if execution is None else {"execution": execution}))
        return
    if execution is None or not execution["dry_run"]:
        _show_facts(batch(one))
    render.table(
        ["store", "copy", "medium or place", "state", "until, or expected", "proved", "detail"],
        [
            [
                copy.store,
                copy.copy,
                copy.label if copy.place is None else f"{copy.place}: {copy.label}",
                copy.state,
                copy.residual_until or copy.expected,
                copy.proved_at,
                copy.detail,
            ]
            for copy in one.copies
        ],
    )
    for why, count in sorted(one.withheld.items()):
        render.say(f"left out: {count} because of {why.replace('_', ' ')}")
    for notice in one.notices:
        render.say(f"to be done before: {notice['text']} ({notice['citation']})")
    if execution is not None:
        _show_execution(one.row.id, execution)
    if execution is None or not execution["dry_run"]:
        for line in one.next:
            render.say(f"next: {line}")
        for hint in one.hints:
            render.say(hint)


def _show_facts(found: dict[str, Any]) -> None:
    lists = (
        "copies",
        "stores",
        "hints",
        "next",
        "on_hold",
        "notices",
        "withheld",
        "schedules",
        "ledger",
    )
    facts = {key: found[key] for key in found if key not in lists and found[key] is not None}
    render.table(["", "value"], [[key.replace("_", " "), facts[key]] for key in facts])
    render.table(
        ["store", "studies", "left out", "files", "size"],
        [
            [one["store"], one["studies"], one["withheld"], one["files"], render.size(one["bytes"])]
            for one in found["stores"]
        ],
    )


def _show_execution(name: str, execution: dict[str, Any]) -> None:
    for store in execution["stores"]:
        if execution["dry_run"]:
            render.say(
                f"store {store['store']}: {store['going']} studies would go, {store['files']} "
                f"files, {render.size(store['bytes'])}"
            )
        for why, count in sorted(store["kept"].items()):
            render.say(f"store {store['store']}: {count} kept because of {why.replace('_', ' ')}")
    for problem in execution["problems"]:
        render.say(problem)
    if execution["dry_run"]:
        render.say(
            f"nothing was changed; to do it: orchestrator --as ACTOR disposal execute {name} "
            "--execute"
        )
