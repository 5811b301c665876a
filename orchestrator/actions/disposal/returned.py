"""Studies that were disposed of and have files again: what lets them go once more, and where.

A backup has taken them up, and every restore leaves them out: nobody may forget them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.catalog import disposals, disposed, suppressions
from orchestrator.catalog.disposals import DUE, LIVE_REMOVED, SUPPRESSED

if TYPE_CHECKING:
    from datetime import date

    from sqlmodel import Session

    from orchestrator.retention.study import Decision

BACK = "disposed_study_is_back"
"""The one reason that does not keep such a study: it is why people are asked."""


def may_go(decision: Decision, today: date) -> bool:
    """Say whether two people may let a study go by what was decided about it. Pure.

    Args:
        decision: What follows for it.
        today: The day at the site.
    """
    if decision.verdict == "dispose":
        return True
    is_over = decision.due is not None and decision.due <= today
    return decision.verdict == "review" and set(decision.reasons) == {BACK} and is_over


def returned(session: Session) -> Mapping[str, frozenset[str]]:
    """Return the studies that came back, by store; not those whose removal is under way."""
    going = disposals.batched(session, states=(DUE, SUPPRESSED, LIVE_REMOVED))
    gone: dict[str, set[str]] = {}
    for store, study, _since in suppressions.every(session):
        if (store, study) not in going:
            gone.setdefault(store, set()).add(study)
    found = {store: disposed.in_catalog(session, store, studies) for store, studies in gone.items()}
    return {store: frozenset(studies) for store, studies in found.items() if studies}
