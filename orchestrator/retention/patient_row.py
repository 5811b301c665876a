"""One row of a patient list: what it says, and everything that is wrong with it. Pure.

A row that is wrong is never half believed, and no value of it ever stands in a message: it is
rejected by its line number and a reason from a closed set.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.retention.patient_id import is_placeholder

Fault = Literal[
    "not_utf8",
    "quoting_wrong",
    "wrong_number_of_fields",
    "control_character",
    "value_too_long",
    "patient_id_missing",
    "patient_id_placeholder",
    "birth_date_unreadable",
    "birth_date_implausible",
    "last_treatment_date_unreadable",
    "last_treatment_date_implausible",
    "deceased_date_unreadable",
    "deceased_date_implausible",
    "date_in_future",
    "legal_hold_unreadable",
    "incompetent_unreadable",
    "exported_at_unreadable",
    "treated_before_birth",
    "died_before_birth",
    "treated_after_death",
    "same_patient_twice",
    "birth_date_changed",
    "merge_cycle",
    "merge_target_missing",
    "merge_birth_dates_differ",
    "merge_treated_after_death",
    "merge_with_rejected",
]
"""Why a row is rejected. The last eight are found by comparing rows (`people`)."""

REQUIRED = ("patient_id", "birth_date", "last_treatment_date", "exported_at")
COLUMNS = (
    *REQUIRED,
    "issuer",
    "deceased_date",
    "legal_hold",
    "hold_reason",
    "merged_into",
    "incompetent",
)

EARLIEST = dt.date(1900, 1, 2)
"""Days before stand for no date: spreadsheets count from the days before it."""

_LONGEST = {"hold_reason": 1000}
_LONGEST_VALUE = 128
_NEVER = frozenset({"", "0001-01-01", "00010101", "0000-00-00", "00000000"})
"""How databases write that there is no date."""

_NULLS = frozenset({"NULL", "\\N"})
"""How databases write that a field is empty."""

_DAY = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


@dataclass(slots=True, repr=False)
class Row:
    """One row, as far as it could be read. Its repr shows nobody.

    Attributes:
        line: Number of its first line, from 1.
        patient_id: As written; empty only with a fault.
        issuer: Issuer of the id; may be empty.
        born: Birth date.
        last_treatment: Date of the last treatment.
        died: Date of death.
        is_held: The patient is under a legal hold.
        hold_reason: Why, if stated.
        merged_into: Id of the patient, of the same issuer, who stands for this one; may be empty.
        is_incompetent: The patient is under disability.
        exported_at: When the list was taken from its source.
        faults: Why the row is rejected; empty for a good one.
    """

    line: int
    patient_id: str = ""
    issuer: str = ""
    born: dt.date | None = None
    last_treatment: dt.date | None = None
    died: dt.date | None = None
    is_held: bool = False
    hold_reason: str = ""
    merged_into: str = ""
    is_incompetent: bool = False
    exported_at: dt.datetime | None = None
    faults: set[Fault] = field(default_factory=set)

    def __repr__(self) -> str:
        """Name the line and the faults, nothing else."""
        return f"Row(line={self.line}, faults={sorted(self.faults)})"


class RowReader:
    """Reads records into rows.

    Args:
        columns: In the order of the file.
        delimiter: What parts them.
        today: Dates after it are faults.
        zone: Zone of instants without one.
    """

    def __init__(self, columns: list[str], delimiter: str, today: dt.date, zone: dt.tzinfo) -> None:
        self._columns = columns
        self._delimiter = delimiter
        self._today = today
        self._zone = zone

    def row(self, number: int, record: bytes) -> Row:
        """Read one record, with all its faults."""
        row = Row(number)
        values = self._values(record, row.faults)
        if values is None:
            return row
        said = dict(zip(self._columns, values, strict=True))
        row.patient_id = said["patient_id"]
        row.issuer = said.get("issuer", "")
        row.hold_reason = said.get("hold_reason", "")
        row.merged_into = said.get("merged_into", "")
        if not row.patient_id:
            row.faults.add("patient_id_missing")
        elif is_placeholder(row.patient_id):
            row.faults.add("patient_id_placeholder")
        row.born = self._day(said, "birth_date", row.faults)
        row.last_treatment = self._day(said, "last_treatment_date", row.faults)
        row.died = self._day(said, "deceased_date", row.faults)
        row.is_held = _is_set(said, "legal_hold", row.faults)
        row.is_incompetent = _is_set(said, "incompetent", row.faults)
        row.exported_at = self._instant(said["exported_at"], row.faults)
        _compare(row)
        return row

    def _values(self, record: bytes, faults: set[Fault]) -> list[str] | None:
        try:
            text = record.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            faults.add("not_utf8")
            return None
        try:
            parts = csv.reader(
                text.splitlines(keepends=True) if "\n" in text else [text],
                delimiter=self._delimiter,
                strict=True,
                skipinitialspace=True,
            )
            (values,) = parts
        except (csv.Error, ValueError):
            faults.add("quoting_wrong")
            return None
        if len(values) != len(self._columns):
            faults.add("wrong_number_of_fields")
            return None
        if not text.isascii():
            values = [unicodedata.normalize("NFKC", one) for one in values]
        values = ["" if one in _NULLS else one for one in map(str.strip, values)]
        if "hold_reason" in self._columns:
            place = self._columns.index("hold_reason")
            values[place] = " ".join(values[place].split())  # it may have several lines
        if not all(one.isprintable() for one in values):
            faults.add("control_character")
            return None
        for name, value in zip(self._columns, values, strict=True):
            if len(value) > _LONGEST.get(name, _LONGEST_VALUE):
                faults.add("value_too_long")
                return None
        return values

    def _day(
        self,
        said: dict[str, str],
        name: Literal["birth_date", "last_treatment_date", "deceased_date"],
        faults: set[Fault],
    ) -> dt.date | None:
        text = said.get(name, "")
        if text in _NEVER:
            return None
        match = _DAY.fullmatch(text)
        try:
            if match is None or text.count("-") == 1:
                raise ValueError
            day = dt.date(*(int(part) for part in match.groups()))
        except ValueError:
            faults.add(_UNREADABLE[name])
            return None
        if day > self._today:
            faults.add("date_in_future")
        if day < EARLIEST:
            faults.add(_IMPLAUSIBLE[name])
        return day

    def _instant(self, text: str, faults: set[Fault]) -> dt.datetime | None:
        if not text:
            return None
        try:
            if _DAY.fullmatch(text) and text.count("-") != 1:
                # The first instant of the day: the list is at most as old as it seems.
                at = dt.datetime.combine(dt.date.fromisoformat(text), dt.time())
            elif _INSTANT.fullmatch(text):
                at = dt.datetime.fromisoformat(text)
            else:
                raise ValueError
            if at.tzinfo is None:
                at = at.replace(tzinfo=self._zone)
            return at.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            faults.add("exported_at_unreadable")
            return None


_UNREADABLE: dict[str, Fault] = {
    "birth_date": "birth_date_unreadable",
    "last_treatment_date": "last_treatment_date_unreadable",
    "deceased_date": "deceased_date_unreadable",
}
_IMPLAUSIBLE: dict[str, Fault] = {
    "birth_date": "birth_date_implausible",
    "last_treatment_date": "last_treatment_date_implausible",
    "deceased_date": "deceased_date_implausible",
}


def _is_set(
    said: dict[str, str], name: Literal["legal_hold", "incompetent"], faults: set[Fault]
) -> bool:
    text = said.get(name, "")
    if text not in ("", "0", "1"):
        faults.add("legal_hold_unreadable" if name == "legal_hold" else "incompetent_unreadable")
    # What cannot be read may mean yes, and a hold that is not needed can be released.
    return text not in ("", "0")


def _compare(row: Row) -> None:
    if row.born is not None:
        if row.last_treatment is not None and row.last_treatment < row.born:
            row.faults.add("treated_before_birth")
        if row.died is not None and row.died < row.born:
            row.faults.add("died_before_birth")
    if row.died is not None and row.last_treatment is not None and row.last_treatment > row.died:
        row.faults.add("treated_after_death")
