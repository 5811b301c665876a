"""Adopted retention schedules with their texts. Knows no TOML and no law.

At most one row of a schedule is in force; the ones it replaced stay for good, so that it can be
shown by which text a study was disposed of.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.retention_tables import AdoptedSchedule

MAJORITY = "majority"
"""The `kind` of the row that keeps the table of majority ages, which is no schedule."""


def adopt(session: Session, row: AdoptedSchedule) -> None:
    """Put a schedule into force; the one of the same id that was in force is replaced."""
    session.connection().execute(
        sa.update(AdoptedSchedule)
        .where(
            col(AdoptedSchedule.schedule_id) == row.schedule_id,
            col(AdoptedSchedule.replaced_at).is_(None),
        )
        .values(replaced_at=row.adopted_at)
    )
    session.add(row)
    session.flush()


def in_force(session: Session) -> Sequence[AdoptedSchedule]:
    """Return what is in force, by id; the table of majority ages among it."""
    query = select(AdoptedSchedule).where(col(AdoptedSchedule.replaced_at).is_(None))
    return session.exec(query.order_by(col(AdoptedSchedule.schedule_id))).all()


def history(session: Session, schedule_id: str) -> Sequence[AdoptedSchedule]:
    """Return every adoption of a schedule, oldest first."""
    query = select(AdoptedSchedule).where(col(AdoptedSchedule.schedule_id) == schedule_id)
    return session.exec(query.order_by(col(AdoptedSchedule.adopted_at))).all()


def digests(session: Session) -> dict[tuple[str, str], set[str]]:
    """Return by id and version the digests that were ever adopted."""
    query = sa.select(
        col(AdoptedSchedule.schedule_id), col(AdoptedSchedule.version), col(AdoptedSchedule.digest)
    )
    found: dict[tuple[str, str], set[str]] = {}
    for schedule_id, version, digest in session.connection().execute(query):
        found.setdefault((schedule_id, version), set()).add(digest)
    return found
