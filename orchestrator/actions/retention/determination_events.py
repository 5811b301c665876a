"""What the ledger is told of determinations: who, when and which doubt, never what was found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.actions.ledger.record import Event
from orchestrator.actions.retention.determined import ASKED, MADE, WITHDRAWN
from orchestrator.catalog import determinations as rows

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.determination_tables import Determination


def asked(row: Determination) -> Event:
    """Return the entry of what a first person has found."""
    return _event(ASKED, row, row.asked_by, row.asked_at)


def made(row: Determination) -> Event:
    """Return the entry of what a second person has confirmed, and on which facts it rests."""
    return _event(MADE, row, row.made_by, row.made_at, asked_by=row.asked_by, facts=row.facts)


def withdrawn(row: Determination) -> Event:
    """Return the entry of what was taken back."""
    return _event(WITHDRAWN, row, row.withdrawn_by, row.withdrawn_at)


def since(session: Session, at: datetime) -> Iterator[Event]:
    """Yield what was asked and taken back since an instant, for an account of what happened.

    Nothing that was made: what the ledger does not know settles nothing, and it is a person who
    tells it, by confirming again.
    """
    for row in rows.listing(session):
        if row.asked_at >= at:
            yield asked(row)
        if row.withdrawn_at is not None and row.withdrawn_at >= at:
            yield withdrawn(row)


def _event(
    kind: str, row: Determination, by: str | None, at: datetime | None, **more: str
) -> Event:
    assert by is not None  # noqa: S101 - told of what has happened only
    assert at is not None  # noqa: S101
    when = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"determination": row.id, "doubt": row.doubt, "by": by, "acted_at": when, **more}
    return Event(kind, body, subjects={"study": [row.study_key]})
