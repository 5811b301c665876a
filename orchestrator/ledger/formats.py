"""Entries for people's programs: a table for a spreadsheet, lines for a machine.

Pure. The lines are exact: each is the very bytes that stand in the ledger. The table is for
reading: a cell that a spreadsheet would take for a formula is written as text.

Source: RFC 4180; OWASP, "CSV Injection".
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from orchestrator.ledger.entry import Entry
from orchestrator.ledger.tree import leaf_hash

COLUMNS = (
    "index",
    "at",
    "type",
    "actor",
    "store",
    "copy",
    "medium",
    "subjects",
    "evidence",
    "note",
    "details",
    "intent",
    "id",
    "leaf_hash",
)
"""Headings of the table; further ones may be added at the end."""

MARK = "\ufeff"
"""Tells spreadsheets that the text is UTF-8."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_OWN_COLUMN = ("store", "copy", "medium")


def csv_lines(entries: Iterable[tuple[int, Entry, bytes]]) -> Iterator[bytes]:
    """Yield the table line by line: its mark and headings, then one line per entry.

    Args:
        entries: Index, parsed entry and stored bytes of each.
    """
    yield MARK.encode() + _line(COLUMNS)
    for index, entry, data in entries:
        body = dict(entry.body)
        own = [_text(body.pop(name, None)) for name in _OWN_COLUMN]
        yield _line(
            (
                str(index),
                f"{entry.at:%Y-%m-%dT%H:%M:%S}.{entry.at.microsecond // 1000:03d}Z",
                entry.type,
                entry.actor,
                *own,
                _joined(entry.subjects),
                _joined({name: [value] for name, value in entry.evidence.items()}),
                entry.note or "",
                json.dumps(body, ensure_ascii=False, sort_keys=True) if body else "",
                entry.intent or "",
                entry.id,
                leaf_hash(data).hex(),
            )
        )


def json_lines(entries: Iterable[tuple[int, Entry, bytes]]) -> Iterator[bytes]:
    """Yield each entry's stored bytes and a newline, which no entry holds.

    Args:
        entries: Index, parsed entry and stored bytes of each.
    """
    for _, _, data in entries:
        yield data + b"\n"


def defused(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def _line(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(map(defused, cells))
    return text.getvalue().encode()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _joined(values: Any) -> str:
    return " ".join(f"{name}={one}" for name, found in sorted(values.items()) for one in found)
