"""How a retention schedule is read, and every way in which a file can be wrong."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from orchestrator.config.schedules import (
    majority_ages,
    majority_table,
    read_majority,
    read_schedule,
    shipped_schedules,
    shipped_templates,
    site_schedules,
)
from orchestrator.errors import ConfigError
from orchestrator.retention.schedule import INDEFINITE, Minor, Notice, Period

ROOT = Path(__file__).parents[3]
FILE = Path("ours.toml")
GOOD = """
id = "ours"
version = "1"
kind = "local"
title = "What we add"
reviewer = "Counsel"
reviewed_on = 2026-01-02
review_by = 2027-01-02

[[rule]]
id = "record"
record_class = "patient_record"
trigger = "last_treatment"
adult = "7y"
images = "with_record"
confidence = "high"

[rule.minor]
form = "until_age"
age = 25

[rule.citation]
instrument = "Our policy"
section = "4"
read_on = 2026-01-02
"""
AGE = """
id = "majority"
version = "1"

[[age]]
jurisdiction = "US-TX"
age = 18
confidence = "high"

[age.citation]
instrument = "Code"
section = "1"
read_on = 2026-01-02
"""


def with_lines(text: str = GOOD, **lines: str | None) -> str:
    """Replace the line of each key; None takes it out."""
    out = []
    for line in text.splitlines():
        key = line.partition(" = ")[0]
        if key not in lines:
            out.append(line)
        elif lines[key] is not None:
            out.append(f"{key} = {lines[key]}")
    return "\n".join(out) + "\n"


def faults(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigError) as caught:
        read_schedule(data, FILE)
    assert caught.value.exit_code == 2
    assert "docs/retention.md" in str(caught.value.hint)
    assert all(fault.startswith("ours.toml: ") for fault in caught.value.faults)
    return [fault.removeprefix("ours.toml: ") for fault in caught.value.faults]


def test_a_schedule_is_read_with_every_value():
    text = (
        GOOD.replace('kind = "local"', 'kind = "jurisdiction"\njurisdiction = "US-OH"')
        + 'source = "https://example.org/x"\ntext_of = "May 2020"\n'
        + '[[rule.notice]]\nform = "posted_sign"\ntext = "A sign."\n'
    ).replace('confidence = "high"', 'confidence = "high"\nconflicts = ["Other."]\nnote = "Note."')
    schedule = read_schedule(text.encode(), FILE)
    assert (schedule.id, schedule.version, schedule.kind) == ("ours", "1", "jurisdiction")
    assert (schedule.jurisdiction, schedule.title) == ("US-OH", "What we add")
    assert schedule.digest == hashlib.sha256(text.encode()).hexdigest()
    (rule,) = schedule.rules
    assert (rule.id, rule.record_class, rule.trigger) == (
        "record",
        "patient_record",
        "last_treatment",
    )
    assert rule.adult == Period(7)
    assert rule.minor == Minor("until_age", 25, None, "at_trigger", None)
    assert (rule.images, rule.confidence) == ("with_record", "high")
    assert str(rule.citation) == "Our policy 4"
    assert (rule.citation.source, rule.citation.text_of) == ("https://example.org/x", "May 2020")
    assert rule.citation.read_on == date(2026, 1, 2)
    assert (rule.reviewer, rule.reviewed_on) == ("Counsel", date(2026, 1, 2))
    assert rule.review_by == date(2027, 1, 2)
    assert (rule.conflicts, rule.note) == (("Other.",), "Note.")
    assert rule.notices == (Notice("posted_sign", "A sign."),)


def test_a_rule_takes_the_reviewer_of_the_file_unless_it_names_its_own():
    text = GOOD.replace(
        'images = "with', 'reviewer = "Bo"\nreviewed_on = 2026-03-01\nimages = "with'
    )
    (rule,) = read_schedule(text.encode(), FILE).rules
    assert (rule.reviewer, rule.reviewed_on) == ("Bo", date(2026, 3, 1))
    assert rule.review_by == date(2027, 1, 2)


def test_nobody_vouches_for_low_confidence_by_default():
    (rule,) = read_schedule(with_lines(confidence='"low"').encode(), FILE).rules
    assert (rule.reviewer, rule.reviewed_on) == (None, None)
    assert rule.review_by == date(2027, 1, 2)


def test_a_file_without_a_reviewer_is_read_and_has_none():
    text = with_lines(reviewer=None, reviewed_on=None, review_by=None)
    (rule,) = read_schedule(text.encode(), FILE).rules
    assert (rule.reviewer, rule.reviewed_on, rule.review_by) == (None, None, None)


@pytest.mark.parametrize(
    ("written", "period"),
    [
        ("5y", Period(5)),
        ("6m", Period(0, 6)),
        ("18m", Period(1, 6)),
        ("1y6m", Period(1, 6)),
        ("90d", Period(0, 0, 90)),
        ("2y3m4d", Period(2, 3, 4)),
        ("120y", Period(120)),
        ("indefinite", INDEFINITE),
    ],
)
def test_periods_are_calendar_periods(written, period):
    (rule,) = read_schedule(with_lines(adult=f'"{written}"').encode(), FILE).rules
    assert rule.adult == period


@pytest.mark.parametrize(
    "written", ["", "0y", "5", "y", "5w", "-5y", "5 y", "5Y", "5m1y", "?", "५y"]
)
def test_what_is_no_period_is_named(written):
    (fault,) = faults(with_lines(adult=f'"{written}"'))
    assert fault.startswith("rule[0].adult: ")


def test_a_number_is_no_period_and_no_period_is_endless_by_a_large_number():
    assert faults(with_lines(adult="5")) == [
        'rule[0].adult: must be a period in quotes, such as "5y"'
    ]
    (fault,) = faults(with_lines(adult='"121y"'))
    assert "longer than 120 years" in fault


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("id", '"Ours"', "id: must begin with a lower-case letter"),
        ("version", '"1 0"', "version: must be at most 20"),
        ("kind", '"law"', "kind: must be 'jurisdiction', 'overlay' or 'local'"),
        ("kind", '"jurisdiction"', "jurisdiction: is missing"),
        ("title", '""', "title: must not be empty"),
        ("title", None, "title: is missing"),
        ("reviewer", None, "reviewer: is missing; a date of review needs one"),
        ("reviewed_on", None, "reviewed_on: is missing; a reviewer needs it"),
        ("reviewed_on", '"2026-01-02"', "reviewed_on: must be a date without quotes"),
        ("reviewed_on", "2026-01-02T10:00:00Z", "reviewed_on: must be a date without quotes"),
        ("review_by", None, "review_by: is missing; a reviewer needs it"),
        ("review_by", "2026-01-02", "review_by: must be after reviewed_on"),
        ("record_class", '"record"', "rule[0].record_class: must be 'patient_record'"),
        ("trigger", '"last_treatement"', "rule[0].trigger: must be 'last_treatment'"),
        ("images", '"own_clock"', "rule[0].images: own_clock is for record_class"),
        ("confidence", '"sure"', "rule[0].confidence: must be 'high', 'medium' or 'low'"),
        ("age", None, 'rule[0].minor.age: is missing; form = "until_age" needs it'),
        ("age", "0", "rule[0].minor.age: must be at least 1"),
        ("age", '"25"', "rule[0].minor.age: must be a whole number"),
        ("age", "true", "rule[0].minor.age: must be a whole number"),
        ("form", '"majority_plus"', "rule[0].minor.plus: is missing"),
        ("form", '"majority_plus"', "rule[0].minor.age: means nothing with form"),
        ("form", '"none_stated"', "rule[0].minor.age: means nothing with form"),
        ("form", '"not_applicable"', "rule[0].minor.age: means nothing with form"),
        ("form", '"when grown up"', "rule[0].minor.form: must be 'until_age'"),
        ("section", None, "rule[0].citation.section: is missing"),
        ("read_on", None, "rule[0].citation.read_on: is missing"),
    ],
)
def test_each_wrong_value_is_named(key, value, fault):
    assert any(one.startswith(fault) for one in faults(with_lines(**{key: value})))


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ("lenght = 1", "rule[0].citation.lenght: is not a known key"),
        ("sourc = 1", "rule[0].citation.sourc: is not a known key; did you mean source?"),
        ('source = "law"', "rule[0].citation.source: "),
        ('[[rule.notice]]\nform = "shout"\ntext = "x"', "rule[0].notice[0].form: must be"),
        ('[[rule.notice]]\nform = "posted_sign"', "rule[0].notice[0].text: is missing"),
        ("[extra]\nx = 1", "extra: is not a known key"),
        ("[[rule]]", "rule[1].id: is missing"),
    ],
)
def test_unknown_and_missing_keys_are_named(extra, fault):
    assert any(one.startswith(fault) for one in faults(GOOD + extra))


def test_two_rules_of_one_name_are_refused():
    second = GOOD[GOOD.index("[[rule]]") :]
    assert faults(GOOD + second) == [
        "rule[0].id: is that of another rule of this file",
        "rule[1].id: is that of another rule of this file",
    ]


@pytest.mark.parametrize("about", ["incompetent_patient_record", "disposal_log"])
def test_a_permanent_class_cannot_be_given_an_end(about):
    text = with_lines(record_class=f'"{about}"')
    assert any("records of this class are never due" in one for one in faults(text))
    (rule,) = read_schedule(text.replace('"7y"', '"indefinite"').encode(), FILE).rules
    assert rule.adult == INDEFINITE


def test_no_disposal_before_an_age_is_about_today():
    text = with_lines(form='"no_disposal_before_age"')
    (rule,) = read_schedule(text.encode(), FILE).rules
    assert rule.minor.tested == "now"
    wrong = text.replace("age = 25", 'age = 25\ntested = "at_trigger"')
    (fault,) = faults(wrong)
    assert fault.startswith("rule[0].minor.tested: ")


def test_a_deceased_class_runs_from_the_death():
    text = with_lines(record_class='"deceased_patient_record"')
    assert any('must be "patient_death"' in one for one in faults(text))


def test_a_low_rule_cannot_name_a_reviewer():
    text = with_lines(confidence='"low"\nreviewer = "Bo"')
    assert any(one.startswith("rule[0].reviewer: ") for one in faults(text))


def test_a_schedule_for_the_whole_country_is_the_countrys_law():
    text = GOOD.replace('kind = "local"', 'kind = "local"\njurisdiction = "US"')
    (fault,) = faults(text)
    assert fault.startswith("jurisdiction: leave it out")


def test_all_faults_of_a_file_come_at_once():
    text = with_lines(id='"Ours"', adult='"soon"', age=None, read_on="1") + "what = 1\n"
    keys = [one.split(": ")[0] for one in faults(text)]
    assert sorted(keys) == [
        "id",
        "rule[0].adult",
        "rule[0].citation.read_on",
        "rule[0].citation.what",
        "rule[0].id",
        "rule[0].minor.age",
    ]


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"id = ", b"rule = 1", b"[rule]\nid = 1", b"rule = []", b"a" * 1_100_000],
)
def test_what_is_no_schedule_is_a_fault_and_never_a_crash(data):
    assert faults(data)


@pytest.mark.parametrize(
    "text",
    [
        "rule = [1, 2]",
        "[[rule]]\nid = []\nminor = 3\ncitation = []",
        "[[rule]]\nminor = { form = [] }\nreviewed_on = 1\nreview_by = true",
        "kind = []\njurisdiction = {}\nreviewer = 3\n[[rule]]\nrecord_class = []",
        "template = 1",
    ],
)
def test_wrong_types_anywhere_are_faults_and_never_a_crash(text):
    assert faults(text)


def test_a_byte_order_mark_belongs_to_the_text_that_is_adopted():
    data = b"\xef\xbb\xbf" + GOOD.encode()
    assert read_schedule(data, FILE).digest == hashlib.sha256(data).hexdigest()


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_bytes(text.encode())


def site_faults(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        site_schedules(folder)
    return [one.removeprefix(f"{folder}/") for one in caught.value.faults]


def test_a_site_without_a_folder_has_no_schedules_of_its_own(tmp_path):
    assert site_schedules(tmp_path / "retention_policies") == []


def test_a_sites_own_schedules_come_with_their_exact_text(tmp_path):
    text = GOOD.replace("\n", "\r\n")
    write(tmp_path, "ours", text)
    (tmp_path / "notes.md").write_text("no schedule")
    ((schedule, kept),) = site_schedules(tmp_path)
    assert kept == text
    assert hashlib.sha256(kept.encode()).hexdigest() == schedule.digest


def test_wrong_types_in_a_sites_file_are_faults_and_never_a_crash(tmp_path):
    write(tmp_path, "ours", 'id = []\nkind = "jurisdiction"\njurisdiction = []')
    assert site_faults(tmp_path)


@pytest.mark.parametrize("taken", ["us-tx-dental", "medicare-ffs", "majority"])
def test_the_name_of_a_shipped_file_is_taken(tmp_path, taken):
    write(tmp_path, taken, with_lines(id=f'"{taken}"'))
    assert f"{taken}.toml: id: is that of a shipped file; choose another one" in site_faults(
        tmp_path
    )


def test_the_law_that_ships_is_not_the_sites_to_write(tmp_path):
    law = GOOD.replace('kind = "local"', 'kind = "jurisdiction"\njurisdiction = "US-TX"')
    write(tmp_path, "ours", law)
    (fault,) = site_faults(tmp_path)
    assert fault.startswith("ours.toml: kind: the law of US-TX ships with the product")


@pytest.mark.parametrize("place", ["US-CA", "US-CT", "US-LA", "US-NJ", "US-OH"])
def test_a_site_brings_the_law_where_none_that_is_usable_ships(tmp_path, place):
    law = GOOD.replace('kind = "local"', f'kind = "jurisdiction"\njurisdiction = "{place}"')
    write(tmp_path, "ours", law)
    ((schedule, _text),) = site_schedules(tmp_path)
    assert (schedule.kind, schedule.jurisdiction) == ("jurisdiction", place)


def test_a_schedule_is_called_as_its_file(tmp_path):
    write(tmp_path, "theirs", GOOD)
    assert site_faults(tmp_path) == ["theirs.toml: id: must be the file's name, theirs"]


def test_faults_of_all_files_of_a_site_come_at_once(tmp_path):
    write(tmp_path, "ours", with_lines(adult='"soon"'))
    write(tmp_path, "theirs", "= 1")
    write(tmp_path, "Theirs", GOOD)
    assert {one.split(":")[0] for one in site_faults(tmp_path)} == {
        "ours.toml",
        "theirs.toml",
        "Theirs.toml",
    }


def test_a_template_cannot_be_adopted_before_it_is_filled_in(tmp_path):
    shipped = {schedule.id for schedule, _text in shipped_schedules()}
    assert shipped_templates() == ("malpractice-carrier", "payer-contract")
    assert not shipped & set(shipped_templates())
    for name in shipped_templates():
        text = (ROOT / f"retention_policies/{name}.toml").read_text(encoding="utf-8")
        write(tmp_path, name, text)
        told = [one for one in site_faults(tmp_path) if one.startswith(f"{name}.toml: ")]
        assert f"{name}.toml: template: fill in what is blank, then take this line out" in told
        for blank in ("reviewer", "rule[0].adult", "rule[0].citation.instrument"):
            assert any(one.startswith(f"{name}.toml: {blank}: ") for one in told), blank
        (tmp_path / f"{name}.toml").unlink()


def test_a_template_that_is_filled_in_is_the_sites_own_schedule(tmp_path):
    for name in shipped_templates():
        text = (ROOT / f"retention_policies/{name}.toml").read_text(encoding="utf-8")
        text = text.replace("template = true\n", "").replace('adult = "" ', 'adult = "10y" ')
        text = text.replace('= "" ', '= "filled in" ').replace("# review", "review")
        write(tmp_path, name, text.replace("# read_on", "read_on"))
    found = {schedule.id: schedule for schedule, _text in site_schedules(tmp_path)}
    assert set(found) == set(shipped_templates())
    for schedule in found.values():
        assert schedule.kind == "overlay"
        assert schedule.rules[0].adult == Period(10)
        assert schedule.rules[0].reviewer == "filled in"


def age_faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_majority(text.encode(), FILE)
    return [one.removeprefix("ours.toml: ") for one in caught.value.faults]


def test_ages_of_majority_are_read():
    (one,) = read_majority(AGE.encode(), FILE)
    assert (one.jurisdiction, one.age, one.since, one.confidence) == ("US-TX", 18, None, "high")
    table = majority_table(AGE.encode(), FILE)
    assert (table.id, table.version, table.ages) == ("majority", "1", (one,))
    assert table.digest == hashlib.sha256(AGE.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("id", '"other"', "id: must be 'majority'"),
        ("age", "12", "age[0].age: must be at least 14"),
        ("age", '"18"', "age[0].age: must be a whole number"),
        ("jurisdiction", '"Texas"', "age[0].jurisdiction: must be a code such as US-TX"),
        ("section", None, "age[0].citation.section: is missing"),
    ],
)
def test_each_wrong_age_is_named(key, value, fault):
    assert age_faults(with_lines(AGE, **{key: value})) == [fault]


def test_an_age_stands_once_for_a_jurisdiction_and_date():
    entry = AGE[AGE.index("[[age]]") :]
    assert age_faults(AGE + entry) == ["age[1]: stands twice for one jurisdiction and date"]
    both = read_majority(
        (AGE + entry.replace("age = 18", "age = 21\nsince = 1973-08-27")).encode(), FILE
    )
    assert [one.age for one in both] == [18, 21]


def test_the_shipped_ages_are_those_of_the_shipped_file():
    file = ROOT / "retention_policies/majority.toml"
    assert majority_ages() == read_majority(file.read_bytes(), file)
