"""Many rows at once, in and out, alike on both databases; memory stays bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from orchestrator.catalog.base import Row

BATCH = 2000
"""Rows in one call of the driver; bounds memory."""

T = TypeVar("T")


def table_of(row_type: type[Row]) -> sa.Table:
    """Return the table behind a row type."""
    table: sa.Table = row_type.__table__  # type: ignore[attr-defined]
    return table


def insert_missing(session: Session, row_type: type[Row], rows: list[dict[str, Any]]) -> int:
    """Insert the few rows that are not there yet and leave the others as they are.

    Args:
        session: A writing session.
        row_type: What to insert.
        rows: Values by column name.

    Returns:
        How many were inserted.
    """
    # what is returned is what was inserted; a row count is not to be had from both drivers
    returned = table_of(row_type).primary_key.columns
    statement = _insert(session, row_type).on_conflict_do_nothing().returning(*returned)
    return sum(len(session.connection().execute(statement, row).all()) for row in rows)


def upsert(
    session: Session,
    row_type: type[Row],
    rows: Iterable[Mapping[str, Any]],
    *,
    key: Collection[str],
    keep: Collection[str] = (),
    special: Mapping[str, sa.ColumnElement[Any]] | None = None,
) -> int:
    """Insert rows, or update those that are there.

    Args:
        session: A writing session.
        row_type: What to write.
        rows: Values by column name, all with the same columns; taken in batches.
        key: Columns of the unique key.
        keep: Columns that an update leaves as they are.
        special: Columns that an update sets to an expression.

    Returns:
        How many rows were given.
    """
    count = 0
    statement: sa.Executable | None = None
    for batch in batches(rows, BATCH):
        if statement is None:
            insert = _insert(session, row_type)
            replaced = [name for name in batch[0] if name not in {*key, *keep}]
            new = {name: insert.excluded[name] for name in replaced} | dict(special or {})
            statement = insert.on_conflict_do_nothing()
            if new:
                statement = insert.on_conflict_do_update(index_elements=list(key), set_=new)
        session.connection().execute(statement, [dict(row) for row in batch])
        count += len(batch)
    return count


def stream(session: Session, query: sa.Select[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield rows as they are fetched; the iterator ends with its transaction."""
    with session.connection().execute(query.execution_options(yield_per=BATCH)) as result:
        for row in result:
            yield tuple(row)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut into lists of at most `size`, none empty."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _insert(session: Session, row_type: type[Row]) -> sqlite.Insert | postgresql.Insert:
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table_of(row_type))
    return sqlite.insert(table_of(row_type))
