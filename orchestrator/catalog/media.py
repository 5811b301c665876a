"""Offline media and their custody."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlmodel import Session, col, select

from orchestrator.catalog.copy_tables import Medium, MediumEvent
from orchestrator.errors import NotFoundError

IN_USE, AWAY, RETIRED = "in_use", "away", "retired"
"""States of a medium."""

_MOVEMENTS = ("released", "received", "connected")
"""Acts after which a medium is somewhere else than before."""


def register(session: Session, medium: Medium, *, actor: str) -> None:
    """Record a new medium and the act of registering it."""
    session.add(medium)
    session.flush()
    session.add(
        MediumEvent(
            medium=medium.id,
            at=medium.registered_at,
            actor=actor,
            event="registered",
            holder=medium.holder,
            location=medium.location,
        )
    )
    session.flush()


def get(session: Session, medium_id: str) -> Medium:
    """Return a medium.

    Raises:
        NotFoundError: There is no such medium.
    """
    medium = session.get(Medium, medium_id, populate_existing=True)
    if medium is None:
        raise NotFoundError(f"no medium {medium_id} is known", hint="orchestrator medium list")
    return medium


def of_copy(
    session: Session, copy: str | None = None, *, retired: bool = False
) -> Sequence[Medium]:
    """Return media, oldest first.

    Args:
        session: Any session.
        copy: Of this copy; None for all.
        retired: Also those that were retired.
    """
    query = select(Medium).order_by(col(Medium.registered_at), col(Medium.id))
    if copy is not None:
        query = query.where(col(Medium.copy_) == copy)
    if not retired:
        query = query.where(col(Medium.retired_at).is_(None))
    return session.exec(query).all()


def record(session: Session, event: MediumEvent, *, state: str | None = None) -> Medium:
    """Record an act of custody, and what it changes of the medium.

    Args:
        session: A writing session.
        event: The act; its holder and place become the medium's. Where they are None, a movement
            makes them unknown, and any other act leaves them.
        state: The medium's state from now on; None leaves it. `retired` also dates the
            retirement.

    Returns:
        The medium as it is now.

    Raises:
        NotFoundError: There is no such medium.
    """
    medium = get(session, event.medium)
    session.add(event)
    moved = event.event in _MOVEMENTS
    if moved or event.holder is not None:
        medium.holder = event.holder
    if moved or event.location is not None:
        medium.location = event.location
    if state is not None:
        medium.state = state
        if state == "retired" and medium.retired_at is None:
            medium.retired_at = event.at
    session.add(medium)
    session.flush()
    return medium


def mark_seen(
    session: Session, medium_id: str, *, now: dt.datetime, due_at: dt.datetime | None
) -> None:
    """Record that a medium was here, and when it is due again.

    Raises:
        NotFoundError: There is no such medium.
    """
    medium = get(session, medium_id)
    medium.last_seen = now
    medium.due_at = due_at
    session.add(medium)
    session.flush()


def events(session: Session, medium_id: str) -> Sequence[MediumEvent]:
    """Return a medium's custody, oldest act first."""
    query = (
        select(MediumEvent)
        .where(col(MediumEvent.medium) == medium_id)
        .order_by(col(MediumEvent.at), col(MediumEvent.id))
    )
    return session.exec(query).all()
