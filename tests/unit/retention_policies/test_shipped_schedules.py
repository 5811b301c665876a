"""What every shipped schedule must say, whatever it says."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from orchestrator.config.schedules import (
    is_usable_law,
    majority_ages,
    shipped_majority,
    shipped_schedules,
    shipped_templates,
)
from orchestrator.retention.schedule import PERMANENT_CLASSES, STUDY_CLASSES, Rule, Schedule

ROOT = Path(__file__).parents[3]
SCHEDULES = [schedule for schedule, _text in shipped_schedules()]
RULES = [(schedule, rule) for schedule in SCHEDULES for rule in schedule.rules]


def name(value: object) -> str:
    return value.id if isinstance(value, Schedule | Rule) else str(value)


def test_every_shipped_file_is_read():
    files = {path.stem for path in (ROOT / "retention_policies").glob("*.toml")}
    majority, _text = shipped_majority()
    assert files == {one.id for one in SCHEDULES} | {majority.id} | set(shipped_templates())


@pytest.mark.parametrize(("schedule", "rule"), RULES, ids=name)
def test_every_rule_says_where_it_comes_from(schedule, rule):
    assert rule.citation.instrument
    assert rule.citation.section
    assert rule.citation.source
    assert rule.citation.read_on <= dt.date(2026, 11, 22)


@pytest.mark.parametrize(("schedule", "rule"), RULES, ids=name)
def test_every_rule_has_a_reviewer_or_low_confidence_and_a_date_to_be_read_anew(schedule, rule):
    if rule.confidence == "low":
        assert (rule.reviewer, rule.reviewed_on) == (None, None)
        assert "never disposes" in schedule.title
    else:
        assert rule.reviewer == "the project, from the pages cited; not by a lawyer"
        assert rule.reviewed_on == dt.date(2026, 11, 22)
    assert rule.review_by == dt.date(2027, 11, 22)


@pytest.mark.parametrize(("schedule", "rule"), RULES, ids=name)
def test_whose_rule_says_something_of_minors_and_when_nothing_is_stated(schedule, rule):
    if rule.minor.form == "not_applicable":
        # A state's rule about patients always says whether it knows of minors.
        assert schedule.kind == "overlay" or rule.record_class not in (
            "patient_record",
            "xray_image",
        )


def test_no_shipped_rule_gives_a_permanent_class_an_end():
    permanent = [rule for _one, rule in RULES if rule.record_class in PERMANENT_CLASSES]
    assert {rule.record_class for rule in permanent} == PERMANENT_CLASSES
    assert all(rule.adult.is_indefinite for rule in permanent)


def test_every_record_class_ships_with_a_rule():
    assert {rule.record_class for _one, rule in RULES} == STUDY_CLASSES | {
        "laboratory_order",
        "employee_exposure",
        "hipaa_documentation",
        "disclosure_log",
        "disposal_log",
    }


def test_private_offices_of_california_and_connecticut_get_no_law_from_us():
    for place in ("US-CA", "US-CT"):
        told = [one for one in SCHEDULES if one.jurisdiction == place]
        assert told
        assert {one.kind for one in told} == {"overlay"}


def test_notices_that_a_state_asks_for_ship_with_its_rules():
    asked = {
        (schedule.jurisdiction, notice.form) for schedule, rule in RULES for notice in rule.notices
    }
    assert asked == {
        ("US-IN", "posted_sign"),
        ("US-MD", "mailed_notice"),
        ("US-NV", "posted_sign"),
        ("US-NV", "written_statement"),
    }


def test_every_usable_law_finds_its_age_of_majority():
    known = {one.jurisdiction for one in majority_ages() if one.confidence != "low"}
    for schedule in SCHEDULES:
        if is_usable_law(schedule):
            assert schedule.jurisdiction in known, schedule.id


def test_every_age_of_majority_says_where_it_comes_from():
    for one in majority_ages():
        assert one.citation.source, one.jurisdiction
        assert one.citation.section, one.jurisdiction


def test_where_two_ages_of_majority_hold_one_after_the_other_the_later_one_is_18():
    ages = majority_ages()
    for place in {one.jurisdiction for one in ages if one.since is not None}:
        rows = [(one.since, one.age) for one in ages if one.jurisdiction == place]
        assert sorted(age for _since, age in rows) == [18, 21], place
        assert (None, 21) in rows, place


def test_the_ages_that_are_not_18_are_the_known_exceptions():
    ages = {
        one.jurisdiction: one.age
        for one in sorted(
            majority_ages(), key=lambda one: (one.jurisdiction, one.since or dt.date.min)
        )
    }
    assert {place: age for place, age in ages.items() if age != 18} == {
        "US-AL": 19,
        "US-MS": 21,
        "US-NE": 19,
        "US-PA": 21,
    }
