"""What the catalog knows to have happened since an instant, for whoever keeps account of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from sqlmodel import Session, col, select

from orchestrator.catalog.copy_tables import BucketProbe, CheckResult, Medium, MediumEvent
from orchestrator.catalog.tables import Run


def runs_between(
    session: Session, start: dt.datetime, end: dt.datetime, *, actions: Collection[str]
) -> Sequence[Run]:
    """Return the runs of some actions that began within a span, oldest first.

    Args:
        session: Any session.
        start: The first instant.
        end: The first instant after it.
        actions: Of these actions.
    """
    query = select(Run).where(
        col(Run.started_at) >= start, col(Run.started_at) < end, col(Run.action).in_(actions)
    )
    return session.exec(query.order_by(col(Run.started_at))).all()


def checks_since(session: Session, at: dt.datetime, *, ending: str | None) -> Sequence[CheckResult]:
    """Return the results of checks that have ended, oldest first.

    Args:
        session: Any session.
        at: The first instant.
        ending: A run that has nothing more to add, though it has not ended; None for none.
    """
    query = (
        select(CheckResult)
        .join(Run, col(Run.id) == col(CheckResult.run_id))
        .where(col(CheckResult.at) >= at, col(Run.ended_at).is_not(None) | (col(Run.id) == ending))
    )
    return session.exec(query.order_by(col(CheckResult.at), col(CheckResult.id))).all()


def probes_since(session: Session, at: dt.datetime) -> Sequence[BucketProbe]:
    """Return the tamper probes, oldest first."""
    query = select(BucketProbe).where(col(BucketProbe.at) >= at)
    return session.exec(query.order_by(col(BucketProbe.at), col(BucketProbe.id))).all()


def custody_since(session: Session, at: dt.datetime) -> Sequence[tuple[MediumEvent, Medium]]:
    """Return the acts of custody with their media, oldest first."""
    query = (
        select(MediumEvent, Medium)
        .join(Medium, col(Medium.id) == col(MediumEvent.medium))
        .where(col(MediumEvent.at) >= at)
        .order_by(col(MediumEvent.at), col(MediumEvent.id))
    )
    return session.exec(query).all()
