"""The places at which copies were ever seen: rows only, the actions say what follows from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import table_of
from orchestrator.catalog.lookup import by_beginning
from orchestrator.catalog.place_tables import PLACE_PREFIX, CopyPlace
from orchestrator.catalog.tables import File, Repository, Run, Snapshot

_place = table_of(CopyPlace)


def is_place(text: str) -> bool:
    """Say whether what stands where a medium's id may stand is the id of a place."""
    return text.startswith(PLACE_PREFIX)


def gate(session: Session) -> None:
    """Let nobody else write places until this transaction ends, so that none is there twice.

    On SQLite a writing transaction is the only one anyhow.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE copy_place IN SHARE ROW EXCLUSIVE MODE"))


def save(session: Session, row: CopyPlace) -> None:
    """Record a place, or what has changed of it."""
    session.add(row)
    session.flush()


def get(session: Session, name: str) -> CopyPlace:
    """Return a place by its id or the beginning of it.

    Raises:
        NotFoundError: There is none.
        UsageError: There are several.
    """
    return by_beginning(session, CopyPlace, name, what="place", hint="orchestrator place list")


def find(session: Session, place: str) -> CopyPlace | None:
    """Return a place by its whole id; None if there is none."""
    return session.get(CopyPlace, place, populate_existing=True)


def listing(
    session: Session, *, copy: str | None = None, closed: bool = True
) -> Sequence[CopyPlace]:
    """Return places, by copy and when they were first seen.

    Args:
        session: Any session.
        copy: Of this copy; None for all.
        closed: Also those that were closed.
    """
    query = select(CopyPlace).order_by(
        col(CopyPlace.copy_), col(CopyPlace.first_seen), col(CopyPlace.id)
    )
    if copy is not None:
        query = query.where(col(CopyPlace.copy_) == copy)
    if not closed:
        query = query.where(col(CopyPlace.closed_at).is_(None))
    return session.exec(query.execution_options(populate_existing=True)).all()


def store_began(session: Session, store: str) -> dt.datetime | None:
    """Return before when no snapshot of a store can have been made; None if nothing says."""
    repository, snapshot = table_of(Repository), table_of(Snapshot)
    known: list[dt.datetime] = []
    for table, column in ((repository, repository.c.created_at), (snapshot, snapshot.c.at)):
        query = sa.select(sa.func.min(column)).where(table.c.store == store)
        found = session.connection().execute(query).scalar()
        if found is not None:
            known.append(found)
    return min(known, default=None)


def study_came(session: Session, store: str, study: str) -> tuple[str, dt.datetime] | None:
    """Return the run that has first seen a study, and when that was; None if it is in doubt.

    In doubt is what no run's row tells, and a time that the store's later runs contradict.
    """
    file, run = table_of(File), table_of(Run)
    connection = session.connection()
    first = connection.execute(
        sa.select(sa.func.min(file.c.first_run)).where(
            file.c.store == store, file.c.study_key == study
        )
    ).scalar()
    if first is None:
        return None
    began = connection.execute(sa.select(run.c.started_at).where(run.c.id == first)).scalar()
    later = connection.execute(
        sa.select(sa.func.min(run.c.started_at)).where(run.c.store == store, run.c.id > first)
    ).scalar()
    if began is None or (later is not None and later < began):
        return None
    return first, began
