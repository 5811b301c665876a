"""What holds for every study, policy and hold that can be written."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from benchmarks import retention_plain
from orchestrator.retention.decide import decide
from orchestrator.retention.explain import explain
from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import Policy
from orchestrator.retention.study import Decision, StudyFacts
from tests.unit.retention.made import TODAY, holds, policies, schedules, studies

quick = settings(max_examples=30, deadline=None, derandomize=True, database=None)
many = settings(quick, max_examples=100)

some_holds = st.lists(holds(), max_size=3)
any_day = st.dates(dt.date(1990, 1, 1), dt.date(2060, 12, 31))


def decide_one(study: StudyFacts, policy: Policy, held: list[Hold], today: dt.date) -> Decision:
    (decision,) = decide([study], policy, held, today)
    return decision


def is_earlier(after: dt.date | None, before: dt.date | None) -> bool:
    """Say whether a due date came forward; one that is not known or never comes is the latest."""
    return before is not None and after is not None and after < before


@many
@given(st.lists(studies(), min_size=1, max_size=3), policies(), some_holds, any_day)
def test_columns_decide_as_a_plain_loop_does(
    some: list[StudyFacts], policy: Policy, held: list[Hold], today: dt.date
) -> None:
    plain = list(retention_plain.decide(some, policy, held, today))
    for ours, expected in zip(decide(some, policy, held, today), plain, strict=True):
        rule = ours.rule and (ours.rule.schedule, ours.rule.rule, ours.rule.part)
        found = (ours.verdict, ours.due, frozenset(ours.reasons), rule, ours.holds)
        assert found == tuple(expected)
        event(ours.verdict)


@many
@given(st.lists(studies(sound=True), min_size=1, max_size=3), policies(sound=True), some_holds)
def test_columns_decide_sound_studies_as_a_plain_loop_does(
    some: list[StudyFacts], policy: Policy, held: list[Hold]
) -> None:
    plain = list(retention_plain.decide(some, policy, held, TODAY))
    for ours, expected in zip(decide(some, policy, held, TODAY), plain, strict=True):
        rule = ours.rule and (ours.rule.schedule, ours.rule.rule, ours.rule.part)
        found = (ours.verdict, ours.due, frozenset(ours.reasons), rule, ours.holds)
        assert found == tuple(expected)
        event(ours.verdict)


@quick
@given(studies(sound=True), policies(sound=True), some_holds)
def test_a_hold_never_yields_dispose(study: StudyFacts, policy: Policy, held: list[Hold]) -> None:
    everything = Hold("H-9", "store")
    decision = decide_one(study, policy, [*held, everything], TODAY)
    assert (decision.verdict, decision.reasons[0]) == ("keep", "on_hold")
    assert "H-9" in decision.holds


@quick
@given(studies(), policies(), some_holds, any_day)
def test_a_study_that_is_held_is_never_disposed_of(
    study: StudyFacts, policy: Policy, held: list[Hold], today: dt.date
) -> None:
    decision = decide_one(study, policy, held, today)
    assert (decision.verdict == "keep") >= bool(decision.holds)
    assert ("on_hold" in decision.reasons) == bool(decision.holds)


@quick
@given(studies(), policies(), some_holds, some_holds, any_day)
def test_a_hold_never_moves_the_due_date(
    study: StudyFacts, policy: Policy, held: list[Hold], more: list[Hold], today: dt.date
) -> None:
    before, after = (decide_one(study, policy, some, today) for some in (held, held + more))
    assert (after.due, after.rule) == (before.due, before.rule)


@many
@given(studies(sound=True), policies(sound=True), schedules(sound=True, number=7))
def test_one_more_schedule_never_brings_the_due_date_forward(
    study: StudyFacts, policy: Policy, more: Any
) -> None:
    before = decide_one(study, policy, [], TODAY)
    after = decide_one(study, replace(policy, adopted=(*policy.adopted, more)), [], TODAY)
    assert not is_earlier(after.due, before.due)


@many
@given(studies(), policies(), schedules(number=7), any_day)
def test_one_more_schedule_never_brings_any_due_date_forward(
    study: StudyFacts, policy: Policy, more: Any, today: dt.date
) -> None:
    before = decide_one(study, policy, [], today)
    after = decide_one(study, replace(policy, adopted=(*policy.adopted, more)), [], today)
    assert not is_earlier(after.due, before.due)


later = st.sampled_from(
    (
        "newest_image",
        "newest_other",
        "received",
        "patient_newest_image",
        "last_treatment",
        "born",
        "died",
    )
)


@many
@given(studies(sound=True), policies(sound=True), later, st.integers(1, 9000))
def test_a_later_date_never_brings_the_due_date_forward(
    study: StudyFacts, policy: Policy, which: str, days: int
) -> None:
    before = decide_one(study, policy, [], TODAY)
    day = getattr(study, which) or study.oldest_image
    assert day is not None
    moved = replace(study, **{which: day + dt.timedelta(days)})
    assert not is_earlier(decide_one(moved, policy, [], TODAY).due, before.due)


@many
@given(studies(), policies(), st.sets(later), st.integers(1, 9000), any_day)
def test_later_dates_never_bring_any_due_date_forward(
    study: StudyFacts, policy: Policy, which: set[str], days: int, today: dt.date
) -> None:
    before = decide_one(study, policy, [], today)
    moved = {
        name: getattr(study, name) + dt.timedelta(days)
        for name in which
        if getattr(study, name) is not None
    }
    after = decide_one(replace(study, **moved), policy, [], today)
    assert not is_earlier(after.due, before.due)


@many
@given(studies(sound=True), policies(sound=True), any_day, st.integers(0, 9000))
def test_what_is_due_once_stays_due(
    study: StudyFacts, policy: Policy, today: dt.date, days: int
) -> None:
    before = decide_one(study, policy, [], today)
    after = decide_one(study, policy, [], today + dt.timedelta(days))
    assert after.due == before.due
    assert after.rule == before.rule
    if before.verdict == "dispose":
        assert after.verdict == "dispose"
    if after.verdict == "keep" and "period_runs" in after.reasons:
        assert before.verdict in {"keep", "review"}
    if before.verdict == "review" and after.verdict == "review":
        assert set(after.reasons) <= set(before.reasons)


@many
@given(studies(), policies(), some_holds, any_day)
def test_dispose_has_every_fact_and_no_doubt(
    study: StudyFacts, policy: Policy, held: list[Hold], today: dt.date
) -> None:
    decision = decide_one(study, policy, held, today)
    assert (decision.verdict == "dispose") == (decision.reasons == ())
    if decision.verdict == "dispose":
        assert decision.due is not None
        assert decision.due <= today
        assert decision.rule is not None
        assert study.newest_image is not None
        assert not study.doubts
        assert not policy.unusable
        assert not decision.holds


unknown = st.sampled_from(("newest_image", "born", "jurisdictions"))


@quick
@given(studies(sound=True), policies(sound=True), unknown)
def test_what_is_not_known_is_never_disposed_of(
    study: StudyFacts, policy: Policy, which: str
) -> None:
    forgotten = replace(study, **{which: () if which == "jurisdictions" else None})
    decision = decide_one(forgotten, policy, [], TODAY)
    assert decision.due is None
    assert decision.verdict == ("keep" if "indefinite_period" in decision.reasons else "review")


@quick
@given(
    studies(sound=True), policies(sound=True), st.sampled_from(("patient_list_stale", "phantom"))
)
def test_any_doubt_is_enough(study: StudyFacts, policy: Policy, doubt: Any) -> None:
    doubted = replace(study, doubts=frozenset({doubt}))
    unusable = replace(policy, unusable=frozenset({doubt}))
    for decision in (
        decide_one(doubted, policy, [], TODAY),
        decide_one(study, unusable, [], TODAY),
    ):
        assert decision.verdict != "dispose"
        assert doubt in decision.reasons


@quick
@given(st.lists(studies(), min_size=1, max_size=5), policies(), some_holds, any_day, st.randoms())
def test_no_order_matters(
    some: list[StudyFacts], policy: Policy, held: list[Hold], today: dt.date, chance: Any
) -> None:
    expected = decide(some, policy, held, today)
    turned = Policy(
        tuple(
            replace(one, schedule=replace(one.schedule, rules=_mixed(one.schedule.rules, chance)))
            for one in _mixed(policy.adopted, chance)
        ),
        _mixed(policy.majority, chance),
        policy.unusable,
    )
    order = _mixed(range(len(some)), chance)
    found = decide([some[n] for n in order], turned, list(_mixed(held, chance)), today)
    assert found == [expected[n] for n in order]


def _mixed(values: Any, chance: Any) -> Any:
    mixed = list(values)
    chance.shuffle(mixed)
    return tuple(mixed)


@quick
@given(st.lists(studies(), max_size=6), policies(), some_holds, any_day)
def test_a_batch_decides_as_its_studies_alone(
    some: list[StudyFacts], policy: Policy, held: list[Hold], today: dt.date
) -> None:
    alone = [decide_one(one, policy, held, today) for one in some]
    assert decide(some, policy, held, today) == alone
    assert decide(some, policy, held, today) == alone


@many
@given(studies(), policies(), some_holds, any_day)
def test_an_explanation_says_what_was_decided(
    study: StudyFacts, policy: Policy, held: list[Hold], today: dt.date
) -> None:
    decision, components = explain(study, policy, held, today)
    assert decision == decide_one(study, policy, held, today)
    if decision.due is not None:
        dues = [one.due for one in components if one.due is not None]
        assert max(dues) == decision.due
        assert components[0].rule == decision.rule
    if decision.rule is not None:
        assert decision.rule in [one.rule for one in components]
    assert all(one.words for one in components)


@quick
@given(policies(), any_day)
def test_no_studies_no_decisions(policy: Policy, today: dt.date) -> None:
    assume(policy.adopted)
    assert decide([], policy, [], today) == []
