"""When what was last restored: whose turn the next drill is. Drills that could not run are none."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.drill_tables import Drill
from orchestrator.catalog.tables import Run
from orchestrator.errors import DamageError

DAMAGE_LOOKED_AT = 200
"""How many of the newest drills of a copy are looked at for damage."""


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


def ran_for(session: Session, job: str, after: dt.datetime, before: dt.datetime) -> bool:
    """Say whether a drill that was made by hand for a job began in a time and restored."""
    query = (
        select(sa.func.count())
        .select_from(Drill)
        .join(Run, col(Run.id) == col(Drill.run_id))
        .where(
            col(Run.job) == job,
            col(Run.slot).is_(None),
            col(Drill.started_at) >= after,
            col(Drill.started_at) < before,
            *_ran(),
        )
    )
    return session.exec(query).one() > 0


def open_damage(session: Session, store: str, copy: str, medium: str | None) -> Drill | None:
    """Return the newest drill that found damage on a copy and was not followed by a good one.

    Only a verified drill of the same scope, or of the whole store, of the copy as it is now says
    that the damage is gone.
    """
    query = (
        select(Drill)
        .where(
            col(Drill.store) == store,
            col(Drill.copy_) == copy,
            col(Drill.medium).is_not_distinct_from(medium),
            *_ran(),
        )
        .order_by(col(Drill.started_at).desc(), col(Drill.id).desc())
    )
    good: set[str] = set()
    for drill in session.exec(query.limit(DAMAGE_LOOKED_AT)):
        if drill.verdict == "verified" and drill.as_of is None:
            good.add(drill.scope)
        elif drill.exit_code == DamageError.exit_code and not good & {"all", drill.scope}:
            return drill
    return None


def _ran() -> list[sa.ColumnElement[bool]]:
    return [col(Drill.verdict).in_(("verified", "not_verified"))]
