"""Studies, rules, schedules and holds for the tests of retention: plain ones, and random ones."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any, get_args

from hypothesis import strategies as st

from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import (
    INDEFINITE,
    Adopted,
    Citation,
    MajorityAge,
    Minor,
    MinorForm,
    Period,
    Policy,
    Rule,
    Schedule,
    Trigger,
)
from orchestrator.retention.study import ReviewReason, StudyFacts

TODAY = dt.date(2026, 11, 22)
CITED = Citation("22 TAC", "108.8(b)", "https://example.org/rule", dt.date(2026, 11, 22))
NO_MINORS = Minor("not_applicable")
UNTIL_21 = Minor("until_age", 21)
EIGHTEEN = (
    MajorityAge("US-TX", 18, None, CITED, "high"),
    MajorityAge("US-VA", 18, None, CITED, "high"),
)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def rule(name: str = "record", **changes: Any) -> Rule:
    """A rule of five years from the last treatment, reviewed, with minors until 21."""
    plain = Rule(
        id=name,
        record_class="patient_record",
        trigger="last_treatment",
        adult=Period(5, 0),
        minor=UNTIL_21,
        images="with_record",
        citation=CITED,
        confidence="high",
        reviewer="counsel",
        reviewed_on=day("2026-11-01"),
        review_by=day("2099-11-01"),
    )
    return replace(plain, **changes)


def schedule(*rules: Rule, name: str = "us-tx-dental", **changes: Any) -> Schedule:
    """A schedule of Texas."""
    plain = Schedule(
        id=name,
        version="2026.1",
        kind="jurisdiction",
        jurisdiction="US-TX",
        title="Test",
        rules=rules or (rule(),),
        digest="00",
    )
    return replace(plain, **changes)


def overlay(*rules: Rule, name: str = "overlay", **changes: Any) -> Schedule:
    return schedule(*rules, name=name, **{"kind": "overlay", "jurisdiction": None, **changes})


def policy(*schedules: Schedule | Adopted, **changes: Any) -> Policy:
    """A policy of these schedules, of the plain one if none is given."""
    adopted = tuple(
        one if isinstance(one, Adopted) else Adopted(one) for one in schedules or (schedule(),)
    )
    return replace(Policy(adopted, EIGHTEEN), **changes)


def study(name: str = "S1", **changes: Any) -> StudyFacts:
    """A study of an adult, ten years old and without a doubt."""
    plain = StudyFacts(
        store="xrays",
        study=name,
        patient="P1",
        jurisdictions=("US-TX",),
        newest_image=day("2016-03-01"),
        oldest_image=day("2016-03-01"),
        patient_newest_image=day("2016-03-01"),
        last_treatment=day("2016-03-01"),
        born=day("1970-05-05"),
    )
    return replace(plain, **changes)


_days = st.dates(day("1975-01-01"), day("2031-12-31"))
_perhaps_days = st.one_of(st.none(), _days, _days)
_births = st.one_of(st.none(), st.dates(day("1930-01-01"), day("2027-12-31")))
_usual_births = st.dates(day("1950-01-01"), day("2012-12-31"))
_usual_days = st.dates(day("1995-01-01"), day("2026-11-22"))
_states = ("US-TX", "US-VA", "US-IN")
_places = st.lists(st.sampled_from((*_states, "US")), max_size=2).map(tuple)
_periods = st.one_of(
    st.builds(Period, st.integers(0, 12), st.integers(0, 11), st.integers(0, 40)),
    st.builds(Period, st.integers(1, 10)),
)
_ages = st.integers(14, 26)


@st.composite
def _minors(draw: st.DrawFn) -> Minor:
    form = draw(st.sampled_from(get_args(MinorForm)))
    by_age = form in {"until_age", "no_disposal_before_age"}
    plus = st.one_of(_periods, _periods, _periods, st.just(INDEFINITE))
    return Minor(
        form,
        age=draw(_ages) if by_age else None,
        plus=draw(plus) if form == "majority_plus" else None,
        tested=draw(st.sampled_from(("at_trigger", "now"))),
        majority=draw(st.sampled_from((None, None, 18, 21))),
    )


_classes = st.sampled_from(
    (
        "patient_record",
        "patient_record",
        "xray_image",
        "mammogram",
        "deceased_patient_record",
        "incompetent_patient_record",
        "laboratory_order",
    )
)
_triggers = st.one_of(
    st.sampled_from(("last_treatment", "exam_date")), st.sampled_from(get_args(Trigger))
)
_review_days = st.sampled_from((None, day("2020-01-01"), day("2099-01-01")))


def rules(*, sound: bool = False) -> st.SearchStrategy[Rule]:
    """Any rules; sound ones are reviewed and of high confidence."""
    if sound:
        return st.builds(
            rule,
            st.sampled_from("abcdef"),
            record_class=_classes,
            trigger=st.sampled_from(("last_treatment", "exam_date", "patient_death")),
            adult=_periods,
            minor=_minors(),
            images=st.sampled_from(("with_record", "own_clock")),
        )
    return st.builds(
        rule,
        st.sampled_from("abcdef"),
        record_class=_classes,
        trigger=_triggers,
        adult=st.one_of(_periods, _periods, _periods, st.just(INDEFINITE)),
        minor=_minors(),
        images=st.sampled_from(("with_record", "own_clock", "not_stated")),
        confidence=st.sampled_from(("high", "medium", "low")),
        reviewer=st.sampled_from(("counsel", "counsel", None)),
        review_by=_review_days,
    )


@st.composite
def schedules(draw: st.DrawFn, *, sound: bool = False, number: int = 0) -> Adopted:
    """Any adopted schedule; its id is its own by its number."""
    kind = draw(st.sampled_from(("jurisdiction", "jurisdiction", "overlay", "local")))
    places: tuple[str | None, ...] = (*_states, "US")
    where = draw(st.sampled_from(places if kind == "jurisdiction" else (*places, None, None)))
    some = draw(st.lists(rules(sound=sound), min_size=1, max_size=3, unique_by=lambda r: r.id))
    made = schedule(*some, name=f"s{number}", kind=kind, jurisdiction=where)
    return Adopted(made, image_clock=draw(st.booleans()) and not sound)


_majorities = st.lists(
    st.builds(
        MajorityAge,
        st.sampled_from(_states),
        st.sampled_from((16, 18, 19, 21)),
        st.sampled_from((None, day("1972-07-01"), day("1991-01-01"), day("2010-02-28"))),
        st.just(CITED),
        st.sampled_from(("high", "high", "high", "medium", "low")),
    ),
    max_size=5,
    unique_by=lambda row: (row.jurisdiction, row.since),
)


@st.composite
def policies(draw: st.DrawFn, *, sound: bool = False) -> Policy:
    """Any policy; a sound one covers Texas and has ages of majority."""
    count = draw(st.integers(0, 3))
    adopted = [draw(schedules(sound=sound, number=number)) for number in range(count)]
    if sound:
        ages = tuple(MajorityAge(one, 18, None, CITED, "high") for one in _states)
        return Policy((*adopted, Adopted(schedule(draw(rules(sound=True)), rule()))), ages)
    unusable: frozenset[ReviewReason] = draw(
        st.sampled_from((frozenset(), frozenset(), frozenset({"patient_list_stale"})))
    )
    return Policy(tuple(adopted), tuple(draw(_majorities)), unusable)


_doubts = st.one_of(
    st.just(frozenset()),
    st.just(frozenset()),
    st.sets(st.sampled_from(get_args(ReviewReason)), max_size=2).map(frozenset),
)


def studies(*, sound: bool = False) -> st.SearchStrategy[StudyFacts]:
    """Any studies; sound ones have all their dates, in Texas."""
    names = st.sampled_from(("S1", "S2", "S3"))
    flags = {"is_mammogram": st.sampled_from((False, False, True))}
    if sound:
        return st.builds(
            _sound,
            names,
            st.tuples(_usual_days, _usual_days, _usual_days),
            born=_usual_births,
            died=st.one_of(st.none(), st.just(TODAY)),
            **flags,
        )
    return st.builds(
        StudyFacts,
        st.sampled_from(("xrays", "ct")),
        names,
        st.sampled_from((None, "P1", "P2")),
        _places,
        newest_image=_perhaps_days,
        newest_other=_perhaps_days,
        received=_perhaps_days,
        oldest_image=_perhaps_days,
        patient_newest_image=_perhaps_days,
        last_treatment=_perhaps_days,
        born=_births,
        died=st.one_of(st.none(), _perhaps_days),
        is_incompetent=st.sampled_from((False, False, False, True)),
        doubts=_doubts,
        **flags,
    )


def _sound(name: str, days: tuple[dt.date, dt.date, dt.date], **facts: Any) -> StudyFacts:
    oldest, newest, treated = sorted(days)
    return study(
        name,
        oldest_image=oldest,
        newest_image=newest,
        patient_newest_image=newest,
        last_treatment=treated,
        **facts,
    )


def holds() -> st.SearchStrategy[Hold]:
    """Any hold."""
    return st.builds(
        Hold,
        st.sampled_from(("H-1", "H-2", "H-3")),
        st.sampled_from(("study", "patient", "dates", "store")),
        store=st.sampled_from((None, None, "xrays", "ct")),
        study=st.sampled_from((None, "S1", "S2")),
        patients=st.sets(st.sampled_from(("P1", "P2", "P9")), max_size=2).map(frozenset),
        dates_from=_perhaps_days,
        dates_to=_perhaps_days,
    )
