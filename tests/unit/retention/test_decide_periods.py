"""Which period applies to whom, from when it runs and which one is the longest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.retention.decide import decide
from orchestrator.retention.explain import explain
from orchestrator.retention.schedule import (
    INDEFINITE,
    Adopted,
    MajorityAge,
    Minor,
    Period,
    Policy,
)
from orchestrator.retention.study import Decision, StudyFacts
from tests.unit.retention.made import (
    CITED,
    NO_MINORS,
    TODAY,
    day,
    overlay,
    policy,
    rule,
    schedule,
    study,
)


def decided(one: StudyFacts, by: Policy, today: str | None = None) -> Decision:
    (decision,) = decide([one], by, [], day(today) if today else TODAY)
    return decision


@pytest.mark.parametrize(("today", "verdict"), [("2021-03-01", "keep"), ("2021-03-02", "dispose")])
def test_a_study_is_kept_through_the_last_day_of_its_period(today: str, verdict: str) -> None:
    assert decided(study(), policy(), today).verdict == verdict


@pytest.mark.parametrize(
    ("facts", "due"),
    [
        ({"last_treatment": "2018-06-01"}, "2023-06-02"),
        ({"patient_newest_image": "2018-06-01"}, "2023-06-02"),
        ({"newest_image": "2018-06-01"}, "2023-06-02"),
        ({"newest_other": "2018-06-01"}, "2023-06-02"),
        ({"last_treatment": "2010-06-01"}, "2021-03-02"),
        ({"last_treatment": None, "patient_newest_image": None}, "2021-03-02"),
    ],
)
def test_a_patients_clock_starts_with_the_latest_event(facts: dict[str, Any], due: str) -> None:
    dated = {name: value and day(value) for name, value in facts.items()}
    assert decided(study(**dated), policy()).due == day(due)


@pytest.mark.parametrize("trigger", ["exam_date", "record_created", "record_received"])
def test_a_records_clock_starts_with_its_own_newest_date(trigger: str) -> None:
    by = policy(schedule(rule(trigger=trigger)))
    again = study(last_treatment=day("2024-01-01"), patient_newest_image=day("2024-01-01"))
    assert decided(again, by).due == day("2021-03-02")
    assert decided(replace(again, newest_other=day("2017-01-01")), by).due == day("2022-01-02")


@pytest.mark.parametrize(
    ("born", "treated", "minor", "due"),
    [
        # 21 or 5 years, whichever is longer, for somebody treated as a minor.
        ("2000-05-05", "2010-03-01", Minor("until_age", 21), "2021-05-06"),
        ("2000-05-05", "2018-03-01", Minor("until_age", 21), "2023-03-02"),
        ("2000-02-29", "2010-03-01", Minor("until_age", 21), "2021-03-02"),
        # Seven years after coming of age.
        ("2000-05-05", "2010-03-01", Minor("majority_plus", plus=Period(7, 0)), "2025-05-06"),
        ("2000-02-29", "2010-03-01", Minor("majority_plus", plus=Period(7, 0)), "2025-03-02"),
        ("2000-05-05", "2010-03-01", Minor("majority_plus", plus=Period(0, 6)), "2018-11-06"),
        # The rule names another age of majority than the law of the state.
        (
            "2000-05-05",
            "2010-03-01",
            Minor("majority_plus", plus=Period(1, 0), majority=21),
            "2022-05-06",
        ),
        # The very day of coming of age: an adult.
        ("2000-05-05", "2018-05-05", Minor("until_age", 25), "2023-05-06"),
        ("2000-05-05", "2018-05-04", Minor("until_age", 25), "2025-05-06"),
        # Tested now: whoever has not reached the age, however old at the treatment.
        ("2000-05-05", "2018-05-05", Minor("until_age", 25, tested="now"), "2025-05-06"),
        ("2000-05-05", "2018-05-05", Minor("no_disposal_before_age", 25), "2025-05-06"),
        ("1990-05-05", "2018-05-05", Minor("no_disposal_before_age", 25), "2023-05-06"),
        # Born on 29 February: of age on 1 March.
        ("2004-02-29", "2022-02-28", Minor("until_age", 30), "2034-03-02"),
        ("2004-02-29", "2022-03-01", Minor("until_age", 30), "2027-03-02"),
    ],
)
def test_minors_are_kept_longer(born: str, treated: str, minor: Minor, due: str) -> None:
    on = day(treated)
    one = study(
        born=day(born),
        newest_image=on,
        oldest_image=on,
        patient_newest_image=on,
        last_treatment=on,
    )
    assert decided(one, policy(schedule(rule(minor=minor)))).due == day(due)


def test_the_record_of_a_child_stays_one_when_the_patient_returns_as_an_adult() -> None:
    by = policy(schedule(rule(adult=Period(2, 0), minor=Minor("until_age", 25))))
    child = study(
        born=day("2000-05-05"),
        newest_image=day("2018-05-04"),
        oldest_image=day("2018-05-04"),
        patient_newest_image=day("2018-05-04"),
        last_treatment=day("2018-05-04"),
    )
    assert decided(child, by).due == day("2025-05-06")
    assert decided(replace(child, last_treatment=day("2018-05-06")), by).due == day("2025-05-06")


def test_another_rule_that_speaks_of_minors_fills_the_silence() -> None:
    silent = schedule(rule(minor=Minor("none_stated")))
    one = study(born=day("2004-05-05"))
    alone = decided(one, policy(silent))
    assert (alone.reasons, alone.due) == (("minors_rule_not_stated",), day("2021-03-02"))
    carrier = overlay(rule("carrier", adult=Period(1, 0), minor=Minor("until_age", 22)))
    filled = decided(one, policy(silent, carrier))
    assert (filled.verdict, filled.due, filled.reasons) == ("dispose", day("2026-05-06"), ())
    assert filled.rule is not None
    assert (filled.rule.schedule, filled.rule.part) == ("overlay", "minor")


def test_silence_about_minors_says_nothing_about_adults() -> None:
    assert decided(study(), policy(schedule(rule(minor=Minor("none_stated"))))).verdict == "dispose"


@pytest.mark.parametrize(
    ("born", "due"),
    [
        ("1952-01-01", "1973-07-02"),  # 20 when the law changed: of age on the day of the change
        ("1955-01-01", "1974-01-02"),  # 17 then: of age at 18
        ("1940-01-01", "1962-01-02"),  # of age at 21 under the old law
        ("1951-07-01", "1973-07-02"),  # 21 on the very day of the change
    ],
)
def test_coming_of_age_follows_the_law_of_its_time(born: str, due: str) -> None:
    ages = (
        MajorityAge("US-TX", 21, None, CITED, "high"),
        MajorityAge("US-TX", 18, day("1972-07-01"), CITED, "high"),
    )
    minor = Minor("majority_plus", plus=Period(1, 0), tested="now")
    by = policy(schedule(rule(adult=Period(0, 0), minor=minor)), majority=ages)
    _, components = explain(study(born=day(born)), by, [], TODAY)
    (found,) = [one for one in components if one.rule.part == "minor"]
    assert found.due == day(due)


def test_in_several_states_everybody_comes_of_age_by_the_last_of_them() -> None:
    ages = (
        MajorityAge("US-TX", 18, None, CITED, "high"),
        MajorityAge("US-VA", 19, None, CITED, "high"),
    )
    minor = Minor("majority_plus", plus=Period(10, 0))
    everywhere = overlay(rule("carrier", minor=minor))
    plain = schedule(rule(minor=NO_MINORS))
    virginia = schedule(rule(minor=NO_MINORS), name="us-va", jurisdiction="US-VA")
    by = policy(plain, virginia, everywhere, majority=ages)
    one = study(born=day("2000-05-05"), jurisdictions=("US-TX", "US-VA"))
    assert decided(one, by).due == day("2029-05-06")
    assert decided(replace(one, jurisdictions=("US-TX",)), by).due == day("2028-05-06")


def test_a_store_in_two_states_keeps_by_the_longer_law() -> None:
    texas = schedule(rule(adult=Period(5, 0)))
    virginia = schedule(rule(adult=Period(6, 0)), name="us-va", jurisdiction="US-VA")
    by = policy(texas, virginia)
    assert decided(study(), by).due == day("2021-03-02")
    for states in (("US-TX", "US-VA"), ("US-VA", "US-TX"), ("US-VA", "US", "US-TX")):
        both = decided(study(jurisdictions=states), by)
        assert both.due == day("2022-03-02")
        assert both.rule is not None
        assert both.rule.schedule == "us-va"


@pytest.mark.parametrize("kind", ["overlay", "local"])
@pytest.mark.parametrize(
    ("years", "due"), [(1, "2021-03-02"), (5, "2021-03-02"), (9, "2025-03-02")]
)
def test_what_a_site_adds_only_lengthens(kind: str, years: int, due: str) -> None:
    more = overlay(rule("more", adult=Period(years, 0)), kind=kind)
    decision = decided(study(), policy(schedule(), more))
    assert decision.due == day(due)
    assert decision.rule is not None
    # Of equal periods the law is named, not what the site added.
    assert decision.rule.schedule == ("overlay" if years == 9 else "us-tx-dental")


@pytest.mark.parametrize(
    ("where", "due"),
    [("US-TX", "2025-03-02"), ("US", "2025-03-02"), (None, "2025-03-02"), ("US-VA", "2021-03-02")],
)
def test_a_rule_of_another_place_does_not_apply(where: str | None, due: str) -> None:
    more = overlay(rule("more", adult=Period(9, 0)), kind="local", jurisdiction=where)
    assert decided(study(), policy(schedule(), more)).due == day(due)


def test_the_law_of_the_country_applies_everywhere() -> None:
    federal = schedule(rule(adult=Period(8, 0)), name="us", jurisdiction="US")
    assert decided(study(), policy(schedule(), federal)).due == day("2024-03-02")


@pytest.mark.parametrize(
    ("died", "due"),
    [(None, "2021-03-02"), ("2020-01-01", "2022-01-02"), ("2016-04-01", "2021-03-02")],
)
def test_a_death_only_adds_a_period(died: str | None, due: str) -> None:
    dead = rule(
        "dead",
        record_class="deceased_patient_record",
        trigger="patient_death",
        adult=Period(2, 0),
        minor=NO_MINORS,
    )
    by = policy(schedule(rule(), dead))
    assert decided(study(died=died and day(died)), by).due == day(due)


def test_records_of_the_incompetent_are_permanent() -> None:
    decision = decided(study(is_incompetent=True), policy())
    assert (decision.verdict, decision.due, decision.rule) == ("keep", None, None)
    assert decision.reasons == ("permanent_class",)
    own = rule("ever", record_class="incompetent_patient_record", adult=Period(1, 0))
    named = decided(study(is_incompetent=True), policy(schedule(rule(), own)))
    assert (named.verdict, named.due, named.reasons) == ("keep", None, ("permanent_class",))
    assert named.rule is not None
    assert named.rule.rule == "ever"
    assert decided(study(), policy(schedule(rule(), own))).verdict == "dispose"


def test_a_permanent_record_is_kept_whatever_else_is_doubtful() -> None:
    decision = decided(study(is_incompetent=True, jurisdictions=(), born=None), policy())
    assert (decision.verdict, decision.due) == ("keep", None)
    assert decision.reasons == ("permanent_class", "no_jurisdiction")


def test_an_indefinite_period_never_ends() -> None:
    by = policy(schedule(), overlay(rule("ever", adult=INDEFINITE)))
    decision = decided(study(), by, "2990-01-01")
    assert (decision.verdict, decision.due) == ("keep", None)
    assert decision.reasons[0] == "indefinite_period"
    assert decision.rule is not None
    assert decision.rule.rule == "ever"


def test_a_minors_record_kept_for_ever_is_kept() -> None:
    minor = Minor("majority_plus", plus=INDEFINITE)
    by = policy(schedule(rule(minor=minor)))
    child = decided(study(born=day("2005-01-01")), by)
    assert (child.verdict, child.reasons) == ("keep", ("indefinite_period",))
    assert decided(study(), by).verdict == "dispose"


def test_a_mammogram_never_uses_the_shorter_clock_of_x_rays() -> None:
    both = schedule(
        rule("record", adult=Period(12, 0)),
        rule("image", record_class="xray_image", adult=Period(5, 0), images="own_clock"),
        rule("film", record_class="mammogram", adult=Period(5, 0)),
    )
    by = policy(Adopted(both, image_clock=True))
    assert decided(study(), by).due == day("2021-03-02")
    assert decided(study(is_mammogram=True), by).due == day("2028-03-02")


def test_a_period_longer_than_the_calendar_keeps() -> None:
    by = policy(schedule(rule(adult=Period(9000, 0))))
    decision = decided(study(), by, "9999-12-31")
    assert (decision.verdict, decision.due) == ("review", day("9999-12-31"))
    assert decided(study(), by).verdict == "keep"


def test_an_explanation_shows_every_period_and_the_longest_first() -> None:
    carrier = overlay(rule("carrier", adult=Period(7, 0), minor=Minor("until_age", 25)))
    one = study(born=day("2004-05-05"))
    decision, components = explain(one, policy(schedule(), carrier), [], TODAY)
    assert decision.due == day("2029-05-06")
    shown = [(one.rule.schedule, one.rule.part, str(one.due), one.words) for one in components]
    assert shown == [
        ("overlay", "minor", "2029-05-06", "until the patient is 25"),
        ("us-tx-dental", "minor", "2025-05-06", "until the patient is 21"),
        ("overlay", "adult", "2023-03-02", "7 years from the last treatment"),
        ("us-tx-dental", "adult", "2021-03-02", "5 years from the last treatment"),
    ]
    assert components[2].starts == day("2016-03-01")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"adult": Period(1, 0)}, "1 year from the last treatment"),
        ({"adult": Period(1, 6)}, "1 year and 6 months from the last treatment"),
        ({"adult": Period(0, 0, 90), "trigger": "discharge"}, "90 days from the discharge"),
        ({"adult": INDEFINITE}, "for ever"),
        ({"adult": Period(0, 0)}, "0 years from the last treatment"),
    ],
)
def test_periods_are_told_in_words(changes: dict[str, Any], words: str) -> None:
    _, components = explain(study(), policy(schedule(rule(minor=NO_MINORS, **changes))), [], TODAY)
    assert [one.words for one in components] == [words]


@pytest.mark.parametrize(
    ("minor", "words"),
    [
        (Minor("majority_plus", plus=Period(7, 0)), "until 7 years after coming of age"),
        (
            Minor("majority_plus", plus=Period(1, 0), majority=21),
            "until 1 year after coming of age at 21",
        ),
        (Minor("majority_plus", plus=INDEFINITE), "for ever, as the record of a minor"),
    ],
)
def test_minors_periods_are_told_in_words(minor: Minor, words: str) -> None:
    child = study(born=day("2005-01-01"))
    _, components = explain(child, policy(schedule(rule(minor=minor))), [], TODAY)
    assert [one.words for one in components if one.rule.part == "minor"] == [words]


def test_an_unknown_start_is_told_as_unknown() -> None:
    by = policy(schedule(rule(), rule("contract", trigger="contract_end", minor=NO_MINORS)))
    decision, components = explain(study(), by, [], TODAY)
    assert decision.due is None
    unknown = components[-1]
    assert (unknown.rule.rule, unknown.starts, unknown.due) == ("contract", None, None)
