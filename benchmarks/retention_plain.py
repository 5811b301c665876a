"""The same decision as `orchestrator.retention.decide`, study by study in plain Python.

The naive way, and the yardstick: a loop over objects with the attributes of `StudyFacts`, such as
rows of an ORM, with nothing but `datetime.date`. It shares no code with the product but its words,
so that the tests can hold the two against each other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import (
    PATIENT_TRIGGERS,
    RECORD_TRIGGERS,
    Adopted,
    Period,
    Policy,
    Rule,
)

NEVER = dt.date.max
KINDS = {"jurisdiction": 0, "overlay": 1, "local": 2}


class Plain(NamedTuple):
    verdict: str
    due: dt.date | None
    reasons: frozenset[str]
    rule: tuple[str, str, str] | None
    holds: tuple[str, ...]


def decide(
    studies: Iterable[Any], policy: Policy, holds: Sequence[Hold], today: dt.date
) -> Iterator[Plain]:
    for study in studies:
        yield decide_one(study, policy, holds, today)


def add(day: dt.date, period: Period) -> dt.date:
    months = day.month - 1 + (period.months or 0)
    year, month = day.year + (period.years or 0) + months // 12, months % 12 + 1
    try:
        end = dt.date(year, month, day.day)
    except ValueError:
        end = dt.date(year + month // 12, month % 12 + 1, 1)
    return end + dt.timedelta(period.days)


def latest(*days: dt.date | None) -> dt.date | None:
    return max((day for day in days if day), default=None)


def decide_one(study: Any, policy: Policy, holds: Sequence[Hold], today: dt.date) -> Plain:
    rules = list(applying(study, policy))
    doubts = set(study.doubts) | policy.unusable | wrong_dates(study, today)
    doubts |= missing_law(study, policy, rules)
    if study.patient is None:
        doubts.add("patient_id_missing")
    unknown = study.newest_image is None or bool(
        doubts & {"no_jurisdiction", "no_adopted_schedule", "class_without_rule"}
    )
    periods: list[tuple[dt.date, tuple[str, str, str]]] = []
    indefinite = False
    oldest = None
    if study.oldest_image and study.newest_image:
        oldest = min(study.oldest_image, study.newest_image)
    stated = any(
        rule.minor.form in ("until_age", "majority_plus", "no_disposal_before_age")
        for _, rule in rules
    )
    for adopted, rule in rules:
        doubts |= doubtful(rule, today)
        start = starts(study, rule)
        name = (adopted.schedule.id, rule.id)
        permanent = rule.record_class == "incompetent_patient_record"
        if permanent or rule.adult.is_indefinite:
            indefinite |= not permanent
            periods.append((NEVER, (*name, "adult")))
        elif start is None:
            unknown = True
            if rule.trigger in ("contract_end", "employment_end", "last_in_effect"):
                doubts.add("trigger_date_unknown")
        else:
            periods.append((add(start, rule.adult) + dt.timedelta(1), (*name, "adult")))
        form = rule.minor.form
        if form == "not_applicable":
            continue
        if study.born is None:
            doubts.add("birth_date_unknown")
            unknown = True
        at_trigger = form == "until_age" and rule.minor.tested == "at_trigger"
        majority = None
        if at_trigger or form == "majority_plus" or (form == "none_stated" and not stated):
            majority = comes_of_age(study, adopted, rule, policy)
            if majority == "unknown":
                doubts.add("majority_age_unknown")
                unknown = True
                continue
        if study.born is None:
            continue
        if form == "none_stated":
            if majority and (oldest is None or oldest < majority):
                doubts.add("minors_rule_not_stated")
            continue
        by_oldest = rule.minor.tested == "at_trigger" and form != "no_disposal_before_age"
        if by_oldest and oldest is not None and oldest >= majority:
            continue
        if form == "majority_plus":
            if rule.minor.plus.is_indefinite:
                indefinite = True
                periods.append((NEVER, (*name, "minor")))
                continue
            end = add(majority, rule.minor.plus)
        else:
            end = add(study.born, Period(rule.minor.age, 0))
        periods.append((end + dt.timedelta(1), (*name, "minor")))
    due, winner = None, None
    for day, rule in periods:
        if due is None or day > due:
            due, winner = day, rule
    if due != NEVER and (unknown or study.is_incompetent or not periods):
        due, winner = None, None
    if due is None and not doubts and not study.is_incompetent:
        doubts.add("trigger_date_unknown")
    held = tuple(sorted({hold.id for hold in holds if covers(hold, study)}))
    runs = due is not None and due != NEVER and due > today
    keeps = set()
    if held:
        keeps.add("on_hold")
    if study.is_incompetent:
        keeps.add("permanent_class")
    if indefinite:
        keeps.add("indefinite_period")
    shown = None if due == NEVER or study.is_incompetent else due
    if keeps:
        if runs and held and not study.is_incompetent:
            keeps.add("period_runs")
        return Plain("keep", shown, frozenset(keeps | doubts), winner, held)
    if doubts:
        return Plain("review", shown, frozenset(doubts), winner, held)
    if runs:
        return Plain("keep", shown, frozenset({"period_runs"}), winner, held)
    return Plain("dispose", shown, frozenset(), winner, held)


def applying(study: Any, policy: Policy) -> Iterator[tuple[Adopted, Rule]]:
    classes = {"patient_record", "xray_image"}
    if study.is_mammogram:
        classes.add("mammogram")
    if study.died:
        classes.add("deceased_patient_record")
    if study.is_incompetent:
        classes.add("incompetent_patient_record")
    adopted = sorted(
        policy.adopted,
        key=lambda a: (KINDS[a.schedule.kind], a.schedule.id, a.schedule.version),
    )
    for one in adopted:
        where = one.schedule.jurisdiction
        everywhere = where == "US" or (where is None and one.schedule.kind != "jurisdiction")
        if not everywhere and where not in study.jurisdictions:
            continue
        own_clock = one.image_clock and any(
            rule.record_class == "xray_image"
            and rule.images == "own_clock"
            and rule.trigger != "patient_death"
            for rule in one.schedule.rules
        )
        for rule in sorted(one.schedule.rules, key=lambda rule: rule.id):
            if rule.record_class not in classes:
                continue
            if rule.trigger == "patient_death" and not study.died:
                continue
            if own_clock and rule.record_class == "patient_record" and not study.is_mammogram:
                continue
            yield one, rule


def missing_law(study: Any, policy: Policy, rules: list[tuple[Adopted, Rule]]) -> set[str]:
    missing = set()
    states = set(study.jurisdictions) - {"US"}
    if not states:
        missing.add("no_jurisdiction")
    covered = {
        one.schedule.jurisdiction
        for one in policy.adopted
        for rule in one.schedule.rules
        if one.schedule.kind == "jurisdiction"
        and rule.record_class in ("patient_record", "xray_image")
        and rule.trigger != "patient_death"
    }
    if states - covered:
        missing.add("no_adopted_schedule")
    if study.is_mammogram and not any(
        rule.record_class == "mammogram" and rule.trigger != "patient_death" for _, rule in rules
    ):
        missing.add("class_without_rule")
    return missing


def doubtful(rule: Rule, today: dt.date) -> set[str]:
    found = set()
    if rule.confidence == "low":
        found.add("rule_low_confidence")
    if not rule.reviewer:
        found.add("rule_not_reviewed")
    if rule.review_by and rule.review_by < today:
        found.add("rule_review_overdue")
    return found


def starts(study: Any, rule: Rule) -> dt.date | None:
    if rule.trigger in PATIENT_TRIGGERS:
        return latest(
            study.last_treatment,
            study.patient_newest_image,
            study.newest_image,
            study.newest_other,
        )
    if rule.trigger == "record_received":
        return latest(study.newest_image, study.newest_other, study.received)
    if rule.trigger in RECORD_TRIGGERS:
        return latest(study.newest_image, study.newest_other)
    return study.died if rule.trigger == "patient_death" else None


def comes_of_age(study: Any, adopted: Adopted, rule: Rule, policy: Policy) -> Any:
    if rule.minor.majority is not None:
        return study.born and add(study.born, Period(rule.minor.majority, 0))
    own = adopted.schedule.jurisdiction
    places = [own] if own not in (None, "US") else sorted(set(study.jurisdictions) - {"US"})
    days = []
    for place in places:
        rows = [row for row in policy.majority if row.jurisdiction == place]
        if not rows or any(row.confidence == "low" for row in rows):
            return "unknown"
        if study.born is None:
            continue
        rows.sort(key=lambda row: row.since or dt.date.min)
        for number, row in enumerate(rows):
            day = latest(add(study.born, Period(row.age, 0)), row.since)
            if number + 1 == len(rows) or day < rows[number + 1].since:
                days.append(day)
                break
    return max(days, default=None) if places else "unknown"


def wrong_dates(study: Any, today: dt.date) -> set[str]:
    found = set()
    newest, oldest = study.newest_image, study.oldest_image
    died, treated, born = study.died, study.last_treatment, study.born
    if newest is None:
        found.add("no_usable_date")
    others = (study.newest_other, study.patient_newest_image, treated, born, died)
    if any(day and day > today for day in (newest, oldest, *others)):
        found.add("date_in_future")
    if born and any(day and day < born for day in (newest, oldest, treated, died)):
        found.add("date_before_birth")
    if any(day and day < dt.date(1980, 1, 1) for day in (newest, oldest)):
        found.add("date_before_1980")
    if died and any(day and day > died for day in (newest, treated)):
        found.add("dates_disagree")
    if newest and oldest and oldest > newest:
        found.add("dates_disagree")
    return found


def covers(hold: Hold, study: Any) -> bool:
    if hold.store is not None and hold.store != study.store:
        return False
    if hold.kind == "study" and hold.study is not None:
        return hold.study == study.study
    if hold.kind == "patient" and hold.patients:
        return study.patient in hold.patients
    if hold.kind != "dates" or study.newest_image is None:
        return True
    begins = study.oldest_image and min(study.oldest_image, study.newest_image)
    ends = latest(study.oldest_image, study.newest_image)
    too_late = begins is not None and hold.dates_to is not None and begins > hold.dates_to
    return not too_late and (hold.dates_from is None or ends >= hold.dates_from)
