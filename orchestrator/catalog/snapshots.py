"""Snapshots of the repositories."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import BATCH, batches, table_of, upsert
from orchestrator.catalog.tables import Snapshot
from orchestrator.errors import NotFoundError, UsageError

SnapshotKind = Literal["data", "manifest", "state"]

_PREFIX = re.compile(r"[0-9a-f]{1,64}")


def add(session: Session, snapshot: Snapshot) -> None:
    """Record a snapshot; recording the same id again keeps what is known of its forgetting."""
    upsert(
        session,
        Snapshot,
        [snapshot.model_dump()],
        key=["id"],
        keep=["forgotten_at", "forgotten_run"],
    )


def of_store(
    session: Session,
    store: str | None,
    *,
    kind: SnapshotKind | None = "data",
    repository_id: str | None = None,
    forgotten: bool = False,
) -> Sequence[Snapshot]:
    """Return snapshots, newest first.

    Args:
        session: Any session.
        store: Of this store; None for all.
        kind: Of this kind; None for all.
        repository_id: In this repository; None for all.
        forgotten: Also those that were forgotten.
    """
    query = select(Snapshot).order_by(col(Snapshot.at).desc(), col(Snapshot.id))
    if store is not None:
        query = query.where(col(Snapshot.store) == store)
    if kind is not None:
        query = query.where(col(Snapshot.kind) == kind)
    if repository_id is not None:
        query = query.where(col(Snapshot.repository_id) == repository_id)
    if not forgotten:
        query = query.where(col(Snapshot.forgotten_at).is_(None))
    return session.exec(query).all()


def get(session: Session, prefix: str) -> Snapshot:
    """Return a snapshot by its full id or by the beginning of it, forgotten ones too.

    Args:
        session: Any session.
        prefix: 1 to 64 hex digits in lower case.

    Raises:
        NotFoundError: No snapshot has such an id.
        UsageError: Several have.
    """
    if not _PREFIX.fullmatch(prefix):
        raise NotFoundError("no snapshot has such an id", hint="orchestrator snapshots")
    query = select(Snapshot).where(col(Snapshot.id).startswith(prefix)).limit(2)
    found = session.exec(query).all()
    if not found:
        raise NotFoundError(f"no snapshot {prefix} is known", hint="orchestrator snapshots")
    if len(found) > 1:
        raise UsageError(
            f"several snapshots begin with {prefix}", hint="give more digits of the snapshot's id"
        )
    return found[0]


def newest_complete(
    session: Session, store: str, *, now: dt.datetime, repository_id: str | None = None
) -> Snapshot | None:
    """Return the newest complete data snapshot of a store that is not forgotten.

    Args:
        session: Any session.
        store: The store.
        now: A snapshot dated later than this is never the newest: its clock was wrong.
        repository_id: In this repository only; None for any.
    """
    query = (
        select(Snapshot)
        .where(
            col(Snapshot.store) == store,
            col(Snapshot.kind) == "data",
            col(Snapshot.complete).is_(True),
            col(Snapshot.forgotten_at).is_(None),
            col(Snapshot.at) <= now,
        )
        .order_by(col(Snapshot.at).desc(), col(Snapshot.id))
        .limit(1)
    )
    if repository_id is not None:
        query = query.where(col(Snapshot.repository_id) == repository_id)
    return session.exec(query).first()


def first_complete_at(session: Session) -> dt.datetime | None:
    """Return when the site's first complete data snapshot was taken, forgotten or not."""
    query = (
        select(Snapshot.at)
        .where(col(Snapshot.kind) == "data", col(Snapshot.complete).is_(True))
        .order_by(col(Snapshot.at))
        .limit(1)
    )
    return session.exec(query).first()


def mark_forgotten(session: Session, ids: Iterable[str], *, run_id: str, now: dt.datetime) -> None:
    """Record that snapshots were forgotten; one forgotten before keeps its first date.

    Args:
        session: A writing session.
        ids: Full ids; unknown ones are passed over.
        run_id: The run that forgot them.
        now: When.
    """
    table = table_of(Snapshot)
    statement = (
        sa.update(table)
        .where(table.c.id == sa.bindparam("snapshot_id"), table.c.forgotten_at.is_(None))
        .values(forgotten_at=now, forgotten_run=run_id)
    )
    for batch in batches(ids, BATCH):
        session.connection().execute(statement, [{"snapshot_id": full} for full in batch])


def mark_kept(session: Session, ids: Iterable[str]) -> None:
    """Take back that snapshots were forgotten: they are in the repository again.

    Args:
        session: A writing session.
        ids: Full ids; unknown ones are passed over.
    """
    table = table_of(Snapshot)
    for batch in batches(ids, BATCH):
        session.connection().execute(
            sa.update(table)
            .where(table.c.id.in_(batch))
            .values(forgotten_at=None, forgotten_run=None)
        )
