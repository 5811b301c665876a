"""Every shipped schedule, in any combination, against a clerk who reads the texts.

The clerk (`oracle`) shares nothing with the product but the words. Dates lie where mistakes lie:
around birthdays, at the ends of months, on 29 February, on the last day of a period and the next.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from orchestrator.config.schedules import majority_ages, shipped_schedules
from orchestrator.retention.decide import decide
from orchestrator.retention.explain import explain
from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import Adopted, MajorityAge, Minor, Period, Policy, Schedule
from orchestrator.retention.study import Decision, StudyFacts
from tests.unit.retention import oracle
from tests.unit.retention.made import (
    TODAY,
    day,
    holds,
    overlay,
    policies,
    rule,
    schedules,
    studies,
    study,
)

differential = settings(max_examples=250, deadline=None, derandomize=True, database=None)
ONE_DAY = dt.timedelta(days=1)


@cache
def shipped() -> dict[str, Schedule]:
    return {schedule.id: schedule for schedule, _text in shipped_schedules()}


def laws(state: str) -> list[Schedule]:
    return [one for one in shipped().values() if one.jurisdiction == state]


@cache
def states() -> tuple[str, ...]:
    found = {one.jurisdiction for one in shipped().values() if one.jurisdiction}
    return (*sorted(found - {"US"}), "US-OH")


@st.composite
def adoptions(draw: st.DrawFn) -> tuple[tuple[str, ...], Policy]:
    """One or two states, most of what ships for them, overlays, a rule of the site's own."""
    count = draw(st.sampled_from((1, 1, 2)))
    where = tuple(
        draw(st.lists(st.sampled_from(states()), min_size=1, max_size=count, unique=True))
    )
    offered = [one for state in where for one in laws(state)]
    offered += [one for one in shipped().values() if one.jurisdiction in (None, "US")]
    most = draw(st.sampled_from((0, 0, 1, 1, 4)))
    taken = draw(st.lists(st.sampled_from(offered), max_size=most, unique_by=lambda one: one.id))
    if draw(st.integers(0, 9)):
        names = {one.id for one in taken}
        taken += [one for state in where for one in laws(state) if one.id not in names]
    adopted = [Adopted(one, image_clock=draw(st.booleans())) for one in taken]
    if draw(st.integers(0, 3)) == 0:
        adopted.append(draw(schedules(sound=True, number=99)))
    if draw(st.integers(0, 9)) == 0:
        adopted.append(draw(schedules(number=98)))
    table: Sequence[MajorityAge] = majority_ages()
    if draw(st.integers(0, 5)) == 0:
        table = [row for row in table if row.jurisdiction not in where[:1]]
    return where, Policy(tuple(adopted), tuple(table))


_odd = st.sampled_from(
    [day(text) for text in ("2012-02-29", "2011-08-31", "2008-12-31", "2000-02-29", "1999-01-31")]
)
_any = st.dates(day("1981-01-01"), day("2024-12-31"))
_near = st.sampled_from((-366, -365, -1, 0, 1, 30))


@st.composite
def cases(draw: st.DrawFn) -> tuple[StudyFacts, Policy]:
    """A study whose dates lie close to each other's anniversaries, and a policy for it."""
    where, policy = draw(adoptions())
    image = draw(st.one_of(_odd, _any))
    years = draw(st.sampled_from((7, 14, 17, 18, 18, 19, 20, 21, 21, 23, 25, 30, 35, 40)))
    born = oracle.after(image, Period(0, 0)) - dt.timedelta(days=round(years * 365.2425))
    made = study(
        jurisdictions=where,
        newest_image=image,
        oldest_image=image - dt.timedelta(days=draw(st.sampled_from((0, 0, 0, 1, 365, 3000)))),
        patient_newest_image=image + dt.timedelta(days=draw(st.sampled_from((0, 0, 1, 500)))),
        last_treatment=draw(
            st.one_of(st.none(), _near.map(lambda days: image + dt.timedelta(days=days)))
        ),
        born=draw(st.one_of(_odd, _near.map(lambda days: born + dt.timedelta(days=days)))),
        died=draw(st.sampled_from((None, None, None, image, image + dt.timedelta(days=700)))),
        is_mammogram=draw(st.integers(0, 9)) == 0,
        is_incompetent=draw(st.integers(0, 19)) == 0,
    )
    return draw(spoiled(made)), policy


def spoiled(made: StudyFacts) -> st.SearchStrategy[StudyFacts]:
    """Mostly as it is; sometimes with one fact missing or odd."""
    changes: list[dict[str, Any]] = [
        {"patient": None},
        {"born": None},
        {"newest_image": None},
        {"oldest_image": None},
        {"oldest_image": day("1979-12-31")},
        {"newest_other": made.newest_image and made.newest_image + dt.timedelta(days=800)},
        {"received": made.newest_image and made.newest_image + dt.timedelta(days=2000)},
        {"jurisdictions": ()},
        {"jurisdictions": ("US",)},
        {"jurisdictions": (*made.jurisdictions, "US-OH")},
        {"doubts": frozenset({"file_not_good"})},
    ]
    return st.sampled_from([{}] * 12 + changes).map(lambda change: replace(made, **change))


def agree(made: StudyFacts, policy: Policy, held: Sequence[Hold], today: dt.date) -> Decision:
    """Decide as the product and as the clerk does, and compare everything that is said."""
    (ours,) = decide([made], policy, held, today)
    theirs = oracle.judge(made, policy, held, today)
    assert (ours.verdict, ours.due, ours.holds) == (theirs.verdict, theirs.due, theirs.holds)
    if "permanent_class" in theirs.reasons:
        assert "permanent_class" in ours.reasons
    else:
        assert set(ours.reasons) == theirs.reasons
    if ours.due is not None:
        assert ours.rule is not None
        assert (ours.rule.schedule, ours.rule.rule, ours.rule.part) in theirs.winners
    explained, _components = explain(made, policy, held, today)
    assert explained == ours
    return ours


@differential
@given(cases(), st.lists(holds(), max_size=2), st.integers(-800, 3000))
def test_the_shipped_schedules_are_applied_as_they_are_written(
    case: tuple[StudyFacts, Policy], held: list[Hold], days: int
) -> None:
    made, policy = case
    decision = agree(made, policy, [], TODAY)
    event(decision.verdict)
    if decision.due is not None:
        for today in (decision.due - ONE_DAY, decision.due):
            event(f"around the end: {agree(made, policy, [], today).verdict}")
    agree(made, policy, held, TODAY + dt.timedelta(days=days))


@differential
@given(
    st.one_of(studies(), studies(sound=True)),
    st.one_of(policies(), policies(sound=True)),
    st.lists(holds(), max_size=2),
    st.dates(day("1990-01-01"), day("2060-01-01")),
)
def test_any_schedule_is_applied_as_it_is_written(
    made: StudyFacts, policy: Policy, held: list[Hold], today: dt.date
) -> None:
    event(agree(made, policy, held, today).verdict)


CHILD = study(
    jurisdictions=("US-FL",),
    born=day("1990-06-15"),
    newest_image=day("2000-09-01"),
    oldest_image=day("2000-09-01"),
    patient_newest_image=day("2014-03-01"),
    last_treatment=day("2014-03-01"),
)


def test_an_image_of_a_child_is_a_minors_however_old_the_patient_is_later() -> None:
    """Florida's text is silent on minors: a person decides, also when the child has grown up."""
    policy = Policy((Adopted(shipped()["us-fl-dental"]),), majority_ages())
    decision = agree(CHILD, policy, [], TODAY)
    assert (decision.verdict, decision.reasons) == ("review", ("minors_rule_not_stated",))
    grown = replace(CHILD, newest_image=CHILD.last_treatment, oldest_image=CHILD.last_treatment)
    assert agree(grown, policy, [], TODAY).verdict == "dispose"


def test_a_record_that_came_in_later_is_counted_from_its_receipt() -> None:
    """Nevada counts from receipt or production: an old image that was sent in is kept anew."""
    policy = Policy((Adopted(shipped()["us-nv-health-record"]),), majority_ages())
    made = study(jurisdictions=("US-NV",), newest_image=day("2016-03-01"))
    assert agree(made, policy, [], TODAY).verdict == "dispose"
    kept = agree(replace(made, received=day("2024-03-01")), policy, [], TODAY)
    assert (kept.verdict, kept.due) == ("keep", day("2029-03-02"))


def test_of_two_states_the_later_majority_counts_for_a_rule_of_both() -> None:
    """A payer's rule names no age: 21 in Pennsylvania, 18 in Texas."""
    minors = rule("payer", adult=Period(1), minor=Minor("majority_plus", plus=Period(7)))
    taken = [*laws("US-TX"), *laws("US-PA"), overlay(minors)]
    policy = Policy(tuple(map(Adopted, taken)), majority_ages())
    made = study(jurisdictions=("US-TX", "US-PA"), born=day("1996-03-01"))
    assert agree(made, policy, [], TODAY).due == day("2024-03-02")


def test_a_rule_disposes_through_the_day_of_its_review_and_no_longer() -> None:
    schedule = shipped()["us-tx-dental"]
    policy = Policy((Adopted(schedule),), majority_ages())
    last = schedule.rules[0].review_by
    assert last is not None
    assert agree(study(), policy, [], last).verdict == "dispose"
    assert agree(study(), policy, [], last + ONE_DAY).reasons == ("rule_review_overdue",)


def test_a_study_of_nobody_is_never_disposed_of() -> None:
    policy = Policy((Adopted(shipped()["us-tx-dental"]),), majority_ages())
    made = study(jurisdictions=("US-TX",))
    assert agree(made, policy, [], TODAY).verdict == "dispose"
    decision = agree(replace(made, patient=None), policy, [], TODAY)
    assert (decision.verdict, decision.reasons) == ("review", ("patient_id_missing",))
