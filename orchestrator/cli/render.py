"""Results as tables for people or JSON for programs; the only module that prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from orchestrator.actions.progress import Progress, Silent

_COLOURS = {
    "met": "green",
    "proven": "green",
    "ok": "green",
    "succeeded": "green",
    "held": "green",
    "sound": "green",
    "covered": "green",
    "extended": "green",
    "fresh": "green",
    "verified": "green",
    "passed": "green",
    "not_met": "red",
    "damaged": "red",
    "failed": "red",
    "fail": "red",
    "breached": "red",
    "not_covered": "red",
    "not_verified": "red",
    "could_not_run": "red",
    "unknown": "yellow",
    "absent": "yellow",
    "behind": "yellow",
    "present": "yellow",
    "partial": "yellow",
    "warn": "yellow",
    "skipped": "yellow",
    "inconclusive": "yellow",
    "overdue": "red",
    "valid": "green",
    "invalid": "red",
    "revoked": "red",
}


def show_json(document: Any) -> None:
    """Print one JSON document and nothing else."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, default=_plain))


def show_long_json(head: dict[str, Any], name: str, lines: Iterable[str]) -> None:
    """Print one JSON document whose last field is a list too long for the memory.

    Args:
        head: The fields before it; at least one.
        name: Of the list.
        lines: Its members as JSON, to be had without an error: half a document is none.
    """
    text = json.dumps(head, ensure_ascii=False, indent=2, default=_plain)
    click.echo(f"{text[:-2]},\n  {json.dumps(name)}: [", nl=False)
    before = "\n    "
    for line in lines:
        click.echo(before + line, nl=False)
        before = ",\n    "
    click.echo("\n  ]\n}")


def say(text: str = "") -> None:
    """Print one line for people."""
    click.echo(text)


def note(text: str) -> None:
    """Print one line beside the result, on stderr."""
    click.echo(text, err=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; states are coloured on a terminal and always spelled out."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell(value), style=_COLOURS.get(cell(value), "")) for value in row))
    width = None if sys.stdout.isatty() else 140
    Console(width=width, highlight=False).print(grid)


def cell(value: Any) -> str:
    """Return a value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, timedelta):
        return span(value)
    return str(value)


def span(length: timedelta) -> str:
    """Return a length of time in words that fit a table, rounded to the nearest."""
    seconds = round(length.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} days"


def size(count: int) -> str:
    """Return a number of bytes in decimal units."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def share(part: float) -> str:
    """Return a share as percent, rounded down: 100% is only what is whole."""
    return f"{int(part * 100 + 1e-9)}%"


def colour(word: str) -> str:
    """Return a state's word in its colour."""
    return click.style(word, fg=_COLOURS.get(word), bold=True)


def _plain(value: Any) -> Any:
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _Terminal:
    """Shows steps and counts on one line of a terminal's stderr."""

    def __init__(self) -> None:
        self._step = ""

    def step(self, text: str) -> None:
        self._step = text
        self._write(text)

    def advance(self, text: str, done: int, total: int | None) -> None:
        count = f"{done}" if not total else f"{done} of {total}"
        self._write(f"{self._step} · {count} {text}")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[2K{text[:100]}")
        sys.stderr.flush()

    def close(self) -> None:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def progress_for(*, as_json: bool) -> Progress:
    """Return a progress line for a terminal, and silence elsewhere."""
    if as_json or not sys.stderr.isatty():
        return Silent()
    terminal = _Terminal()
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(terminal.close)
    return terminal
