"""Which files a copy holds, and what is known of the copy.

Facts as they were observed, with the time; what they add up to is decided elsewhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import BATCH, batches, stream, table_of, upsert
from orchestrator.catalog.copy_tables import CopyFile, CopyState
from orchestrator.catalog.receipts import ListedFile, StoredReceipt
from orchestrator.catalog.tables import Repository

FileState = Literal["good", "damaged", "missing", "removed"]

_KEY = ("copy", "medium", "repository_id")


CopyKey = tuple[str, str, str]
"""One repository in one copy: name of the copy, id of the medium (`copy_tables.NO_MEDIUM` for a
copy that is not kept on media), restic's full repository id."""


class HeldFile(NamedTuple):
    """One repository file in one copy, as far as it is known."""

    kind: str
    name: str
    size_bytes: int
    version_id: str | None
    retain_until: dt.datetime | None
    stored_at: dt.datetime
    verified_at: dt.datetime | None
    state: str
    removed_at: dt.datetime | None


class StateChanges(TypedDict, total=False):
    """What may be recorded of a repository in a copy."""

    state: str
    newest_snapshot: str | None
    newest_at: dt.datetime | None
    replicated_at: dt.datetime | None
    verified_at: dt.datetime | None
    protected_until: dt.datetime | None
    observed_at: dt.datetime | None
    detail: str | None


def inventory(
    session: Session, key: CopyKey, *, states: Collection[str] = ("good",)
) -> Iterator[HeldFile]:
    """Yield the files of one repository in one copy, by kind and name; memory stays bounded.

    Args:
        session: Any session; the iterator ends with its transaction.
        key: The repository in the copy.
        states: Only files in one of these states (`FileState`).
    """
    table = table_of(CopyFile)
    query = (
        sa.select(*(table.c[name] for name in HeldFile._fields))
        .where(*_is(table, key), table.c.state.in_(states))
        .order_by(table.c.kind, table.c.name)
    )
    for row in stream(session, query):
        yield HeldFile._make(row)


def record_stored(
    session: Session,
    key: CopyKey,
    receipts: Iterable[StoredReceipt],
    *,
    now: dt.datetime,
    verified: bool = False,
) -> int:
    """Record files that a place has stored; memory stays bounded.

    Args:
        session: A writing session.
        key: The repository in the copy.
        receipts: What the place said of each file.
        now: When.
        verified: The place has read the bytes back and compared their hash.

    Returns:
        How many there were.
    """
    rows = (
        {
            **_columns(key),
            "kind": receipt.file.kind,
            "name": receipt.file.name,
            "size_bytes": receipt.file.size_bytes,
            "version_id": receipt.version_id,
            "retain_until": receipt.retain_until,
            "stored_at": now,
            "verified_at": now if verified else None,
            "state": "good",
            "removed_at": None,
        }
        for receipt in receipts
    )
    return upsert(session, CopyFile, rows, key=[*_KEY, "kind", "name"])


def record_listed(
    session: Session, key: CopyKey, listed: Iterable[ListedFile], *, now: dt.datetime
) -> int:
    """Record files that a place lists; memory stays bounded.

    Being listed proves presence, not content: files not known before are `good` but never
    verified; `missing` and `removed` ones are back; `damaged` ones stay damaged.

    Args:
        session: A writing session.
        key: The repository in the copy.
        listed: What the place lists.
        now: When; counts as `stored_at` of files not known before.

    Returns:
        How many there were.
    """
    rows = (
        {
            **_columns(key),
            "kind": stored.file.kind,
            "name": stored.file.name,
            "size_bytes": stored.file.size_bytes,
            "version_id": stored.version_id,
            "stored_at": now,
            "state": "good",
            "removed_at": None,
        }
        for stored in listed
    )
    table = table_of(CopyFile)
    listed_version: sa.ColumnElement[str] = sa.literal_column("excluded.version_id")
    is_back = sa.or_(table.c.state == "missing", table.c.state == "removed")
    return upsert(
        session,
        CopyFile,
        rows,
        key=[*_KEY, "kind", "name"],
        keep=["stored_at"],
        special={
            "state": sa.case((is_back, "good"), else_=table.c.state),
            # bytes that came back were not read since
            "verified_at": sa.case((is_back, sa.null()), else_=table.c.verified_at),
            "version_id": sa.case(
                (is_back, listed_version),
                else_=sa.func.coalesce(table.c.version_id, listed_version),
            ),
        },
    )


def mark_verified(
    session: Session, key: CopyKey, names: Iterable[tuple[str, str]], *, now: dt.datetime
) -> None:
    """Record that the bytes of files were read and are what they must be.

    Args:
        session: A writing session.
        key: The repository in the copy.
        names: Kind and name of each; unknown and removed ones are passed over.
        now: When they were read.
    """
    _mark(session, key, names, {"verified_at": now, "state": "good"})


def mark_damaged(session: Session, key: CopyKey, names: Iterable[tuple[str, str]]) -> None:
    """Record that the bytes of files are not what they must be; `verified_at` stays."""
    _mark(session, key, names, {"state": "damaged"})


def mark_missing(session: Session, key: CopyKey, names: Iterable[tuple[str, str]]) -> None:
    """Record that files are not there although they must be; `verified_at` stays."""
    _mark(session, key, names, {"state": "missing"})


def mark_removed(
    session: Session, key: CopyKey, names: Iterable[tuple[str, str]], *, now: dt.datetime
) -> None:
    """Record that files were removed because the primary no longer needs them."""
    _mark(session, key, names, {"state": "removed", "removed_at": now})


def extend_protection(
    session: Session, key: CopyKey, until: Iterable[tuple[str, str, dt.datetime]]
) -> None:
    """Record longer locks.

    Args:
        session: A writing session.
        key: The repository in the copy.
        until: Kind, name and retain-until as read back.
    """
    table = table_of(CopyFile)
    statement = (
        sa.update(table)
        .where(*_is(table, key), *_is_file(table))
        .values(retain_until=sa.bindparam("until"))
    )
    for batch in batches(until, BATCH):
        rows = [{"file_kind": kind, "file_name": name, "until": at} for kind, name, at in batch]
        session.connection().execute(statement, rows)


def lock_ends(session: Session, key: CopyKey) -> list[dt.datetime | None]:
    """Return the different ends of locks on a copy's files, None among them if one is unknown."""
    table = table_of(CopyFile)
    query = (
        sa.select(table.c.retain_until)
        .where(*_is(table, key), table.c.state != "removed")
        .distinct()
    )
    return list(session.connection().execute(query).scalars())


def totals(session: Session, key: CopyKey) -> dict[str, tuple[int, int]]:
    """Return number and bytes of files by state."""
    table = table_of(CopyFile)
    query = (
        sa.select(table.c.state, sa.func.count(), sa.func.sum(table.c.size_bytes))
        .where(*_is(table, key))
        .group_by(table.c.state)
    )
    return {state: (count, int(size)) for state, count, size in session.connection().execute(query)}


def update_state(session: Session, key: CopyKey, **changes: Unpack[StateChanges]) -> None:
    """Record what was observed of a repository in a copy; the rest stays as it was.

    Args:
        session: A writing session.
        key: The repository in the copy.
        changes: What to set. A row that is not there yet begins as `unknown`.
    """
    values: dict[str, Any] = {"state": "unknown", **changes}
    keep = [] if "state" in changes else ["state"]
    upsert(session, CopyState, [{**_columns(key), **values}], key=_KEY, keep=keep)


def get_state(session: Session, key: CopyKey) -> CopyState | None:
    """Return what is known of a repository in a copy."""
    return session.get(CopyState, key, populate_existing=True)


def states(
    session: Session, copy: str | None = None, *, store: str | None = None
) -> Sequence[CopyState]:
    """Return what is known of copies, by copy, medium and repository.

    Args:
        session: Any session.
        copy: Of this copy; None for all.
        store: Of this store's repositories; None for all.
    """
    query = select(CopyState).order_by(
        col(CopyState.copy_), col(CopyState.medium), col(CopyState.repository_id)
    )
    if copy is not None:
        query = query.where(col(CopyState.copy_) == copy)
    if store is not None:
        of_store = select(Repository.id).where(col(Repository.store) == store)
        query = query.where(col(CopyState.repository_id).in_(of_store))
    return session.exec(query).all()


def _mark(
    session: Session, key: CopyKey, names: Iterable[tuple[str, str]], values: dict[str, Any]
) -> None:
    table = table_of(CopyFile)
    statement = (
        sa.update(table)
        .where(*_is(table, key), *_is_file(table), table.c.state != "removed")
        .values(values)
    )
    for batch in batches(names, BATCH):
        rows = [{"file_kind": kind, "file_name": name} for kind, name in batch]
        session.connection().execute(statement, rows)


def _columns(key: CopyKey) -> dict[str, str]:
    return dict(zip(_KEY, key, strict=True))


def _is(table: sa.Table, key: CopyKey) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in _columns(key).items()]


def _is_file(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    return [
        table.c.kind == sa.bindparam("file_kind"),
        table.c.name == sa.bindparam("file_name"),
    ]
