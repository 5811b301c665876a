"""A plan with its decisions: for a program, as a file of lines, or as a table for a spreadsheet.

Decisions go through a file without a name, so that a plan of millions fits in the memory and
nobody is given half of one. They name no patient: studies are pseudonyms.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from orchestrator.actions.ledger.export import new_file
from orchestrator.actions.retention.plan import Plan, decision_values, plan
from orchestrator.actions.site import Site
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.retention.study import Decision, StudyFacts, Verdict

COLUMNS = (
    "study",
    "store",
    "verdict",
    "due",
    "reasons",
    "rule",
    "citation",
    "schedule",
    "version",
    "record_class",
    "part",
    "holds",
    "files",
    "bytes",
    "settled",
)
"""Headings of the table; further ones may be added at the end."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions are wanted beside the summary, which is always whole.

    Attributes:
        verdict: Only those with this verdict; None for all.
        limit: At most so many are listed, 0 or more; None for all. A file always gets all.
        file: A new file to write them to; ``.csv`` or ``.jsonl``. None for none.
    """

    verdict: Verdict | None = None
    limit: int | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """A plan with decisions.

    Attributes:
        plan: What all decisions come to.
        decisions: How many are listed.
        left_out: How many more were wanted than the limit lets be listed.
        exported: How many the file has; None if there is none.
        spool: The listed ones, one JSON object a line.
    """

    plan: Plan
    decisions: int
    left_out: int
    exported: int | None
    spool: IO[bytes]

    def lines(self) -> Iterator[str]:
        """Yield the listed decisions as JSON; only within the block that gave the plan."""
        self.spool.seek(0)
        for line in self.spool:
            yield line.decode().rstrip("\n")


@contextmanager
def listed_plan(site: Site, store: str | None, wanted: Wanted) -> Iterator[ListedPlan]:
    """Decide about every study, and give the wanted decisions for as long as the block lasts.

    Args:
        site: The site.
        store: Only this store's studies; None for all.
        wanted: Which decisions.

    Raises:
        UsageError: The file exists, or its name ends in neither ``.csv`` nor ``.jsonl``.
        EngineError: The disk refuses.
        OrchestratorError: As `plan`.
    """
    to_line = _form(wanted.file)
    with TemporaryFile(dir=site.state_dir) as spool:
        taken = listed = 0
        with new_file(wanted.file) if wanted.file is not None else nullcontext() as out:
            if out is not None and to_line is _csv_line:
                out.write(_headings())

            def take(facts: StudyFacts, decision: Decision) -> None:
                nonlocal taken, listed
                if wanted.verdict not in (None, decision.verdict):
                    return
                taken += 1
                values = decision_values(facts, decision)
                if wanted.limit is None or listed < wanted.limit:
                    listed += 1
                    spool.write(_json_line(values))
                if out is not None:
                    out.write(to_line(values))

            found = plan(site, store, take=take)
        exported = taken if wanted.file is not None else None
        yield ListedPlan(found, listed, taken - listed, exported, spool)


def _form(file: Path | None) -> Callable[[dict[str, Any]], bytes]:
    if file is None or file.suffix.lower() == ".jsonl":
        return _json_line
    if file.suffix.lower() == ".csv":
        return _csv_line
    raise UsageError(
        f"{file}: a plan is exported as a table or as lines",
        hint="choose a name that ends in .csv or .jsonl",
    )


def _json_line(values: dict[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return text.encode() + b"\n"


def _csv_line(values: dict[str, Any]) -> bytes:
    return _row([_cell(values[name]) for name in COLUMNS])


def _headings() -> bytes:
    from orchestrator.ledger.formats import MARK

    return MARK.encode() + _row(COLUMNS)


def _row(cells: list[str] | tuple[str, ...]) -> bytes:
    from orchestrator.ledger.formats import defused

    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(map(defused, cells))
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(_word, value)) if isinstance(value, list) else str(value)


def _word(value: Any) -> str:
    """Return one of several values in a cell; of what is settled, the doubt and by what."""
    if isinstance(value, dict):
        return f"{value['doubt']}:{value['determination']}"
    return str(value)


def _plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
