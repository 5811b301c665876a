#!/usr/bin/env python3
"""Writes the tables of docs/retention.md from the shipped schedules, so that they cannot differ."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.config.schedules import majority_ages, shipped_schedules
from orchestrator.retention.schedule import MajorityAge, Minor, Period, Rule, Schedule

TARGET = Path(__file__).with_name("retention.md")

_FORMS = {
    "until_age": "until {age}",
    "no_disposal_before_age": "nobody's before {age}",
    "majority_plus": "{plus} after majority",
    "none_stated": "not stated: review",
    "not_applicable": "-",
}
_IMAGES = {"with_record": "named", "own_clock": "own clock", "not_stated": "not named"}


def text() -> str:
    """Return the whole page with its tables made anew.

    Raises:
        ValueError: A table's place is not marked in the page.
    """
    page = TARGET.read_text(encoding="utf-8")
    for name, table in (("schedules", schedules()), ("majority", majority())):
        marks = f"<!-- {name}: made by docs/make_retention.py -->", f"<!-- end of {name} -->"
        page, found = re.subn(
            f"{re.escape(marks[0])}.*?{re.escape(marks[1])}",
            lambda _match, marks=marks, table=table: f"{marks[0]}\n{table}\n{marks[1]}",
            page,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(f"the table {name} is marked {found} times")
    return page


def schedules() -> str:
    """Return the table of shipped rules: law first, then overlays."""
    found = sorted(
        (schedule for schedule, _text in shipped_schedules()),
        key=lambda one: (one.kind == "overlay", one.jurisdiction is None, one.id),
    )
    return _table(
        ("schedule", "class", "period", "from", "minors", "images", "confidence", "citation"),
        [_row(schedule, rule) for schedule in found for rule in schedule.rules],
    )


def majority() -> str:
    """Return the table of majority ages."""
    return _table(
        ("where", "age", "since", "confidence", "citation"),
        [
            (one.jurisdiction, str(one.age), _since(one), one.confidence, str(one.citation))
            for one in majority_ages()
        ],
    )


def _row(schedule: Schedule, rule: Rule) -> tuple[str, ...]:
    kind = f"`{schedule.id}`" + (" (overlay)" if schedule.kind == "overlay" else "")
    conflict = ", conflicts" if rule.conflicts else ""
    notice = "; notice" if rule.notices else ""
    return (
        kind,
        rule.record_class.replace("_", " "),
        _period(rule.adult),
        rule.trigger.replace("_", " "),
        _minor(rule.minor),
        _IMAGES[rule.images],
        rule.confidence + conflict,
        str(rule.citation) + notice,
    )


def _period(period: Period) -> str:
    if period.years is None:
        return "for ever"
    parts = ((period.years, "y"), (period.months, "m"), (period.days, "d"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def _minor(minor: Minor) -> str:
    plus = _period(minor.plus) if minor.plus is not None else ""
    words = _FORMS[minor.form].format(age=minor.age, plus=plus)
    return (
        f"{words} ({minor.majority})" if minor.form == "majority_plus" and minor.majority else words
    )


def _since(age: MajorityAge) -> str:
    return age.since.isoformat() if age.since is not None else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
