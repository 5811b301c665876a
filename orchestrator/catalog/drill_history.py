"""When what was last restored: whose turn the next drill is. Drills that could not run are none."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.drill_tables import Drill


def last_by_scope(session: Session, store: str, copy: str) -> dict[str, dt.datetime]:
    """Return when each scope was last restored from a copy, whatever was found."""
    query = (
        select(Drill.scope, sa.func.max(Drill.started_at))
        .where(col(Drill.store) == store, col(Drill.copy_) == copy, *_ran())
        .group_by(col(Drill.scope))
    )
    return dict(session.exec(query).all())


def last_of_medium(session: Session, store: str, copy: str, label: str) -> dt.datetime | None:
    """Return when a medium was last restored from, whatever was found; None for never."""
    query = select(sa.func.max(Drill.started_at)).where(
        col(Drill.store) == store,
        col(Drill.copy_) == copy,
        col(Drill.medium) == label,
        *_ran(),
    )
    return session.exec(query).one()


def kit_drilled(session: Session, after: dt.datetime, before: dt.datetime) -> bool:
    """Say whether a drill with nothing but the recovery kit began in a time and restored."""
    query = select(sa.func.count()).where(
        col(Drill.kit_only).is_(True),
        col(Drill.started_at) >= after,
        col(Drill.started_at) < before,
        *_ran(),
    )
    return session.exec(query).one() > 0


def _ran() -> list[sa.ColumnElement[bool]]:
    return [col(Drill.verdict).in_(("verified", "not_verified"))]
