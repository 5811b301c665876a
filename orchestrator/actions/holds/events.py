"""What the ledger is told of holds: matter and pseudonyms, never a name or a reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.ledger.record import Event
from orchestrator.catalog import holds

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.hold_tables import Hold as HoldRow


def placed(row: HoldRow) -> Event:
    """Return the entry of a hold that was placed."""
    subjects: dict[str, list[str]] = {}
    if row.study_key is not None:
        subjects["study"] = [row.study_key]
    if row.patient_key is not None:
        subjects["patient"] = [row.patient_key]
    body: dict[str, Any] = {
        "hold": row.id,
        "kind": row.kind,
        "matter": row.matter,
        "source": row.source,
        "by": row.placed_by,
        "placed_at": _text(row.placed_at),
        "starts_at": _text(row.starts_at),
    }
    for name, value in (
        ("store", row.store),
        ("from", row.dates_from and row.dates_from.isoformat()),
        ("to", row.dates_to and row.dates_to.isoformat()),
    ):
        if value is not None:
            body[name] = value
    return Event("hold.placed", body, subjects=subjects)


def release_asked(row: HoldRow) -> Event:
    """Return the entry of a release that a first person asks for."""
    assert row.release_asked_at is not None  # noqa: S101 - the caller has just set it
    body = {
        "hold": row.id,
        "matter": row.matter,
        "by": row.release_asked_by,
        "asked_at": _text(row.release_asked_at),
    }
    return Event("hold.release_asked", body)


def release_withdrawn(row: HoldRow, by: str, at: datetime) -> Event:
    """Return the entry of a release that is no longer asked for."""
    body = {"hold": row.id, "matter": row.matter, "by": by, "withdrawn_at": _text(at)}
    return Event("hold.release_withdrawn", body)


def released(row: HoldRow) -> Event:
    """Return the entry of a hold that two people have released."""
    assert row.released_at is not None  # noqa: S101 - asked only of released ones
    body = {
        "hold": row.id,
        "matter": row.matter,
        "asked_by": row.release_asked_by,
        "by": row.released_by,
        "released_at": _text(row.released_at),
    }
    return Event("hold.released", body)


def since(session: Session, at: datetime) -> Iterator[Event]:
    """Yield what has become of holds since an instant, for an account of what happened."""
    for row in holds.listing(session, released=True):
        if row.placed_at >= at:
            yield placed(row)
        if row.released_at is not None and row.released_at >= at:
            yield released(row)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
