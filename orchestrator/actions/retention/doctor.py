"""The doctor's look at retention: what is adopted, what is not covered, what waits too long."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.actions.finding import Finding
from orchestrator.actions.retention.listing import Listing, listing
from orchestrator.actions.retention.overdue import of_patient_list, of_schedules
from orchestrator.actions.retention.policy import behind_ledger
from orchestrator.actions.site import Site

_NAME = "retention"


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
    yield from _newer(found)
    for one in [*of_schedules(found), *of_patient_list(site)]:
        yield Finding(_NAME, "warn", one.words, one.hint)


def _uncovered(found: Listing) -> Iterator[Finding]:
    for one in found.jurisdictions:
        if one.adopted:
            continue
        hint = "docs/retention.md says how a schedule is written"
        if one.offered:
            hint = f"orchestrator retention adopt {one.offered[0]}"
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
                f"orchestrator retention adopt {one.schedule.id}",
            )
    majority = found.majority
    if majority.version not in (None, majority.offered):
        yield Finding(
            _NAME,
            "warn",
            f"ages of majority: {majority.version} is in force, {majority.offered} is newer",
            "orchestrator retention adopt majority",
        )
