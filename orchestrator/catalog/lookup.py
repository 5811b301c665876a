"""One row by the id that a person types, and the next number of a year.

Knows ids; whose they are it is told in words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlmodel import Session, select

from orchestrator.catalog.base import Row
from orchestrator.catalog.bulk import table_of
from orchestrator.errors import NotFoundError, UsageError

R = TypeVar("R", bound=Row)


def by_id(session: Session, row_type: type[R], name: str, *, missing: str, hint: str) -> R:
    """Return a row by its whole id.

    Args:
        session: Any session.
        row_type: Which rows.
        name: The id.
        missing: What to say if there is none.
        hint: The command that lists them.

    Raises:
        NotFoundError: There is none.
    """
    row = session.get(row_type, name, populate_existing=True)
    if row is None:
        raise NotFoundError(missing, hint=hint)
    return row


def by_beginning(session: Session, row_type: type[R], start: str, *, what: str, hint: str) -> R:
    """Return a row by its id or the beginning of it; an empty beginning names nothing.

    Args:
        session: Any session.
        row_type: Which rows.
        start: The id or its beginning.
        what: What one of them is called, such as ``place``.
        hint: The command that lists them.

    Raises:
        NotFoundError: There is none.
        UsageError: There are several.
    """
    query = select(row_type).where(_id(row_type).startswith(start, autoescape=True)).limit(2)
    found = session.exec(query.execution_options(populate_existing=True)).all() if start else []
    if not found:
        raise NotFoundError(f"there is no such {what}", hint=hint)
    if len(found) > 1:
        raise UsageError(f"several {what}s begin so: give more of the id")
    return found[0]


def next_number(
    session: Session, row_type: type[Row], start: str, known: Iterable[str] = ()
) -> int:
    """Return the number after the greatest one that an id with this beginning ends in, from 1.

    Args:
        session: The transaction that adds the row, so that no number is given out twice.
        row_type: Which rows.
        start: What stands before the number, such as ``D-2026-``.
        known: Further ids that were given out, whatever they begin with.
    """
    query = select(_id(row_type)).where(_id(row_type).startswith(start, autoescape=True))
    taken = [*session.exec(query), *(one for one in known if one.startswith(start))]
    return max((int(one.removeprefix(start)) for one in taken), default=0) + 1


def _id(row_type: type[Row]) -> sa.ColumnElement[Any]:
    """Return the primary key, which is one column."""
    (column,) = table_of(row_type).primary_key.columns
    return column
