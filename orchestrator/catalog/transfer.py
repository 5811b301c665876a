"""The catalog as JSON lines: carried in the repositories, and read back to rebuild a site.

Everything but the files, which are rebuilt from the manifests, and but what belongs to one
database (its seal, its counters). The first line says which schema the rows have, the last one
how many there are, so that a part is never taken for the whole.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, UTCDateTime

from orchestrator.catalog import schema
from orchestrator.catalog.bulk import BATCH, batches, stream, table_of
from orchestrator.catalog.seal import SEAL_PREFIX
from orchestrator.catalog.tables import File, metadata
from orchestrator.errors import ConfigError, DamageError, RefusedError

FORMAT = 1


def export_rows(session: Session) -> Iterator[bytes]:
    """Yield header, rows and footer, each as one line; memory stays bounded.

    Args:
        session: A reading session: all lines are as of one instant.
    """
    yield _line({"catalog": FORMAT, "schema": schema.HEAD})
    count = 0
    for table in _tables():
        columns = _columns(table)
        query = sa.select(*columns).where(*_portable(table)).order_by(*table.primary_key.columns)
        for row in stream(session, query):
            values = {
                column.name: _plain(value) for column, value in zip(columns, row, strict=True)
            }
            yield _line({"table": table.name, "row": values})
            count += 1
    yield _line({"rows": count})


def import_rows(session: Session, lines: Iterable[bytes]) -> int:
    """Read an export into an empty catalog; memory stays bounded.

    Args:
        session: A writing session; nothing counts until its transaction is committed.
        lines: What `export_rows` has given, of this or an older schema.

    Returns:
        How many rows there were.

    Raises:
        RefusedError: The catalog is not empty.
        ConfigError: A newer program made the export.
        DamageError: The export is cut short or no export.
    """
    for table in _tables():
        found = sa.select(sa.literal(1)).select_from(table).where(*_portable(table)).limit(1)
        if session.connection().execute(found).first():
            raise RefusedError("rows are read into an empty catalog only")
    try:
        return _import(session, iter(lines))
    except (ValueError, KeyError, TypeError, AttributeError, sa.exc.StatementError) as error:
        raise DamageError("the exported catalog has a line that is not one of its rows") from error


def _import(session: Session, lines: Iterator[bytes]) -> int:
    _check_header(next(lines, b"{}"))
    tables = {table.name: table for table in _tables()}
    count = 0
    announced: int | None = None
    bodies = (json.loads(line) for line in lines)
    for name, group in groupby(bodies, key=lambda body: body.get("table")):
        if name is None:
            announced = int(next(group)["rows"])
            break
        table = tables[name]
        readers = {column.name: _reader(column) for column in _columns(table)}
        for batch in batches(group, BATCH):
            rows = [_row(body["row"], readers) for body in batch]
            session.connection().execute(sa.insert(table), rows)
            count += len(rows)
    if announced != count or next(lines, None) is not None:
        raise DamageError("the exported catalog is cut short or has been added to")
    return count


def _check_header(line: bytes) -> None:
    header = json.loads(line)
    if int(header["catalog"]) > FORMAT or str(header["schema"]) > schema.HEAD:
        raise ConfigError(
            ["the exported catalog was made by a newer program"],
            hint="install at least the version that made it",
        )


def _tables() -> list[sa.Table]:
    """Return the tables to carry, those that others refer to first."""
    return [table for table in metadata.sorted_tables if table is not table_of(File)]


def _columns(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns to carry: a counted key would collide with the new counter."""
    return [column for column in table.columns if column is not table.autoincrement_column]


def _portable(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    if table.name != "site_fact":
        return []
    return [table.c.key.not_like(f"{SEAL_PREFIX}%")]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.isoformat() if isinstance(value, dt.date) else value  # a datetime is a date


def _reader(column: sa.Column[Any]) -> Callable[[Any], Any]:
    if isinstance(column.type, UTCDateTime):
        return dt.datetime.fromisoformat
    if isinstance(column.type, sa.Date):
        return dt.date.fromisoformat
    if isinstance(column.type, sa.LargeBinary):
        return base64.b64decode
    return lambda value: value


def _row(values: dict[str, Any], readers: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Give every column of today's schema; one that is younger than the export stays empty."""
    return {
        name: None if values.get(name) is None else read(values[name])
        for name, read in readers.items()
    }


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
