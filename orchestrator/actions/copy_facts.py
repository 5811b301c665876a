"""What is known of a copy, gathered for a verdict."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.site import Site
from orchestrator.actions.verdict import CopyFacts, Limits, judge_copy
from orchestrator.catalog import copies, media, snapshots
from orchestrator.config.site import Copy

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.copy_tables import CopyState as CopyStateRow

BAD = ("damaged", "missing")
"""States of files that a copy does not hold as it should."""


def limits(site: Site, store: str) -> Limits:
    """Return how old facts about a store's copies may be."""
    targets = site.config.targets
    return Limits(
        rpo=site.store_config(store).rpo,
        verified_within=targets.verified_within,
        observed_within=targets.observed_within,
    )


def facts_of_store(
    site: Site, session: Session, store: str
) -> tuple[list[CopyFacts], datetime | None]:
    """Gather what is known of every copy of a store, and when its newest snapshot was taken.

    An offline copy is spoken for by its best medium.
    """
    now = site.clock.now()
    rows: dict[str, list[CopyFacts]] = {name: [] for name in site.config.copies}
    retired = {row.id for row in media.of_copy(session, retired=True) if row.retired_at is not None}
    for state in copies.states(session, store=store):
        if state.copy_ in rows and state.medium not in retired:
            rows[state.copy_].append(facts_of(site, session, state))
    newest = snapshots.newest_complete(session, store, now=now)
    newest_at = newest.at if newest else None
    wanted = limits(site, store)

    def rank(facts: CopyFacts) -> tuple[bool, float]:
        counts = judge_copy(facts, newest=newest_at, limits=wanted, now=now).counts
        return counts, facts.newest_at.timestamp() if facts.newest_at else 0.0

    chosen = [
        max(found, key=rank) if found else CopyFacts(name, site.config.copies[name].role)
        for name, found in rows.items()
    ]
    return chosen, newest_at


def facts_of(site: Site, session: Session, row: CopyStateRow) -> CopyFacts:
    """Gather what is known of a repository in one copy."""
    copy: Copy = site.config.copies[row.copy_]
    detail = detail_of(row.detail)
    have = copies.totals(session, (row.copy_, row.medium, row.repository_id))
    due_at = media.get(session, row.medium).due_at if row.medium else None
    return CopyFacts(
        copy=row.copy_,
        role=copy.role,
        medium=detail.get("label"),
        domain=detail.get("domain"),
        reachable=detail.get("reachable"),
        observed_at=row.observed_at,
        separate=detail.get("separate", True),
        damaged=sum(have.get(state, (0, 0))[0] for state in BAD) + bool(detail.get("unsound")),
        alarm=detail.get("words") if detail.get("alarm") else None,
        newest_snapshot=row.newest_snapshot,
        newest_at=row.newest_at,
        verified_at=row.verified_at,
        protected_until=row.protected_until,
        due_at=due_at,
        detail=detail.get("words"),
    )


def detail_of(text: str | None) -> dict[str, Any]:
    """Return what was noted beside the columns of a copy's state."""
    return dict(json.loads(text)) if text else {}
