"""Reading a patient list: CSV lines into rows, good ones and bad ones. Pure.

Not even a column's name is shown that is not one of ours: a file without a header has a patient
in its first line.

Source: RFC 4180 for quoting; fields in quotes may hold line breaks.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from orchestrator.errors import ConfigError
from orchestrator.retention.patient_row import COLUMNS, REQUIRED, Row, RowReader

LONGEST_LINE = 65_536
"""Bytes; whoever reads the file refuses longer ones before they are in memory."""

MOST_ROWS = 1_000_000
_LINES_A_RECORD = 20


def read_rows(lines: Iterable[bytes], *, now: dt.datetime, zone: dt.tzinfo) -> list[Row]:
    """Read a patient list.

    Args:
        lines: The file's lines with their ends, each at most `LONGEST_LINE` bytes.
        now: The current instant; dates after its day are faults.
        zone: Zone of instants without one, and of the day.

    Returns:
        Every row that is not blank, good or not, in the order of the file.

    Raises:
        ConfigError: The file has no usable header, or too many rows: every fault of the header.
    """
    numbered = _Lines(lines)
    first = numbered.next()
    if first is None:
        raise ConfigError(["patient list: the file is empty"])
    columns, delimiter = _header(first)
    reader = RowReader(columns, delimiter, now.astimezone(zone).date(), zone)
    rows: list[Row] = []
    while (line := numbered.next()) is not None:
        if not line.strip(b" \t\r\n;,"):
            continue
        if len(rows) >= MOST_ROWS:
            raise ConfigError([f"patient list: it has more than {MOST_ROWS:,} rows"])
        rows.append(_next_row(reader, numbered, line))
    return rows


def _next_row(reader: RowReader, numbered: _Lines, line: bytes) -> Row:
    """Read the record that a line begins: several lines, if a quoted field holds breaks.

    A quote that is never closed must not swallow the patients behind it: if the lines together
    are no row, the record is the one line.
    """
    number = numbered.number
    further = numbered.until_closed(line)
    if further:
        row = reader.row(number, b"".join([line, *further]))
        if not row.faults & {"quoting_wrong", "wrong_number_of_fields"}:
            numbered.skip(len(further))
            return row
    return reader.row(number, line)


class _Lines:
    """Lines with their numbers, some of which may be looked at before they are taken."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines: Iterator[bytes] = iter(lines)
        self._ahead: deque[bytes] = deque()
        self.number = 0

    def next(self) -> bytes | None:
        """Take the next line; None at the end."""
        line = self._ahead.popleft() if self._ahead else next(self._lines, None)
        if line is not None:
            self.number += 1
        return line

    def until_closed(self, line: bytes) -> list[bytes]:
        """Return the lines up to the one that closes a quote left open; they are not taken."""
        quotes = line.count(b'"')
        if quotes % 2 == 0:
            return []
        self._ahead.extend(islice(self._lines, max(0, _LINES_A_RECORD - len(self._ahead))))
        for place, further in enumerate(self._ahead, 1):
            quotes += further.count(b'"')
            if quotes % 2 == 0:
                return list(islice(self._ahead, place))
        return []

    def skip(self, count: int) -> None:
        """Take so many lines."""
        for _ in range(count):
            self.next()


def _header(line: bytes) -> tuple[list[str], str]:
    """Return the columns in their order, and what parts them."""
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
        delimiter = ";" if ";" in text else ","
        names = [name.strip().casefold() for name in next(csv.reader([text], delimiter=delimiter))]
    except (UnicodeDecodeError, csv.Error, StopIteration):
        raise ConfigError(
            ["patient list: line 1: it cannot be read as UTF-8 text with a header"]
        ) from None
    faults = [
        f"column {place} is none of: {', '.join(COLUMNS)}"
        for place, name in enumerate(names, 1)
        if name not in COLUMNS
    ]
    faults += [f"column {name} is there twice" for name in COLUMNS if names.count(name) > 1]
    faults += [f"column {name} is missing" for name in REQUIRED if name not in names]
    if faults:
        raise ConfigError([f"patient list: line 1: {fault}" for fault in faults])
    return names, delimiter
