"""What a finding settles and what it never does, for every study that can be written."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from orchestrator.retention.decide import decide
from orchestrator.retention.determination import BIRTH_DATES, NEVER, SETTLEABLE
from orchestrator.retention.explain import explain
from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import Policy
from orchestrator.retention.study import Decision, ReviewReason, Settlement, StudyFacts
from orchestrator.retention.words import WORDS
from tests.unit.retention.made import TODAY, day, holds, policies, policy, studies, study

quick = settings(max_examples=30, deadline=None, derandomize=True, database=None)
many = settings(quick, max_examples=100)

some_holds = st.lists(holds(), max_size=2)
any_day = st.dates(dt.date(1990, 1, 1), dt.date(2060, 12, 31))
_CODE = re.compile(r"`([a-z_0-9]+)`")
some_doubts = st.sets(st.sampled_from(get_args(ReviewReason)), max_size=6).map(frozenset)


def settled(*doubts: ReviewReason) -> tuple[Settlement, ...]:
    at = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    return tuple(
        Settlement(doubt, f"DET-2026-{place:04}", "privacy", "it", at)
        for place, doubt in enumerate(sorted(doubts), 1)
    )


def decided(
    one: StudyFacts,
    by: Policy | None = None,
    held: list[Hold] | None = None,
    today: dt.date = TODAY,
) -> Decision:
    (decision,) = decide([one], by or policy(), held or [], today)
    return decision


def test_every_reason_for_review_is_either_settleable_or_says_why_it_never_is() -> None:
    assert not SETTLEABLE.keys() & NEVER.keys()
    assert SETTLEABLE.keys() | NEVER.keys() == set(get_args(ReviewReason))
    assert SETTLEABLE.keys() >= BIRTH_DATES
    assert all(one.finding and one.counts for one in SETTLEABLE.values())
    assert all(NEVER.values())
    offers = {reason for reason, words in WORDS.items() if "retention determine" in words.next_step}
    assert offers == set(SETTLEABLE)


def test_the_documentation_says_of_each_doubt_whether_it_can_be_settled() -> None:
    page = (Path(__file__).parents[3] / "docs" / "retention.md").read_text(encoding="utf-8")
    section = page.split("### Settling a doubt")[1].split("## Holds")[0]
    yes, no = (
        {name for row in re.findall(r"^\|([^|]*)\|", part, re.M) for name in _CODE.findall(row)}
        for part in section.split("Never by a finding:")
    )
    assert (yes, no) == (set(SETTLEABLE), set(NEVER))


@pytest.mark.parametrize("doubt", sorted(SETTLEABLE))
def test_a_study_whose_only_doubt_is_settled_goes_like_any_other(doubt: ReviewReason) -> None:
    one = study(doubts=frozenset({doubt}))
    assert decided(one).verdict == "review"
    assert decided(replace(one, settled=settled(doubt))) == decided(study())


@pytest.mark.parametrize("doubt", sorted(NEVER))
def test_what_no_finding_settles_stays(doubt: ReviewReason) -> None:
    one = study(doubts=frozenset({doubt}), settled=settled(*get_args(ReviewReason)))
    assert (decided(one).verdict, decided(one).reasons) == ("review", (doubt,))


IMPOSSIBLE = [
    ("no_usable_date", study(newest_image=None, oldest_image=None)),
    ("date_in_future", study(newest_image=day("2026-11-23"))),
    ("date_before_birth", study(born=day("2016-03-02"))),
    ("dates_disagree", study(died=day("2016-02-28"))),
    ("dates_disagree", study(oldest_image=day("2016-03-02"))),
    ("patient_id_missing", study(patient=None)),
    ("birth_date_unknown", study(born=None)),
]


@pytest.mark.parametrize(("reason", "one"), IMPOSSIBLE)
def test_what_follows_from_the_dates_that_count_is_settled_by_no_finding(
    reason: str, one: StudyFacts
) -> None:
    decision = decided(replace(one, settled=settled(*get_args(ReviewReason))))
    assert decision.verdict == "review"
    assert reason in decision.reasons


def test_an_early_date_that_is_right_counts_as_it_stands() -> None:
    film = study(oldest_image=day("1975-01-01"), newest_image=day("1975-01-01"))
    assert decided(film).reasons == ("date_before_1980",)
    done = decided(replace(film, settled=settled("date_before_1980")))
    assert (done.verdict, done.due) == ("dispose", decided(film).due)
    treated = replace(film, last_treatment=day("2025-01-01"), settled=settled("date_before_1980"))
    assert decided(treated).reasons == ("period_runs",)


def test_a_doubt_of_the_policy_is_settled_by_no_finding() -> None:
    by = policy(unusable=frozenset({"patient_list_stale"}))
    assert decided(study(settled=settled(*SETTLEABLE)), by).reasons == ("patient_list_stale",)


@many
@given(studies(), policies(), some_holds, any_day, some_doubts)
def test_a_settled_doubt_is_as_if_it_were_absent_and_all_else_equal(
    one: StudyFacts, by: Policy, held: list[Hold], today: dt.date, found: frozenset[ReviewReason]
) -> None:
    found -= {"date_before_1980"}  # it also follows from the dates
    without = replace(one, doubts=one.doubts - (found & SETTLEABLE.keys()))
    after = decided(replace(one, settled=settled(*found)), by, held, today)
    assert after == decided(without, by, held, today)
    event(f"{decided(one, by, held, today).verdict} -> {after.verdict}")


@many
@given(studies(sound=True), policies(sound=True), some_holds, some_doubts, some_doubts)
def test_a_finding_changes_a_verdict_only_from_review_and_never_a_date(
    one: StudyFacts,
    by: Policy,
    held: list[Hold],
    doubts: frozenset[ReviewReason],
    found: frozenset[ReviewReason],
) -> None:
    doubted = replace(one, doubts=doubts)
    before = decided(doubted, by, held)
    after = decided(replace(doubted, settled=settled(*found)), by, held)
    assert (after.due, after.rule, after.holds) == (before.due, before.rule, before.holds)
    assert after.verdict == before.verdict or before.verdict == "review"
    assert set(before.reasons) - set(after.reasons) <= found & SETTLEABLE.keys()
    assert set(after.reasons) - set(before.reasons) <= {"period_runs"}
    if after.verdict == "dispose":
        assert after.due is not None
        assert after.due <= TODAY
        assert not after.reasons
    event(f"{before.verdict} -> {after.verdict}")


@quick
@given(studies(), policies(), some_holds, any_day)
def test_a_hold_beats_a_finding(
    one: StudyFacts, by: Policy, held: list[Hold], today: dt.date
) -> None:
    everything = Hold("H-9", "store")
    decision = decided(replace(one, settled=settled(*SETTLEABLE)), by, [*held, everything], today)
    assert (decision.verdict, decision.reasons[0]) == ("keep", "on_hold")


@quick
@given(st.lists(studies(), min_size=2, max_size=4), policies(), any_day, some_doubts)
def test_a_finding_settles_one_study_and_no_other_of_its_batch(
    some: list[StudyFacts], by: Policy, today: dt.date, found: frozenset[ReviewReason]
) -> None:
    first = replace(some[0], settled=settled(*found))
    before, after = decide(some, by, [], today), decide([first, *some[1:]], by, [], today)
    assert after[1:] == before[1:]
    assert after[0] == decided(first, by, [], today) == explain(first, by, [], today)[0]
