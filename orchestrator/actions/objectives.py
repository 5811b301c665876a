"""RPO and RTO of a store against what was measured: by restores, by drills, or by projection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from orchestrator.actions.site import Site
from orchestrator.catalog import drills, runs, snapshots
from orchestrator.drills.result import DrillResult, RecoveryTime
from orchestrator.errors import DamageError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Run

Basis = Literal["restore", "drill", "projection"]

LOOKED_AT = 200
"""How many of the newest restores and drills are looked at."""

BELIEVED_FOR = timedelta(days=366)
"""How long a measurement counts: stores grow, and lines and disks change."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A recovery objective against what was measured.

    Attributes:
        target: What the site file demands.
        measured: What was observed; None if nothing was.
        met: Whether it is met; None for unknown. A projection meets it only with the upper end of
            its error bar.
        basis: What it was observed by, for the RTO; None if nothing was.
        projected: What a drill of a part projects for the whole store; None without one.
        projected_high: The upper end of that projection's error bar.
        at: When it was observed.
    """

    target: timedelta
    measured: timedelta | None
    met: bool | None
    basis: Basis | None = None
    projected: timedelta | None = None
    projected_high: timedelta | None = None
    at: datetime | None = None


def recovery_point(site: Site, session: Session, store: str) -> Objective:
    """Return the age of the newest complete snapshot of a store."""
    now = site.clock.now()
    target = site.store_config(store).rpo
    newest = snapshots.newest_complete(session, store, now=now)
    if newest is None:
        return Objective(target, None, None)
    age = now - newest.at
    return Objective(target, age, timedelta(0) <= age <= target, at=newest.at)


def recovery_time(site: Site, session: Session, store: str) -> Objective:
    """Return how long a whole store takes to restore.

    The newest measurement of a whole store counts, by a verified restore or by a drill; without
    one, the projection of the newest drill of a part.
    """
    now = site.clock.now()
    target = site.store_config(store).rto
    since = now - BELIEVED_FOR
    results = [result for result in _drills(session, store) if since <= result.started_at <= now]
    whole = [
        _of_drill(result, target)
        for result in results
        if result.scope == "all" and result.rto.measured_s is not None
    ]
    whole += [
        _of_restore(run, target)
        for run in runs.recent(session, store, action="restore", limit=LOOKED_AT)
        if since <= run.started_at <= now and _measures(run)
    ]
    parts = [
        _of_part(result.rto, result.started_at, target)
        for result in results
        if result.scope != "all"
    ]
    for found in (whole, [part for part in parts if part.projected is not None]):
        if found:
            return max(found, key=lambda one: one.at or since)
    return Objective(target, None, None)


def _drills(session: Session, store: str) -> Iterator[DrillResult]:
    """Yield the drills that say something about the time: a restore of damaged data proves none."""
    for row in drills.recent(session, store, limit=LOOKED_AT):
        ran = row.verdict in ("verified", "not_verified") and row.as_of is None
        if ran and row.exit_code != DamageError.exit_code:
            yield drills.result_of(row)


def _measures(run: Run) -> bool:
    """Only a verified restore of a whole store says anything about the RTO."""
    return bool(
        run.outcome == "succeeded" and run.metrics.get("verified") and run.metrics.get("whole")
    )


def _of_restore(run: Run, target: timedelta) -> Objective:
    took = timedelta(seconds=float(run.metrics["restore_s"]))
    return Objective(target, took, took <= target, "restore", at=run.started_at)


def _of_drill(result: DrillResult, target: timedelta) -> Objective:
    took = timedelta(seconds=result.rto.measured_s or 0)
    return Objective(target, took, took <= target, "drill", at=result.started_at)


def _of_part(rto: RecoveryTime, at: datetime, target: timedelta) -> Objective:
    if rto.projected_s is None or rto.projected_high_s is None:
        return Objective(target, None, None)
    high = timedelta(seconds=rto.projected_high_s)
    return Objective(
        target,
        None,
        high <= target,
        "projection",
        projected=timedelta(seconds=rto.projected_s),
        projected_high=high,
        at=at,
    )
