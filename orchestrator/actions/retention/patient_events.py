"""What the ledger is told of patient lists: counts and the file's hash, nobody's identity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.actions.ledger.record import Event
from orchestrator.catalog import patients as rows

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.retention_tables import PatientList


def imported(row: PatientList) -> Event:
    """Return the entry of a list that was taken."""
    return Event(
        "patients.imported",
        {
            "list": row.id,
            "by": row.imported_by,
            "imported_at": _text(row.imported_at),
            "exported_at": None if row.exported_at is None else _text(row.exported_at),
            "rows": row.rows,
            "accepted": row.accepted,
            "rejected": row.rejected,
        },
        evidence={"patient_list": row.sha256},
    )


def since(session: Session, at: datetime) -> Iterator[Event]:
    """Yield the lists taken since an instant, for an account of what happened."""
    for row in rows.taken_since(session, at):
        yield imported(row)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
