"""How the answers of ``retention`` look to people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orchestrator.cli import render

if TYPE_CHECKING:
    from orchestrator.actions.retention.export import ListedPlan
    from orchestrator.actions.retention.listing import Listing, ScheduleFacts
    from orchestrator.actions.retention.plan import Plan


def rules(one: ScheduleFacts) -> str:
    """Say in short how many rules a schedule has and what is weak about them."""
    rules = one.schedule.rules
    words = [f"{len(rules)}"]
    low = sum(rule.confidence == "low" for rule in rules)
    if low:
        words.append(f"{low} of low confidence")
    limits = [rule.review_by for rule in rules if rule.review_by is not None]
    if limits:
        words.append(f"review by {min(limits)}")
    return ", ".join(words)


def remarks(found: Listing) -> list[str]:
    """Say what is not covered, faulty or newer."""
    lines = [
        f"{one.jurisdiction} (store {', '.join(one.stores)}): no schedule is adopted: nothing there"
        + f" comes due; {_offer(one.offered)}"
        for one in found.jurisdictions
        if not one.adopted
    ]
    majority = found.majority
    if majority.version not in (None, majority.offered):
        lines.append(
            f"ages of majority: {majority.version} is adopted, {majority.offered} is newer: "
            "orchestrator --as ACTOR retention adopt majority"
        )
    lines += [f"fault: {fault}" for one in found.faulty for fault in one.faults]
    lines += [f"nothing is decided: {fault}" for fault in found.changes]
    if found.templates:
        names = ", ".join(found.templates)
        lines.append(f"templates to copy to retention_policies/ and fill in: {names}")
    return lines


def _offer(names: tuple[str, ...]) -> str:
    if not names:
        return "none ships for it: write one, docs/retention.md says how"
    return f"orchestrator --as ACTOR retention adopt {names[0]}"


def show_rule(one: dict[str, Any]) -> None:
    """Print one rule of a schedule in plain words."""
    from orchestrator.retention.words import WORDS

    render.say()
    trigger = one["trigger"].replace("_", " ")
    render.say(f"{one['rule']} ({one['record_class'].replace('_', ' ')})")
    render.say(f"  kept: {one['adult']}, from: {trigger}")
    if one["minor"] is not None:
        render.say(f"  minors: {one['minor']}")
    render.say(f"  citation: {one['citation']}, read on {one['read_on']}: {one['source'] or '–'}")
    reviewed = f"reviewed on {one['reviewed_on']} by {one['reviewer']}, next by {one['review_by']}"
    render.say(
        f"  confidence: {one['confidence']}; {reviewed if one['reviewer'] else 'unreviewed'}"
    )
    if one["lets_nothing_go"] is not None:
        render.say(f"  lets nothing go: {WORDS[one['lets_nothing_go']].meaning}")
    for notice in one["notices"]:
        render.say(f"  before disposal: {notice['text']}")
    for conflict in one["conflicts"]:
        render.say(f"  other reading: {conflict}")
    if one["note"]:
        render.say(f"  note: {one['note']}")


def show_plan(found: Plan) -> None:
    """Print what a plan comes to, by verdict, reason, rule and year."""
    from orchestrator.actions.retention.plan import VERDICTS
    from orchestrator.retention.words import VERDICTS as MEANINGS
    from orchestrator.retention.words import WORDS

    render.say(f"{found.studies} studies on {found.today}")
    render.table(
        ["verdict", "", "studies", "files", "bytes"],
        [
            [verdict, MEANINGS[verdict], one.studies, one.files, render.size(one.size_bytes)]
            for verdict, one in found.verdicts.items()
        ],
    )
    reasons = [
        [verdict, count, WORDS[reason].meaning, WORDS[reason].next_step or None]
        for verdict, counts in found.reasons.items()
        for reason, count in counts.most_common()
    ]
    if reasons:
        render.table(["verdict", "studies", "because", "next"], reasons)
    settled = [
        [verdict, count, WORDS[doubt].meaning]
        for verdict, counts in found.settled.items()
        for doubt, count in counts.most_common()
    ]
    if settled:
        render.table(["verdict", "studies", "settled by two people"], settled)
    if found.rules:
        render.table(
            ["the rule that keeps longest", "citation", *VERDICTS],
            [
                [
                    f"{rule.schedule} {rule.version}: {rule.rule} ({rule.part})",
                    rule.citation,
                    *(counts[verdict] for verdict in VERDICTS),
                ]
                for rule, counts in sorted(
                    found.rules.items(), key=lambda item: (item[0].schedule, item[0].rule)
                )
            ],
        )
    years = sorted(found.due_years.items(), key=lambda item: (item[0] is None, item[0] or 0))
    if years:
        render.table(
            ["periods end in", *VERDICTS],
            [
                [year or "never, or not known", *(counts[verdict] for verdict in VERDICTS)]
                for year, counts in years
            ],
        )


def show_decisions(found: ListedPlan) -> None:
    """Print the listed decisions, and how many are left out."""
    if not found.decisions:
        return
    rows = [json.loads(line) for line in found.lines()]
    render.table(
        ["study", "store", "verdict", "due", "reasons", "citation"],
        [
            [
                one["study"],
                one["store"],
                one["verdict"],
                one["due"],
                ", ".join(one["reasons"]) or None,
                one["citation"],
            ]
            for one in rows
        ],
    )
    if found.left_out:
        render.say(f"{found.left_out} more are not listed: --limit, or --export FILE")


def show_explained(one: dict[str, Any]) -> None:
    """Print why a study is kept or may go."""
    render.say(f"study {one['study']} of store {one['store']} {one['words']}")
    render.say(f"no period keeps it from: {one['due'] or 'never, or not known'}")
    if one["rule"] is not None:
        render.say(f"the longest: {one['citation']} ({one['schedule']} {one['version']})")
    for hold in one["holds"]:
        render.say(f"hold: {hold}")
    for reason in one["explained"]:
        render.say(f"because {reason['meaning']}")
        if reason["next_step"]:
            render.say(f"  next: {reason['next_step']}")
    for settled in one["settled"]:
        people = f"{settled['asked_by']} and {settled['made_by']}"
        render.say(
            f"settled by {settled['determination']} ({people}, {settled['made_at']:%Y-%m-%d}): "
            f"{settled['meaning']}"
        )
        render.say(f"  what counts: {settled['counts']}")
    for idle in one["not_counting"]:
        why = {
            "asked": "another person must confirm it",
            "lapsed": "what it was about has changed",
            "unrecorded": "the ledger does not know that it was made",
        }[idle["state"]]
        render.say(f"{idle['determination']} about {idle['doubt']} does not count: {why}")
    if one["components"]:
        render.table(
            ["", "period", "from", "over on", "rule", "citation"],
            [
                [
                    "longest" if part["wins"] else "",
                    part["words"],
                    part["starts"],
                    part["due"],
                    f"{part['schedule']}: {part['rule']} ({part['part']})",
                    part["citation"],
                ]
                for part in one["components"]
            ],
        )
