"""What a careful clerk would decide about one study, with the schedules and a calendar on the desk.

Written from the texts (the page about retention, the record of the decision, the schedules'
sources), not from the product: it knows the words of the room and none of its logic. One study at
a time, in plain dates, as slowly as it likes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import (
    PATIENT_TRIGGERS,
    RECORD_TRIGGERS,
    MajorityAge,
    Period,
    Policy,
    Rule,
    Schedule,
)
from orchestrator.retention.study import StudyFacts

ONE_DAY = dt.timedelta(days=1)
STATED = {"until_age", "majority_plus", "no_disposal_before_age"}
EARLIEST = dt.date(1980, 1, 1)


@dataclass(frozen=True)
class Line:
    """One period on the clerk's sheet; `kept_through` None if it never ends or nobody can say."""

    schedule: str
    rule: str
    part: str
    kept_through: dt.date | None


@dataclass
class Sheet:
    """What the clerk has written down about a study."""

    lines: list[Line] = field(default_factory=list)
    doubts: set[str] = field(default_factory=set)
    cannot_be_computed: bool = False
    never_ends: bool = False
    is_permanent: bool = False

    def doubt(self, reason: str, *, no_date: bool = False) -> None:
        self.doubts.add(reason)
        self.cannot_be_computed = self.cannot_be_computed or no_date


@dataclass(frozen=True)
class Judgement:
    """The clerk's answer; `winners` are all the periods that end last."""

    verdict: str
    due: dt.date | None
    reasons: frozenset[str]
    winners: frozenset[tuple[str, str, str]]
    holds: tuple[str, ...]


def judge(study: StudyFacts, policy: Policy, holds: Sequence[Hold], today: dt.date) -> Judgement:
    """Decide about one study.

    Args:
        study: Its facts.
        policy: What the site has adopted.
        holds: The holds in force.
        today: The date in the site's zone.
    """
    sheet = Sheet(doubts={*study.doubts, *policy.unusable})
    look_at_the_dates(study, today, sheet)
    look_at_the_places(study, policy, sheet)
    applying = list(rules_for(study, policy))
    for schedule, rule in applying:
        look_at_the_review(rule, today, sheet)
        write_down(study, schedule, rule, policy, sheet)
    look_at_minors(study, applying, policy, sheet)
    if study.is_incompetent:
        sheet.is_permanent = True
    return answer(study, sheet, holds, today)


def answer(study: StudyFacts, sheet: Sheet, holds: Sequence[Hold], today: dt.date) -> Judgement:
    """Draw the line under a sheet."""
    ends = [line.kept_through for line in sheet.lines if line.kept_through is not None]
    last = max(ends, default=None)
    no_law = sheet.doubts & {"no_jurisdiction", "no_adopted_schedule", "class_without_rule"}
    unending = sheet.never_ends or sheet.is_permanent or sheet.cannot_be_computed or no_law
    due = None if unending or last is None else last + ONE_DAY
    winners = frozenset(
        (line.schedule, line.rule, line.part)
        for line in sheet.lines
        if line.kept_through == last and last is not None
    )
    covering = tuple(sorted({hold.id for hold in holds if covers(hold, study)}))
    keeping = set()
    if sheet.is_permanent:
        keeping.add("permanent_class")
    if sheet.never_ends:
        keeping.add("indefinite_period")
    runs = due is not None and today < due
    if covering:
        reasons = {"on_hold", *keeping, *sheet.doubts, *({"period_runs"} if runs else ())}
        return Judgement("keep", due, frozenset(reasons), winners, covering)
    if keeping:
        return Judgement("keep", due, frozenset({*keeping, *sheet.doubts}), winners, ())
    if sheet.doubts:
        return Judgement("review", due, frozenset(sheet.doubts), winners, ())
    if runs:
        return Judgement("keep", due, frozenset({"period_runs"}), winners, ())
    assert due is not None, "no doubt, and yet no date"
    return Judgement("dispose", due, frozenset(), winners, ())


# The calendar


def after(day: dt.date, period: Period) -> dt.date:
    """Return the same calendar day that much later; the next month's first if there is none."""
    assert period.years is not None
    assert period.months is not None
    month = day.month - 1 + period.months
    year, month = day.year + period.years + month // 12, month % 12 + 1
    try:
        same = dt.date(year, month, day.day)
    except ValueError:
        same = dt.date(year + month // 12, month % 12 + 1, 1)
    return same + dt.timedelta(days=period.days)


def birthday(born: dt.date, age: int) -> dt.date:
    """Return the day on which somebody reaches an age."""
    return after(born, Period(age, 0))


# What the facts say


def look_at_the_dates(study: StudyFacts, today: dt.date, sheet: Sheet) -> None:
    """Doubt dates that cannot be."""
    images = [day for day in (study.newest_image, study.oldest_image) if day is not None]
    treated, born, died = study.last_treatment, study.born, study.died
    told = [*images, *(day for day in (treated, died) if day is not None)]
    weaker = (study.newest_other, study.patient_newest_image, born)
    if study.newest_image is None:
        sheet.doubt("no_usable_date", no_date=True)
    if any(day is not None and day > today for day in (*told, *weaker)):
        sheet.doubt("date_in_future")
    if born is not None and any(day < born for day in told):
        sheet.doubt("date_before_birth")
    if any(day < EARLIEST for day in images):
        sheet.doubt("date_before_1980")
    if died is not None and any(
        day is not None and day > died for day in (study.newest_image, treated)
    ):
        sheet.doubt("dates_disagree")
    if (
        study.oldest_image is not None
        and study.newest_image is not None
        and study.oldest_image > study.newest_image
    ):
        sheet.doubt("dates_disagree")
    if study.patient is None:
        sheet.doubt("patient_id_missing")


def states_of(study: StudyFacts) -> list[str]:
    return [one for one in study.jurisdictions if one != "US"]


def look_at_the_places(study: StudyFacts, policy: Policy, sheet: Sheet) -> None:
    """Doubt where no law is known: a state without a schedule, a class without a rule."""
    if not states_of(study):
        sheet.doubt("no_jurisdiction", no_date=True)
    for state in states_of(study):
        laws = [
            rule
            for one in policy.adopted
            if one.schedule.kind == "jurisdiction" and one.schedule.jurisdiction == state
            for rule in one.schedule.rules
            if speaks_of_everybody(rule)
        ]
        if not laws:
            sheet.doubt("no_adopted_schedule", no_date=True)
    if study.is_mammogram and not any(
        rule.record_class == "mammogram" and rule.trigger != "patient_death"
        for _, rule in rules_for(study, policy)
    ):
        sheet.doubt("class_without_rule", no_date=True)


def speaks_of_everybody(rule: Rule) -> bool:
    """Say whether a rule is about records of the living, too, and not of some kind of image."""
    general = rule.record_class in ("patient_record", "xray_image")
    return general and rule.trigger != "patient_death"


# Which rules apply


def rules_for(study: StudyFacts, policy: Policy) -> Iterator[tuple[Schedule, Rule]]:
    """Yield the rules that speak of this study."""
    classes = {"patient_record", "xray_image"}
    if study.is_mammogram:
        classes.add("mammogram")
    if study.died is not None:
        classes.add("deceased_patient_record")
    if study.is_incompetent:
        classes.add("incompetent_patient_record")
    for one in policy.adopted:
        schedule = one.schedule
        if schedule.jurisdiction is not None and schedule.jurisdiction not in (
            *study.jurisdictions,
            "US",
        ):
            continue
        has_clock = any(
            rule.record_class == "xray_image"
            and rule.images == "own_clock"
            and speaks_of_everybody(rule)
            for rule in schedule.rules
        )
        shorter = one.image_clock and has_clock and not study.is_mammogram
        for rule in schedule.rules:
            if rule.record_class not in classes:
                continue
            if rule.record_class == "patient_record" and shorter:
                continue
            if rule.trigger == "patient_death" and study.died is None:
                continue
            yield schedule, rule


def look_at_the_review(rule: Rule, today: dt.date, sheet: Sheet) -> None:
    """Doubt a rule that nobody stands for."""
    if rule.confidence == "low":
        sheet.doubt("rule_low_confidence")
    if rule.reviewer is None:
        sheet.doubt("rule_not_reviewed")
    if rule.review_by is not None and rule.review_by < today:
        sheet.doubt("rule_review_overdue")


# From when, and until when


def start_of(study: StudyFacts, rule: Rule) -> dt.date | None:
    """Return the day from which a rule counts; None if nobody can say."""
    if rule.trigger == "patient_death":
        return study.died
    if study.newest_image is None:
        return None
    days = [study.newest_image, study.newest_other]
    if rule.trigger in PATIENT_TRIGGERS:
        days += [study.patient_newest_image, study.last_treatment]
    elif rule.trigger == "record_received":
        # A record of elsewhere may be received long after it was made.
        days += [study.received]
    elif rule.trigger not in RECORD_TRIGGERS:
        return None
    return max(day for day in days if day is not None)


def write_down(
    study: StudyFacts, schedule: Schedule, rule: Rule, policy: Policy, sheet: Sheet
) -> None:
    """Write down until when a rule keeps the study, for adults and as a minor's."""
    if rule.record_class == "incompetent_patient_record":
        sheet.is_permanent = True
        return
    start = start_of(study, rule)
    if rule.adult.is_indefinite:
        sheet.never_ends = True
    elif start is None:
        if rule.trigger in ("contract_end", "employment_end", "last_in_effect"):
            sheet.doubt("trigger_date_unknown", no_date=True)
    else:
        sheet.lines.append(Line(schedule.id, rule.id, "adult", after(start, rule.adult)))
    minor = rule.minor
    if minor.form not in STATED:
        return
    if minor.form == "no_disposal_before_age" or (
        minor.form == "until_age" and minor.tested == "now"
    ):
        # Nobody's record before that age.
        if study.born is not None:
            assert minor.age is not None
            end = birthday(study.born, minor.age)
            sheet.lines.append(Line(schedule.id, rule.id, "minor", end))
        return
    if not ages_of_majority(study, schedule, rule, policy):
        sheet.doubt("majority_age_unknown", no_date=True)
        return
    if study.born is None:
        return
    of_age = of_age_on(study, schedule, rule, policy)
    if minor.tested == "at_trigger" and not was_a_minor(study, start, of_age):
        return
    if minor.form == "until_age":
        assert minor.age is not None
        sheet.lines.append(Line(schedule.id, rule.id, "minor", birthday(study.born, minor.age)))
    else:
        assert minor.plus is not None
        if minor.plus.is_indefinite:
            sheet.never_ends = True
        else:
            sheet.lines.append(Line(schedule.id, rule.id, "minor", after(of_age, minor.plus)))


# Minors


def was_a_minor(study: StudyFacts, start: dt.date | None, of_age: dt.date) -> bool:
    """Say whether the patient was a minor when the period began or when an image was made."""
    if study.oldest_image is None or study.newest_image is None:
        return True
    days = [study.oldest_image, study.newest_image, *([] if start is None else [start])]
    return min(days) < of_age


def look_at_minors(
    study: StudyFacts,
    applying: Sequence[tuple[Schedule, Rule]],
    policy: Policy,
    sheet: Sheet,
) -> None:
    """Doubt where the birth date is needed and missing, or a text is silent about a minor."""
    forms = {rule.minor.form for _, rule in applying}
    if study.born is None and forms - {"not_applicable"}:
        sheet.doubt("birth_date_unknown", no_date=True)
    if forms & STATED:
        return
    for schedule, rule in applying:
        if rule.minor.form != "none_stated":
            continue
        if not ages_of_majority(study, schedule, rule, policy):
            sheet.doubt("majority_age_unknown", no_date=True)
        elif study.born is not None:
            of_age = of_age_on(study, schedule, rule, policy)
            if was_a_minor(study, start_of(study, rule), of_age):
                sheet.doubt("minors_rule_not_stated")


def ages_of_majority(
    study: StudyFacts, schedule: Schedule, rule: Rule, policy: Policy
) -> list[list[MajorityAge]]:
    """Return for each state that counts its rows, the oldest first; empty if one has none."""
    named = schedule.jurisdiction
    states = states_of(study) if named in (None, "US") else [named]
    if rule.minor.majority is not None:
        return [[MajorityAge("", rule.minor.majority, None, rule.citation, "high")]]
    found = []
    for state in states:
        rows = [row for row in policy.majority if row.jurisdiction == state]
        if not rows or any(row.confidence == "low" for row in rows):
            return []
        found.append(sorted(rows, key=lambda row: row.since or dt.date.min))
    return found


def of_age_on(study: StudyFacts, schedule: Schedule, rule: Rule, policy: Policy) -> dt.date:
    """Return the day on which the patient came of age, by the latest of the states that count."""
    assert study.born is not None
    states = ages_of_majority(study, schedule, rule, policy)
    return max(came_of_age(study.born, rows) for rows in states)


def came_of_age(born: dt.date, rows: Sequence[MajorityAge]) -> dt.date:
    """Return the first day on which somebody was of full age by the law of that very day."""
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        reached = max(birthday(born, row.age), row.since or dt.date.min)
        if following is None or following.since is None or reached < following.since:
            return reached
    raise AssertionError("no rows")


# Holds


def covers(hold: Hold, study: StudyFacts) -> bool:
    """Say whether a hold is about this study; in doubt it is."""
    if hold.store is not None and hold.store != study.store:
        return False
    if hold.kind == "study":
        return hold.study is None or hold.study == study.study
    if hold.kind == "patient":
        return not hold.patients or study.patient in hold.patients
    if hold.kind == "dates":
        newest, oldest = study.newest_image, study.oldest_image
        if newest is None:
            return True
        if oldest is not None and oldest > newest:
            newest, oldest = oldest, newest
        if hold.dates_from is not None and newest < hold.dates_from:
            return False
        return hold.dates_to is None or oldest is None or oldest <= hold.dates_to
    return True
