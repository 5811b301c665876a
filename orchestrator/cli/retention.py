"""``retention``: schedules, their adoption, and what they decide about studies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli import render
from orchestrator.cli import retention_tables as tables
from orchestrator.cli.boundary import PARTLY_DONE, ExitWith
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.retention.study import Verdict

SHOWN = 100
"""Studies that a table lists unless more are asked for."""


@click.group()
def retention() -> None:
    """How long studies are kept, by which law, and what may go."""


@retention.command("list")
@pass_invocation
def list_schedules(invocation: Invocation) -> None:
    """Show every schedule, which are in force, and what none of them covers."""
    from orchestrator.actions.retention.listing import listing
    from orchestrator.cli import retention_documents as documents

    found = listing(invocation.open_site())
    if invocation.as_json:
        render.show_json(documents.listing(found))
        return
    render.table(
        ["schedule", "kind", "for", "version", "adopted", "by", "on", "newer", "rules"],
        [
            [
                one.schedule.id,
                one.schedule.kind,
                one.schedule.jurisdiction,
                one.offered,
                one.adopted.version if one.adopted is not None else None,
                one.adopted.adopted_by if one.adopted is not None else None,
                f"{one.adopted.adopted_at:%Y-%m-%d}" if one.adopted is not None else None,
                one.newer,
                tables.rules(one),
            ]
            for one in found.schedules
        ],
    )
    for line in tables.remarks(found):
        render.say(line)


@retention.command()
@click.argument("schedule")
@pass_invocation
def show(invocation: Invocation, schedule: str) -> None:
    """Show the rules of SCHEDULE: as it is in force, or as it could be adopted."""
    from orchestrator.actions.retention.listing import one_schedule
    from orchestrator.cli import retention_documents as documents

    found = one_schedule(invocation.open_site(), schedule)
    body = documents.schedule(found)
    if invocation.as_json:
        render.show_json(body)
        return
    render.say(f"{body['id']} {body['version']}: {body['title']}")
    if found.adopted is None:
        render.say("not in force: nothing is decided by it")
    else:
        when = f"{found.adopted.adopted_at:%Y-%m-%d} by {found.adopted.adopted_by}"
        render.say(f"in force: version {found.adopted.version}, adopted on {when}")
        if found.adopted.image_clock:
            render.say("images go by their own clock")
    for one in body["rules"]:
        tables.show_rule(one)


@retention.command()
@click.argument("schedule")
@click.option("--image-clock", is_flag=True, help="Keep images by their own, shorter clock.")
@pass_invocation
def adopt(invocation: Invocation, schedule: str, *, image_clock: bool) -> None:
    """Make SCHEDULE the site's rule, exactly as its file stands now; `majority` for the ages."""
    from orchestrator.actions.retention.adopt import adopt as adopt_schedule
    from orchestrator.cli import retention_documents as documents

    done = adopt_schedule(invocation.open_site(), schedule, image_clock=image_clock)
    body = documents.adoption(done)
    if invocation.as_json:
        render.show_json(body)
        return
    row = done.row
    if not done.is_new:
        render.say(
            f"{row.schedule_id} {row.version} is in force already, adopted on "
            f"{row.adopted_at:%Y-%m-%d} by {row.adopted_by}; nothing was changed"
        )
        return
    render.say(f"adopted: {row.schedule_id} {row.version}, sha256 {row.digest}")
    if done.replaced is not None:
        render.say(f"it replaces version {done.replaced}")
    if done.with_majority is not None:
        render.say(f"with it the ages of majority, version {done.with_majority}")
    render.say(body["notice"])
    for reviewer in done.reviewers:
        render.say(f"reviewed by: {reviewer}")
    for words, rules in (
        ("of low confidence", done.low_confidence),
        ("not reviewed", done.not_reviewed),
        ("overdue for review", done.overdue),
    ):
        if rules:
            render.say(f"{words}, so that studies under them are only reviewed: {', '.join(rules)}")


@retention.command()
@click.argument("store", required=False)
@click.option("--verdict", type=click.Choice(["dispose", "review", "keep"]), help="Only these.")
@click.option("--limit", type=click.IntRange(0), help="List at most so many; all are counted.")
@click.option(
    "--export",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write every decision to a new .csv or .jsonl file.",
)
@pass_invocation
def plan(
    invocation: Invocation,
    store: str | None,
    *,
    verdict: Verdict | None,
    limit: int | None,
    file: Path | None,
) -> None:
    """Decide about every study, of STORE or of all, and show what comes of it; changes nothing."""
    from orchestrator.actions.retention.export import Wanted, listed_plan
    from orchestrator.actions.retention.plan import summary

    if limit is None and not invocation.as_json:
        limit = SHOWN if verdict is not None else 0
    with listed_plan(invocation.open_site(), store, Wanted(verdict, limit, file)) as found:
        if invocation.as_json:
            head = {
                "summary": summary(found.plan),
                "decisions_left_out": found.left_out,
                "exported": found.exported,
            }
            render.show_long_json(head, "decisions", found.lines())
            return
        tables.show_plan(found.plan)
        tables.show_decisions(found)
    if file is not None:
        render.say(f"{found.exported} decisions written to {file}")


@retention.command()
@click.argument("study")
@pass_invocation
def explain(invocation: Invocation, study: str) -> None:
    """Say why STUDY, by pseudonym, is kept or may go: every period, and the one that decides."""
    from orchestrator.actions.retention.explain import explain as explain_study
    from orchestrator.actions.retention.explain import explained_values

    found = [explained_values(one) for one in explain_study(invocation.open_site(), study)]
    if invocation.as_json:
        render.show_json({"decisions": found})
        return
    for one in found:
        tables.show_explained(one)


@retention.command()
@pass_invocation
def overdue(invocation: Invocation) -> None:
    """Show what waits for a person: reviews of rules, the patient list, disposals, old studies."""
    from orchestrator.actions.retention.overdue import waiting
    from orchestrator.cli import retention_documents as documents

    found = waiting(invocation.open_site())
    if invocation.as_json:
        render.show_json(documents.waiting(found))
    elif not found:
        render.say("nothing is overdue")
    else:
        render.table(
            ["", "what", "next"],
            [["overdue" if one.is_overdue else "soon", one.words, one.hint] for one in found],
        )
    if any(one.is_overdue for one in found):
        raise ExitWith(PARTLY_DONE)


@retention.command()
@click.argument("study")
@click.option("--doubt", required=True, metavar="REASON", help="The reason for its review.")
@click.option(
    "--finding",
    required=True,
    metavar="TEXT",
    help="What you looked at and found, kept as ciphertext; - for standard input.",
)
@pass_invocation
def determine(invocation: Invocation, study: str, *, doubt: str, finding: str) -> None:
    """Settle one doubt about STUDY, or confirm what another person has found.

    Two people are needed: one of compliance finds, another one, of compliance or an operator,
    confirms with the same command. It counts as long as what raised the doubt stays as it is.
    docs/retention.md says which doubts can be settled, and what counts then.
    """
    from orchestrator.actions.retention.determine import determine as settle

    found = settle(invocation.open_site(), study, doubt, _finding(finding))
    if invocation.as_json:
        render.show_json(found.document())
        return
    words = {
        "asked": "counts when another person has confirmed it with the same command",
        "in_force": "is in force: the doubt counts no more, as long as the facts stay as they are",
    }
    what = f"{found.determination} about {found.doubt} of study {found.study}"
    render.say(f"{what} {words.get(found.state, 'does not count yet')}")


def _finding(text: str) -> str:
    """Return what was found; it may name somebody, and what is typed other users can read."""
    if text != "-":
        return text
    try:
        return sys.stdin.read(65_536)
    except UnicodeDecodeError:
        raise UsageError("the finding is no text that can be read") from None


@retention.command()
@click.option("--study", metavar="KEY", help="Only about this study, by pseudonym.")
@click.option("--findings", is_flag=True, help="Show what was found. It may name somebody.")
@pass_invocation
def determinations(invocation: Invocation, *, study: str | None, findings: bool) -> None:
    """Show which doubts people have settled, and which of that still counts."""
    from orchestrator.actions.retention.findings import listing

    found = listing(invocation.open_site(), study=study, findings=findings)
    if invocation.as_json:
        render.show_json({"determinations": [one.document() for one in found]})
        return
    render.table(
        ["determination", "state", "study", "doubt", "found by", "confirmed by", "withdrawn by"]
        + (["findings"] if findings else []),
        [
            [
                one.determination,
                one.state,
                one.study,
                one.doubt,
                one.asked_by,
                one.made_by,
                one.withdrawn_by,
                *([" / ".join(one.findings or ())] if findings else []),
            ]
            for one in found
        ],
    )


@retention.command()
@click.argument("determination", metavar="ID")
@pass_invocation
def withdraw(invocation: Invocation, determination: str) -> None:
    """Take back determination ID: the doubt stands again, and the study is kept.

    One person is enough. A disposal that has begun with the study goes on: only a hold stops it.
    """
    from orchestrator.actions.retention.determine import withdraw as take_back

    found = take_back(invocation.open_site(), determination)
    if invocation.as_json:
        render.show_json(found.document())
        return
    render.say(f"{found.determination} is withdrawn: the doubt about study {found.study} stands")
    for name in found.disposals:
        render.say(
            f"disposal {name} has begun with it; to keep what is left: "
            f"orchestrator --as ACTOR hold place --study {found.study} --matter TEXT --reason TEXT"
        )
