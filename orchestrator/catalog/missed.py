"""What was due and did not happen, each noticed once; the ledger takes them from here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import insert_missing
from orchestrator.catalog.drill_tables import MissedEvent


def add(session: Session, events: Iterable[MissedEvent]) -> int:
    """Record events that nobody has recorded yet; the others keep what was noticed first.

    Returns:
        How many were new.
    """
    return insert_missing(session, MissedEvent, [event.model_dump() for event in events])


def since(
    session: Session, at: dt.datetime, *, action: str | None = None, limit: int = 1000
) -> Sequence[MissedEvent]:
    """Return the events that were due from an instant on, newest first.

    Args:
        session: Any session.
        at: The instant.
        action: Only those of this action; None for all.
        limit: At most so many, 1 or more.
    """
    query = select(MissedEvent).where(col(MissedEvent.due_at) >= at)
    if action is not None:
        query = query.where(col(MissedEvent.action) == action)
    newest = query.order_by(col(MissedEvent.due_at).desc(), col(MissedEvent.job))
    return session.exec(newest.limit(limit)).all()


def unrecorded(session: Session, *, limit: int = 1000) -> Sequence[MissedEvent]:
    """Return the events that the ledger does not have yet, oldest first."""
    query = select(MissedEvent).where(col(MissedEvent.recorded_at).is_(None))
    oldest = query.order_by(col(MissedEvent.due_at), col(MissedEvent.job))
    return session.exec(oldest.limit(limit)).all()


def mark_recorded(session: Session, events: Iterable[MissedEvent], *, now: dt.datetime) -> None:
    """Record that events stand in the ledger."""
    for event in events:
        session.connection().execute(
            sa.update(MissedEvent)
            .where(col(MissedEvent.job) == event.job, col(MissedEvent.slot) == event.slot)
            .values(recorded_at=now)
        )


def drop_future(session: Session, *, after: dt.datetime) -> int:
    """Forget events that are due later than `after`: a clock that was wrong noticed them.

    What stands in the ledger stays.

    Returns:
        How many there were.
    """
    dropped = session.connection().execute(
        sa.delete(MissedEvent).where(
            col(MissedEvent.due_at) > after, col(MissedEvent.recorded_at).is_(None)
        )
    )
    return dropped.rowcount
