"""What may stand in a retention schedule and in the table of majority ages, as pydantic models.

Each field is checked on its own; what spans several is in `schedules`, so that one fault never
hides another. Knows the words of `retention.schedule`, no file, no site.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from orchestrator.config.fields import Jurisdiction, Text, WebAddress
from orchestrator.config.model import Table
from orchestrator.retention import schedule
from orchestrator.retention.schedule import INDEFINITE

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,19}")
_PERIOD = re.compile(r"(?:([0-9]{1,3})y)?(?:([0-9]{1,3})m)?(?:([0-9]{1,3})d)?")
_LONGEST_YEARS = 120


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError(
            "must begin with a lower-case letter and hold only lower-case letters, digits and "
            "hyphens, at most 40 characters"
        )
    return text


def _version(text: str) -> str:
    if _VERSION.fullmatch(text) is None:
        raise ValueError('must be at most 20 letters, digits, dots and hyphens, such as "2026.1"')
    return text


def _sentence(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > 600 or not text.isprintable():
        raise ValueError("must be one line of at most 600 characters")
    return text


def _day(value: object) -> date:
    if type(value) is not date:
        raise ValueError("must be a date without quotes and time, such as 2026-11-22")
    return value


def calendar_period(value: object) -> schedule.Period:
    """Read a period that is counted with the calendar: ``5y``, ``6m``, ``1y6m``, ``90d``.

    Raises:
        ValueError: Not such a period, nothing, or more than 120 years.
    """
    if not isinstance(value, str):
        raise ValueError('must be a period in quotes, such as "5y"')
    match = _PERIOD.fullmatch(value)
    if match is None or not value:
        raise ValueError(
            f"{value!r} is not a period; write years, months or days: 5y, 6m, 1y6m, 90d"
        )
    months = int(match[2] or 0)
    years, days = int(match[1] or 0) + months // 12, int(match[3] or 0)
    if not (years or months or days):
        raise ValueError("must be more than nothing")
    if years > _LONGEST_YEARS:
        raise ValueError(f"is longer than {_LONGEST_YEARS} years; for ever is written indefinite")
    return schedule.Period(years, months % 12, days)


def _adult(value: object) -> schedule.Period:
    return INDEFINITE if value == "indefinite" else calendar_period(value)


Name = Annotated[str, AfterValidator(_name)]
Version = Annotated[str, AfterValidator(_version)]
Sentence = Annotated[str, AfterValidator(_sentence)]
Sentences = Annotated[list[Sentence], Field(max_length=20)]
Day = Annotated[date, BeforeValidator(_day)]
Age = Annotated[int, Field(ge=1, le=120)]
Majority = Annotated[int, Field(ge=14, le=25)]
# `Any` keeps pydantic from building schemas of the dataclasses; the validator gives the type.
Adult = Annotated[Any, BeforeValidator(_adult)]
Plus = Annotated[Any, BeforeValidator(calendar_period)]


class MinorTable(Table):
    """``[rule.minor]``."""

    form: schedule.MinorForm
    age: Age | None = None
    plus: Plus = None
    tested: schedule.MinorTest | None = None
    majority: Majority | None = None


class CitationTable(Table):
    """``[rule.citation]`` and ``[age.citation]``."""

    instrument: Text
    section: Text
    source: WebAddress | None = None
    read_on: Day
    text_of: Text | None = None


class NoticeTable(Table):
    """``[[rule.notice]]``."""

    form: Literal["posted_sign", "written_statement", "mailed_notice", "authority"]
    text: Sentence


class RuleTable(Table):
    """``[[rule]]``."""

    id: Name
    record_class: schedule.RecordClass
    trigger: schedule.Trigger
    adult: Adult
    minor: MinorTable
    images: schedule.Images
    confidence: schedule.Confidence
    citation: CitationTable
    conflicts: Sentences = Field(default_factory=list)
    notice: list[NoticeTable] = Field(default_factory=list, max_length=20)
    note: Sentence | None = None
    reviewer: Text | None = None
    reviewed_on: Day | None = None
    review_by: Day | None = None


class ScheduleTable(Table):
    """A schedule's file."""

    id: Name
    version: Version
    kind: schedule.Kind
    jurisdiction: Jurisdiction | None = None
    title: Text
    reviewer: Text | None = None
    reviewed_on: Day | None = None
    review_by: Day | None = None
    rule: Annotated[list[RuleTable], Field(min_length=1)]


class AgeTable(Table):
    """``[[age]]`` of the table of majority ages."""

    jurisdiction: Jurisdiction
    age: Majority
    since: Day | None = None
    confidence: schedule.Confidence
    conflicts: Sentences = Field(default_factory=list)
    note: Sentence | None = None
    citation: CitationTable


class MajorityTable(Table):
    """The file ``majority.toml``."""

    id: Literal["majority"]
    version: Version
    age: Annotated[list[AgeTable], Field(min_length=1)]


KEYS: frozenset[str] = frozenset(
    name
    for table in (
        MinorTable,
        CitationTable,
        NoticeTable,
        RuleTable,
        ScheduleTable,
        AgeTable,
        MajorityTable,
    )
    for name in table.model_fields
)
"""Every key of these files, for suggestions."""
