"""The suppression list: studies whose disposal has begun, which every restore leaves out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog.bulk import batches, table_of, upsert
from orchestrator.catalog.drill_tables import SuppressedStudy

_KEYS_A_QUERY = 500

_suppressed = table_of(SuppressedStudy)


def suppressed(session: Session, store: str) -> frozenset[str]:
    """Return the pseudonyms of a store's disposed studies."""
    query = sa.select(_suppressed.c.study_key).where(_suppressed.c.store == store)
    return frozenset(session.connection().execute(query).scalars())


def every(session: Session) -> list[tuple[str, str, dt.datetime]]:
    """Return store, pseudonym and date of every disposed study, in order."""
    query = sa.select(_suppressed.c.store, _suppressed.c.study_key, _suppressed.c.since).order_by(
        _suppressed.c.store, _suppressed.c.study_key
    )
    rows = session.connection().execute(query)
    return [(row.store, row.study_key, row.since) for row in rows]


def add(session: Session, store: str, studies: Iterable[str], *, now: dt.datetime) -> None:
    """Put studies on the list; one that is there keeps its first date."""
    upsert(
        session,
        SuppressedStudy,
        ({"store": store, "study_key": key, "since": now} for key in studies),
        key=["store", "study_key"],
        keep=["since"],
    )


def remove(session: Session, store: str, studies: Iterable[str]) -> None:
    """Take studies off the list: their disposal was called off before anything was removed."""
    for batch in batches(studies, _KEYS_A_QUERY):
        session.connection().execute(
            sa.delete(_suppressed).where(
                _suppressed.c.store == store, _suppressed.c.study_key.in_(batch)
            )
        )


def clear(session: Session) -> None:
    """Take every study off the list: a newer list takes its place."""
    session.connection().execute(sa.delete(_suppressed))
