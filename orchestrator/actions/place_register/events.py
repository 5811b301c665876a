"""What the ledger is told of places: ids, never a path; where it is, is committed to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.ledger.record import Event
from orchestrator.catalog import places

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.place_tables import CopyPlace

LEFT, CLOSE_ASKED = "place.left", "place.close_asked"
CLOSE_WITHDRAWN, CLOSED = "place.close_withdrawn", "place.closed"


def left(row: CopyPlace) -> Event:
    """Return the entry of a place where a copy is no more."""
    assert row.left_at is not None  # noqa: S101 - asked only of those
    body = {
        "place": row.id,
        "copy": row.copy_,
        "role": row.role,
        "first_seen": _text(row.first_seen),
        "last_seen": _text(row.last_seen),
        "left_at": _text(row.left_at),
    }
    return Event(LEFT, body, subjects={"location": [row.location]})


def close_asked(row: CopyPlace) -> Event:
    """Return the entry of what a first person says has become of a place."""
    return Event(CLOSE_ASKED, _said(row) | {"by": row.asked_by}, note=row.asked_note)


def close_withdrawn(row: CopyPlace, by: str, at: datetime) -> Event:
    """Return the entry of what a person takes back."""
    body = {"place": row.id, "copy": row.copy_, "by": by, "withdrawn_at": _text(at)}
    return Event(CLOSE_WITHDRAWN, body)


def closed(row: CopyPlace) -> Event:
    """Return the entry of a place that two people have closed."""
    assert row.closed_at is not None  # noqa: S101 - asked only of those
    body = _said(row) | {
        "asked_by": row.asked_by,
        "by": row.closed_by,
        "closed_at": _text(row.closed_at),
        "looked": row.looked,
    }
    return Event(CLOSED, body, note=row.closed_note)


def since(session: Session, at: datetime) -> Iterator[Event]:
    """Yield what has become of places since an instant, for an account of what happened."""
    for row in places.listing(session):
        if row.left_at is not None and row.left_at >= at:
            yield left(row)
        if row.closed_at is not None and row.closed_at >= at:
            yield closed(row)


def _said(row: CopyPlace) -> dict[str, Any]:
    body = {"place": row.id, "copy": row.copy_, "how": row.how}
    return body | ({} if row.sanitization is None else {"sanitization": row.sanitization})


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
