"""The doctor's look at retention: what is adopted, what is not covered, what waits too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from orchestrator.actions.finding import Finding
from orchestrator.actions.retention.findings import listing as determinations
from orchestrator.actions.retention.listing import Listing, listing
from orchestrator.actions.retention.overdue import of_patient_list, of_schedules
from orchestrator.actions.retention.policy import behind_ledger
from orchestrator.actions.site import Site
from orchestrator.catalog import runs

PLAN_MAX_AGE = timedelta(days=14)
"""The plan is made each week; an older count says nothing of today."""

_NAME = "retention"
_LOOK = "orchestrator retention plan --verdict review"


def look_at_retention(site: Site) -> Iterator[Finding]:
    """Check that what is adopted can decide, and say what is not covered."""
    found = listing(site)
    adopted = [one for one in found.schedules if one.adopted is not None]
    for fault in found.changes:
        yield Finding(_NAME, "fail", f"nothing is decided: {fault}", "orchestrator retention list")
    for faulty in found.faulty:
        yield Finding(
            _NAME, "warn", f"cannot be adopted: {faulty.faults[0]}", "orchestrator retention list"
        )
    with site.catalog.reading() as session:
        for words, hint in behind_ledger(site, session):
            yield Finding(_NAME, "fail", words, hint)
    yield from _uncovered(found)
    if not adopted:
        return
    yield Finding(_NAME, "ok", f"{len(adopted)} schedules are in force")
    yield _in_review(site)
    yield from _findings(site)
    yield from _newer(found)
    for one in [*of_schedules(found), *of_patient_list(site)]:
        yield Finding(_NAME, "warn", one.words, one.hint)


def _in_review(site: Site) -> Finding:
    """Say how many studies wait for a person, as the last plan counted them."""
    hint, count_them = _LOOK, "orchestrator job run retention-plan"
    with site.catalog.reading() as session:
        last = runs.last(session, None, action="retention-plan", outcomes=("succeeded", "partial"))
    if last is None or last.metrics.get("review") is None or last.ended_at is None:
        return Finding(_NAME, "unknown", "nobody has counted the studies in review yet", count_them)
    age = site.clock.now() - last.ended_at
    when = f"{last.ended_at.astimezone(site.config.timezone):%Y-%m-%d}"
    count, due = int(last.metrics["review"]), int(last.metrics.get("review_due") or 0)
    words = f"{count} studies were in review on {when}"
    if due:
        since = last.metrics.get("review_since")
        words += f"; of {due} of them every known period has ended, the first since {since}"
    if age > PLAN_MAX_AGE:
        return Finding(_NAME, "unknown", f"{words}; nobody has counted since", count_them)
    return Finding(_NAME, "warn" if count else "ok", words, hint if count else None)


def _findings(site: Site) -> Iterator[Finding]:
    """Say which findings wait for a second person, or count no more."""
    for one in determinations(site):
        if one.state == "asked":
            yield Finding(
                _NAME,
                "warn",
                f"{one.determination}: {one.asked_by} has found that {one.doubt} is settled; a "
                "second person must confirm it, or it is withdrawn",
                f"orchestrator --as ANOTHER retention determine {one.study} --doubt {one.doubt} "
                "--finding TEXT",
            )
        elif one.state == "unrecorded":
            yield Finding(
                _NAME,
                "warn",
                f"{one.determination}: the ledger does not know that it was made, so that it does "
                "not count",
                f"orchestrator --as ANOTHER retention determine {one.study} --doubt {one.doubt} "
                "--finding TEXT",
            )


def _uncovered(found: Listing) -> Iterator[Finding]:
    for one in found.jurisdictions:
        if one.adopted:
            continue
        hint = "docs/retention.md says how a schedule is written"
        if one.offered:
            hint = f"orchestrator --as ACTOR retention adopt {one.offered[0]}"
        yield Finding(
            _NAME,
            "warn",
            f"no schedule of {one.jurisdiction} is adopted: nothing in store "
            f"{', '.join(one.stores)} comes due",
            hint,
        )


def _newer(found: Listing) -> Iterator[Finding]:
    for one in found.schedules:
        if one.newer is not None and one.adopted is not None:
            yield Finding(
                _NAME,
                "warn",
                f"schedule {one.schedule.id}: {one.adopted.version} is in force, {one.newer} is "
                "newer and changes nothing until it is adopted",
                f"orchestrator --as ACTOR retention adopt {one.schedule.id}",
            )
    majority = found.majority
    if majority.version not in (None, majority.offered):
        yield Finding(
            _NAME,
            "warn",
            f"ages of majority: {majority.version} is in force, {majority.offered} is newer",
            "orchestrator --as ACTOR retention adopt majority",
        )
