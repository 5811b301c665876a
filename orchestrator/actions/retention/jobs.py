"""What the scheduler does for retention: the weekly plan, the monthly review, the nightly settling.

Each says in words what fell short; none of them disposes of anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.retention.overdue import Waiting, waiting
from orchestrator.actions.retention.plan import Plan, plan
from orchestrator.actions.run import Occasion, run
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals
from orchestrator.catalog import schedules as rows
from orchestrator.config.jobs import Action

OF_THE_SITE = frozenset(
    {
        "no_jurisdiction",
        "no_adopted_schedule",
        "class_without_rule",
        "rule_low_confidence",
        "rule_not_reviewed",
        "rule_review_overdue",
        "majority_age_unknown",
        "patient_list_missing",
        "patient_list_stale",
        "patient_list_refused",
    }
)
"""Reasons for review that are not the study's: a schedule or the patient list is at fault."""


def idle(site: Site, action: Action) -> str | None:
    """Say why a job of retention has nothing to do on this site; None if it has something to do."""
    with site.catalog.reading() as session:
        adopted = bool(rows.in_force(session))
        batches = bool(disposals.listing(session, states=disposals.OPEN))
        undecided = bool(disposals.listing(session, states=disposals.UNDECIDED))
    if action == "disposal-settle":
        return None if batches else "nothing to do here: no disposal is under way"
    if adopted or (action == "overdue-review" and (batches or undecided)):
        return None
    return "nothing to do here: no retention schedule is adopted"


def make_plan(site: Site, occasion: Occasion) -> list[str]:
    """Decide about every study and record what it comes to; returns what fell short.

    Raises:
        ConfigError: A schedule was changed under the version that was adopted.
        OrchestratorError: The plan could not be made or recorded.
    """
    with run(site, "retention-plan", exclusive=False, occasion=occasion) as current:
        with current.step("decide"):
            found = plan(site)
        current.metrics |= {name: one.studies for name, one in found.verdicts.items()}
        since = found.review_since
        current.metrics["review_due"] = found.review_due.studies
        current.metrics["review_since"] = since.isoformat() if since is not None else None
        for words in shortfalls(found):
            current.fell_short(words)
        record(site, [Event("disposal.planned", _planned(found))])
    return current.shortfalls


def shortfalls(found: Plan) -> list[str]:
    """Return why studies are in review that are not at fault themselves."""
    return [
        f"{count} studies in review: {reason}"
        for reason, count in sorted(found.reasons["review"].items())
        if reason in OF_THE_SITE
    ]


def _planned(found: Plan) -> dict[str, Any]:
    return {
        "today": found.today.isoformat(),
        "schedules": [f"{name} {version}" for name, version in found.schedules],
        "studies": found.studies,
        **{name: one.studies for name, one in found.verdicts.items()},
        "reasons": dict(sorted(found.reasons["review"].items())),
    }


def review_overdue(site: Site, occasion: Occasion) -> list[str]:
    """Look for what has waited too long and record it; returns it in words.

    Raises:
        ConfigError: A schedule was changed under the version that was adopted.
        OrchestratorError: It could not be looked at or recorded.
    """
    with run(site, "overdue-review", exclusive=False, occasion=occasion) as current:
        with current.step("look"):
            found = waiting(site)
        for one in found:
            if one.is_overdue:
                current.fell_short(one.words)
        current.metrics |= {"overdue": len(current.shortfalls), "soon": len(found)}
        record(site, [Event("retention.reviewed", {"waiting": [_waits(one) for one in found]})])
    return current.shortfalls


def _waits(one: Waiting) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": one.kind, "subject": one.subject, "overdue": one.is_overdue}
    if one.since is not None:
        body["since"] = one.since.isoformat()
    return body


def settle_disposals(site: Site, occasion: Occasion) -> list[str]:
    """Bring disposals forward that wait for a copy; returns what went wrong, in words.

    Raises:
        OrchestratorError: It could not even begin.
    """
    from orchestrator.actions.disposal.settle import settle

    return list(settle(site, occasion=occasion))


DO: dict[Action, Callable[[Site, Occasion], list[str]]] = {
    "retention-plan": make_plan,
    "overdue-review": review_overdue,
    "disposal-settle": settle_disposals,
}
"""What each action does; what it returns fell short."""
