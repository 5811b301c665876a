"""Every reason for which a person must look, reached alone from a study that would go otherwise."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import get_args

import pytest

from orchestrator.retention.columns import KEEP_REASONS
from orchestrator.retention.decide import decide
from orchestrator.retention.schedule import (
    INDEFINITE,
    Adopted,
    MajorityAge,
    Minor,
    Period,
    Policy,
)
from orchestrator.retention.study import Decision, KeepReason, ReviewReason, StudyFacts
from orchestrator.retention.words import WORDS
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

SILENT = Minor("none_stated")
PLUS_SEVEN = Minor("majority_plus", plus=Period(7, 0))


def decided(one: StudyFacts, by: Policy | None = None) -> Decision:
    (decision,) = decide([one], by or policy(), [], TODAY)
    return decision


def test_a_study_without_a_doubt_whose_period_ended_may_go() -> None:
    decision = decided(study())
    assert (decision.verdict, decision.due, decision.reasons) == ("dispose", day("2021-03-02"), ())
    assert decision.rule is not None
    assert (decision.rule.schedule, decision.rule.part) == ("us-tx-dental", "adult")


BY_FACTS: list[tuple[ReviewReason, StudyFacts]] = [
    ("no_usable_date", study(newest_image=None, oldest_image=None)),
    ("no_usable_date", study(newest_image=None, oldest_image=None, newest_other=day("2016-03-01"))),
    ("date_in_future", study(newest_image=day("2026-11-23"))),
    ("date_in_future", study(newest_other=day("2106-11-23"))),
    ("date_in_future", study(patient_newest_image=day("2027-01-01"))),
    ("date_in_future", study(last_treatment=day("2026-12-24"))),
    ("date_in_future", study(died=day("2026-12-24"))),
    ("date_in_future", study(newest_image=day("2030-01-01"), born=day("2030-01-01"))),
    ("date_before_birth", study(born=day("2016-03-02"))),
    ("date_before_birth", study(oldest_image=day("1990-01-01"), born=day("1991-01-01"))),
    ("date_before_birth", study(last_treatment=day("1960-01-01"))),
    ("date_before_birth", study(died=day("1960-01-01"))),
    ("date_before_1980", study(oldest_image=day("1979-12-31"))),
    (
        "date_before_1980",
        study(newest_image=day("1979-12-31"), oldest_image=day("1979-12-31")),
    ),
    ("dates_disagree", study(died=day("2016-02-28"))),
    ("dates_disagree", study(last_treatment=day("2018-03-01"), died=day("2018-02-28"))),
    ("dates_disagree", study(oldest_image=day("2016-03-02"))),
    ("birth_date_unknown", study(born=None)),
    ("no_jurisdiction", study(jurisdictions=())),
    ("no_jurisdiction", study(jurisdictions=("US",))),
    ("no_adopted_schedule", study(jurisdictions=("US-OH",))),
    ("no_adopted_schedule", study(jurisdictions=("US-TX", "US-OH"))),
    ("class_without_rule", study(is_mammogram=True)),
]


@pytest.mark.parametrize(("reason", "one"), BY_FACTS)
def test_a_pitfall_of_the_facts_is_reviewed(reason: ReviewReason, one: StudyFacts) -> None:
    decision = decided(one)
    assert decision.verdict == "review"
    assert reason in decision.reasons


def _by_rule(**changes: object) -> Policy:
    return policy(schedule(rule(**changes)))


MINOR = study(born=day("2000-05-05"))
BY_POLICY: list[tuple[ReviewReason, StudyFacts, Policy]] = [
    ("rule_low_confidence", study(), _by_rule(confidence="low")),
    ("rule_not_reviewed", study(), _by_rule(reviewer=None)),
    ("rule_not_reviewed", study(), _by_rule(reviewer="")),
    ("rule_review_overdue", study(), _by_rule(review_by=TODAY - dt.timedelta(1))),
    ("minors_rule_not_stated", MINOR, _by_rule(minor=SILENT)),
    ("majority_age_unknown", MINOR, replace(_by_rule(minor=SILENT), majority=())),
    ("majority_age_unknown", MINOR, replace(_by_rule(minor=PLUS_SEVEN), majority=())),
    ("majority_age_unknown", study(), replace(policy(), majority=())),
    (
        "majority_age_unknown",
        study(),
        replace(policy(), majority=(MajorityAge("US-TX", 18, None, CITED, "low"),)),
    ),
    ("trigger_date_unknown", study(), _by_rule(trigger="contract_end")),
    ("trigger_date_unknown", study(), _by_rule(trigger="employment_end")),
    ("trigger_date_unknown", study(), _by_rule(trigger="last_in_effect")),
]


@pytest.mark.parametrize(("reason", "one", "by"), BY_POLICY)
def test_a_rule_that_cannot_be_relied_on_is_reviewed(
    reason: ReviewReason, one: StudyFacts, by: Policy
) -> None:
    decision = decided(one, by)
    assert (decision.verdict, decision.reasons) == ("review", (reason,))


@pytest.mark.parametrize("reason", get_args(ReviewReason))
def test_a_doubt_of_the_facts_is_taken_over(reason: ReviewReason) -> None:
    decision = decided(study(doubts=frozenset({reason})))
    assert (decision.verdict, decision.reasons) == ("review", (reason,))


@pytest.mark.parametrize("reason", get_args(ReviewReason))
def test_what_makes_the_policy_unusable_keeps_every_study(reason: ReviewReason) -> None:
    decision = decided(study(), policy(unusable=frozenset({reason})))
    assert (decision.verdict, decision.reasons) == ("review", (reason,))


def test_every_reason_is_reached_here_or_comes_with_the_facts() -> None:
    found = {reason for reason, _ in BY_FACTS} | {reason for reason, _, _ in BY_POLICY}
    given_with_facts = {
        "patient_id_missing",
        "patient_id_placeholder",
        "patient_id_ambiguous",
        "several_patients",
        "birth_date_contradicts",
        "not_in_patient_list",
        "patient_list_missing",
        "patient_list_stale",
        "patient_list_refused",
        "merge_contradicts",
        "deidentified",
        "phantom",
        "file_not_good",
        "disposed_study_is_back",
    }
    assert found | given_with_facts == set(get_args(ReviewReason))


def test_several_reasons_are_all_told_in_one_order() -> None:
    one = study(born=None, jurisdictions=(), doubts=frozenset({"phantom", "deidentified"}))
    assert decided(one).reasons == ("deidentified", "phantom", "no_jurisdiction")
    both = study(born=None, oldest_image=day("1970-01-01"))
    assert decided(both).reasons == ("date_before_1980", "birth_date_unknown")


def test_unknown_is_not_shown_as_good_while_a_period_runs() -> None:
    decision = decided(study(last_treatment=day("2026-01-01"), doubts=frozenset({"phantom"})))
    assert (decision.verdict, decision.due) == ("review", day("2031-01-02"))
    assert decision.reasons == ("phantom",)


def test_what_happened_today_does_not_lie_in_the_future() -> None:
    assert decided(study(last_treatment=TODAY, newest_other=TODAY)).reasons == ("period_runs",)


def test_every_doubt_is_told_beside_a_start_that_nobody_knows() -> None:
    decision = decided(study(doubts=frozenset({"phantom"})), _by_rule(trigger="contract_end"))
    assert decision.reasons == ("phantom", "trigger_date_unknown")


def test_whoever_comes_of_age_on_the_day_of_the_treatment_is_no_minor() -> None:
    silent = _by_rule(minor=SILENT)
    assert decided(study(born=day("1998-03-01")), silent).verdict == "dispose"
    assert decided(study(born=day("1998-03-02")), silent).reasons == ("minors_rule_not_stated",)


def test_an_unknown_birth_date_is_no_reason_to_keep_for_ever() -> None:
    ever = Minor("majority_plus", plus=INDEFINITE, tested="now")
    decision = decided(study(born=None), _by_rule(minor=ever))
    assert (decision.verdict, decision.reasons) == ("review", ("birth_date_unknown",))


def test_a_law_of_no_place_applies_nowhere() -> None:
    nowhere = schedule(rule(adult=Period(90, 0)), name="nowhere", jurisdiction=None)
    assert decided(study(), policy(schedule(), nowhere)).verdict == "dispose"


def test_a_rule_for_mammograms_of_the_dead_is_none_for_the_living() -> None:
    dead = rule("film", record_class="mammogram", trigger="patient_death")
    by = policy(schedule(rule(), dead))
    assert decided(study(is_mammogram=True), by).reasons == ("class_without_rule",)


def test_a_review_is_not_overdue_on_its_last_day() -> None:
    assert decided(study(), _by_rule(review_by=TODAY)).verdict == "dispose"


def test_a_rule_without_minors_needs_no_birth_date() -> None:
    assert decided(study(born=None), _by_rule(minor=NO_MINORS)).verdict == "dispose"


def test_a_birth_date_is_needed_as_soon_as_one_rule_asks_for_it() -> None:
    silent = overlay(rule("payer", minor=SILENT))
    found = decided(study(born=None), policy(schedule(rule(minor=NO_MINORS)), silent))
    assert found.reasons == ("birth_date_unknown",)


def test_a_rule_of_another_class_raises_no_doubt() -> None:
    doubtful = rule("lab", record_class="laboratory_order", confidence="low", reviewer=None)
    assert decided(study(), policy(schedule(rule(), doubtful))).verdict == "dispose"


def test_a_rule_for_the_dead_raises_no_doubt_about_the_living() -> None:
    of_the_dead = rule("dead", record_class="deceased_patient_record", reviewer=None)
    by = policy(schedule(rule(), of_the_dead))
    assert decided(study(), by).verdict == "dispose"
    assert decided(study(died=day("2017-01-01")), by).reasons == ("rule_not_reviewed",)


def test_a_law_that_only_speaks_of_the_dead_covers_nobody() -> None:
    by = policy(schedule(rule(trigger="patient_death")))
    assert decided(study(), by).reasons == ("no_adopted_schedule",)


def test_a_schedule_without_records_of_patients_covers_nobody() -> None:
    by = policy(schedule(rule(record_class="laboratory_order")))
    assert decided(study(), by).reasons == ("no_adopted_schedule",)


def test_an_overlay_does_not_stand_for_the_law_of_the_state() -> None:
    by = policy(overlay(rule()), overlay(rule(), name="here", jurisdiction="US-TX"))
    assert decided(study(), by).reasons == ("no_adopted_schedule",)


def test_no_schedule_at_all_disposes_of_nothing() -> None:
    found = decided(study(), Policy((), ()))
    assert (found.verdict, found.due, found.rule) == ("review", None, None)
    assert found.reasons == ("no_adopted_schedule",)


def test_a_federal_rule_for_mammograms_is_enough() -> None:
    federal = schedule(
        rule("film", record_class="mammogram", adult=Period(11, 0), minor=NO_MINORS),
        name="us-mqsa",
        jurisdiction="US",
    )
    found = decided(study(is_mammogram=True), policy(schedule(), federal))
    assert (found.verdict, found.due) == ("keep", day("2027-03-02"))


def test_the_image_clock_is_used_only_where_it_was_adopted() -> None:
    both = schedule(
        rule("record", adult=Period(7, 0)),
        rule("image", record_class="xray_image", adult=Period(5, 0), images="own_clock"),
    )
    assert decided(study(), policy(both)).due == day("2023-03-02")
    assert decided(study(), policy(Adopted(both, image_clock=True))).due == day("2021-03-02")
    other = schedule(rule("record", adult=Period(7, 0)))
    assert decided(study(), policy(Adopted(other, image_clock=True))).due == day("2023-03-02")


def test_every_reason_has_words_and_says_what_to_do() -> None:
    assert set(KEEP_REASONS) == set(get_args(KeepReason))
    assert set(WORDS) == set(get_args(KeepReason)) | set(get_args(ReviewReason))
    for reason in get_args(ReviewReason):
        assert WORDS[reason].next_step, reason
    assert all(words.meaning and not words.meaning.endswith(".") for words in WORDS.values())
