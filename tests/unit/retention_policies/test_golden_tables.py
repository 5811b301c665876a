"""The golden tables: written by hand from the law, one for each shipped schedule.

Each row says what becomes of a study and by which rule. The tables are not made by the code they
check: somebody who knows the law can read and mend them.
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.config.schedules import majority_ages, shipped_schedules
from orchestrator.retention.decide import decide
from orchestrator.retention.explain import explain
from orchestrator.retention.schedule import Adopted, Policy
from orchestrator.retention.study import Decision, StudyFacts

GOLDEN = Path(__file__).with_name("golden")
REVIEWED = dt.date(2026, 11, 22)
"""Rules are asked within the time for which they were reviewed."""


@dataclass(frozen=True)
class Table:
    policy: Policy
    jurisdictions: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    table: str
    words: dict[str, str]

    def __str__(self) -> str:
        return f"{self.table}: {self.words['patient']}"


def head(name: str) -> str:
    lines = (GOLDEN / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return " ".join(line for line in lines if line.startswith("#"))


def table(name: str) -> Table:
    """Read what the head of a table says: where the store is, and what is adopted."""
    text = head(name)
    store = re.search(r"Store in (US-..(?: and US-..)*)\.", text)
    adopted = re.search(r"Adopted: ([a-z, -]+?)( with the clock of images)?\.", text)
    assert store is not None, name
    assert adopted is not None, name
    shipped = {schedule.id: schedule for schedule, _text in shipped_schedules()}
    return Table(
        Policy(
            tuple(
                Adopted(shipped[one], image_clock=adopted[2] is not None)
                for one in adopted[1].split(", ")
            ),
            majority_ages(),
        ),
        tuple(store[1].split(" and ")),
    )


def rows() -> Iterator[Row]:
    for path in sorted(GOLDEN.glob("*.csv")):
        lines = path.read_text(encoding="utf-8").splitlines()
        reader = csv.DictReader(line for line in lines if not line.startswith("#"))
        for words in reader:
            yield Row(path.stem, words)


ROWS = list(rows())
TABLES = {name: table(name) for name in sorted({row.table for row in ROWS})}


def day(words: str) -> dt.date | None:
    return dt.date.fromisoformat(words) if words else None


def facts(row: Row) -> StudyFacts:
    patient = row.words["patient"]
    study = day(row.words["this study"])
    return StudyFacts(
        store="xrays",
        study="S-1",
        patient="P-1",
        jurisdictions=TABLES[row.table].jurisdictions,
        newest_image=study,
        oldest_image=study,
        patient_newest_image=day(row.words["newest image"]),
        last_treatment=day(row.words["last treated"]),
        born=day(row.words["born"]),
        died=day(row.words["died"]),
        is_mammogram=patient.startswith("a mammogram"),
        is_incompetent=patient == "an incompetent patient",
        files=1,
        size_bytes=1,
    )


def decided(row: Row, today: dt.date) -> Decision:
    (decision,) = decide([facts(row)], TABLES[row.table].policy, [], today)
    explained, components = explain(facts(row), TABLES[row.table].policy, [], today)
    assert explained == decision
    if decision.rule is not None:
        assert decision.rule in [one.rule for one in components]
    return decision


DATED = [row for row in ROWS if row.words["kept until"][0].isdigit()]
REVIEWED_ROWS = [row for row in ROWS if row.words["kept until"] == "review"]
PERMANENT = [row for row in ROWS if row.words["kept until"] == "for ever"]


@pytest.mark.parametrize("row", DATED, ids=str)
def test_a_study_is_kept_through_the_last_day_and_no_longer(row: Row) -> None:
    last = dt.date.fromisoformat(row.words["kept until"])
    kept = decided(row, last)
    assert (kept.verdict, kept.reasons) == ("keep", ("period_runs",))
    gone = decided(row, last + dt.timedelta(days=1))
    assert (gone.verdict, gone.reasons) == ("dispose", ())
    for decision in (kept, gone):
        assert decision.due == last + dt.timedelta(days=1)
        assert decision.rule is not None
        winner = f"{decision.rule.schedule}/{decision.rule.rule} {decision.rule.part}"
        assert winner == row.words["by rule"]


@pytest.mark.parametrize("row", REVIEWED_ROWS, ids=str)
def test_a_person_decides_where_the_law_is_not_known(row: Row) -> None:
    decision = decided(row, REVIEWED)
    assert decision.verdict == "review"
    assert set(decision.reasons) - {"rule_not_reviewed"} == set(row.words["by rule"].split())


@pytest.mark.parametrize("row", PERMANENT, ids=str)
def test_a_permanent_class_is_never_due(row: Row) -> None:
    decision = decided(row, REVIEWED)
    assert decision.verdict == "keep"
    assert decision.due is None
    assert "permanent_class" in decision.reasons


def test_every_row_is_of_one_of_the_three_kinds_and_each_kind_occurs() -> None:
    assert len(DATED) + len(REVIEWED_ROWS) + len(PERMANENT) == len(ROWS)
    assert DATED
    assert REVIEWED_ROWS
    assert PERMANENT


def test_every_shipped_schedule_has_a_table() -> None:
    adopted = {one.schedule.id for entry in TABLES.values() for one in entry.policy.adopted}
    assert adopted == {schedule.id for schedule, _text in shipped_schedules()}
    assert adopted <= set(TABLES)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_shows_minors_on_both_sides_of_a_threshold(name: str) -> None:
    """Wherever an adopted law speaks of minors, a minor's part wins once and loses once."""
    stated = {
        one.schedule.id
        for one in TABLES[name].policy.adopted
        for rule in one.schedule.rules
        if rule.minor.form in ("until_age", "majority_plus", "no_disposal_before_age")
    }
    if name not in stated or TABLES[name].policy.adopted[0].schedule.kind == "overlay":
        return
    born = {row.words["by rule"].split()[-1] for row in DATED if row.table == name}
    assert born == {"adult", "minor"}


def test_a_table_shows_a_silent_rule_on_both_sides_of_majority() -> None:
    for schedule, _text in shipped_schedules():
        forms = {rule.minor.form for rule in schedule.rules if rule.confidence != "low"}
        if schedule.kind != "jurisdiction" or "none_stated" not in forms:
            continue
        told = [row for row in ROWS if row.table == schedule.id]
        assert any("minors_rule_not_stated" in row.words["by rule"] for row in told), schedule.id
        assert any(row.words["because"].startswith("no minor any more") for row in told), (
            schedule.id
        )
