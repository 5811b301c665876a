"""The patient list that drives retention: taking one in, and what is wrong with the one in force.

A list is taken whole or not at all; patients it contradicts itself about are blocked one by one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import patients as rows
from orchestrator.retention.study import ReviewReason

if TYPE_CHECKING:
    from sqlmodel import Session

CLOCK_TOLERANCE = timedelta(minutes=5)
"""The clock of whoever exports may be ahead of ours by this much."""


def list_doubts(site: Site, session: Session) -> frozenset[ReviewReason]:
    """Return why no study at all may be decided by the list in force; empty if it is usable.

    Args:
        site: The site.
        session: The transaction in which the decision is made.
    """
    row = rows.in_force(session)
    if row is None:
        return frozenset({"patient_list_missing"})
    age = None if row.exported_at is None else site.clock.now() - row.exported_at
    # A list from the future is one whose age nobody knows: the clock was set back.
    if age is None or not -CLOCK_TOLERANCE <= age <= site.config.retention.patient_list_max_age:
        return frozenset({"patient_list_stale"})
    return frozenset()
