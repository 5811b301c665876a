"""Which adopted rules apply to the studies of a store, before a single study is looked at. Pure.

What a rule needs of a study (a death, a mammogram) stays open here as `Applicable.only_if`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.retention.schedule import (
    PATIENT_TRIGGERS,
    PERMANENT_CLASSES,
    RECORD_TRIGGERS,
    STUDY_CLASSES,
    Adopted,
    MajorityAge,
    Policy,
    Rule,
    Schedule,
)
from orchestrator.retention.study import ReviewReason, Winner

COUNTRY = "US"
"""Federal law applies beside the law of every state; alone it does not say where a store is."""

STATED_FORMS = frozenset({"until_age", "majority_plus", "no_disposal_before_age"})
_KINDS = ("jurisdiction", "overlay", "local")
_GENERAL_CLASSES = frozenset({"patient_record", "xray_image"})

OnlyIf = Literal["mammogram", "no_mammogram", "dead", "incompetent"]
Start = Literal["patient", "record", "receipt", "death", "nobody_knows"]

Regimes = tuple[tuple[int, dt.date | None], ...]
"""Ages of majority of one jurisdiction with the day from which each holds, oldest first."""


@dataclass(frozen=True, slots=True)
class Applicable:
    """A rule that applies to all studies of a store, or to those that fulfil `only_if`.

    Attributes:
        rule: The rule.
        adult: Named as winner by its adult period.
        minor: Named as winner by its minors' period.
        starts: From which date of a study it runs.
        only_if: What a study must be.
        is_permanent: Its class is never due.
        reasons: Why nothing may be disposed of under this rule.
        majority: One entry per jurisdiction whose age of majority counts, the latest one; None
            if one of them is not known.
    """

    rule: Rule
    adult: Winner
    minor: Winner
    starts: Start
    only_if: frozenset[OnlyIf]
    is_permanent: bool
    reasons: frozenset[ReviewReason]
    majority: tuple[Regimes, ...] | None


@dataclass(frozen=True, slots=True)
class Law:
    """Everything that applies to the studies of a store.

    Attributes:
        rules: In the order in which the first of several equal periods is named as winner: law
            before overlays before local rules, then by name.
        reasons: Why no study of the store may be disposed of.
        has_mammogram_rule: There is a rule for mammograms.
    """

    rules: tuple[Applicable, ...]
    reasons: frozenset[ReviewReason]
    has_mammogram_rule: bool


def law_of(policy: Policy, jurisdictions: Iterable[str], today: dt.date) -> Law:
    """Return the rules that apply in a set of jurisdictions.

    Every adopted schedule of the store's jurisdictions and of the country counts, and every overlay
    and local one that is not of another jurisdiction.

    Args:
        policy: What the site has adopted.
        jurisdictions: Of the store.
        today: By which reviews of rules are overdue.
    """
    states = sorted(set(jurisdictions) - {COUNTRY})
    places = {*states, COUNTRY}
    applying = [one for one in policy.adopted if _applies_in(one.schedule, places)]
    rules = [
        _applicable(one, rule, policy.majority, states, today)
        for one in sorted(applying, key=_rank)
        for rule in sorted(one.schedule.rules, key=lambda rule: (rule.id, repr(rule)))
        if rule.record_class in STUDY_CLASSES
    ]
    return Law(
        rules=tuple(rules),
        reasons=policy.unusable | _missing_law(applying, states),
        has_mammogram_rule=any(
            one.rule.record_class == "mammogram" and one.starts != "death" for one in rules
        ),
    )


def _applies_in(schedule: Schedule, places: set[str]) -> bool:
    if schedule.jurisdiction is None:
        return schedule.kind != "jurisdiction"
    return schedule.jurisdiction in places


def _rank(adopted: Adopted) -> tuple[int, str, str, str, bool]:
    schedule = adopted.schedule
    kind = _KINDS.index(schedule.kind)
    return kind, schedule.id, schedule.version, schedule.digest, adopted.image_clock


def _missing_law(applying: Sequence[Adopted], states: Sequence[str]) -> frozenset[ReviewReason]:
    if not states:
        return frozenset({"no_jurisdiction"})
    covered = {
        one.schedule.jurisdiction
        for one in applying
        if one.schedule.kind == "jurisdiction" and any(map(_is_general, one.schedule.rules))
    }
    return frozenset() if covered.issuperset(states) else frozenset({"no_adopted_schedule"})


def _is_general(rule: Rule) -> bool:
    """Say whether a rule reaches every study: not only those of the dead."""
    return rule.record_class in _GENERAL_CLASSES and rule.trigger != "patient_death"


def _applicable(
    adopted: Adopted,
    rule: Rule,
    ages: Sequence[MajorityAge],
    states: Sequence[str],
    today: dt.date,
) -> Applicable:
    schedule = adopted.schedule
    named = (schedule.id, schedule.version, rule.id, rule.record_class, str(rule.citation))
    return Applicable(
        rule=rule,
        adult=Winner(*named, part="adult"),
        minor=Winner(*named, part="minor"),
        starts=_start(rule),
        only_if=_conditions(adopted, rule),
        is_permanent=rule.record_class in PERMANENT_CLASSES,
        reasons=_doubts(rule, today),
        majority=_majority(schedule, rule, ages, states),
    )


def _start(rule: Rule) -> Start:
    if rule.trigger in PATIENT_TRIGGERS:
        return "patient"
    if rule.trigger in RECORD_TRIGGERS:
        return "receipt" if rule.trigger == "record_received" else "record"
    return "death" if rule.trigger == "patient_death" else "nobody_knows"


def _conditions(adopted: Adopted, rule: Rule) -> frozenset[OnlyIf]:
    found: set[OnlyIf] = set()
    if rule.record_class == "mammogram":
        found.add("mammogram")
    if rule.record_class == "deceased_patient_record" or rule.trigger == "patient_death":
        found.add("dead")
    if rule.record_class == "incompetent_patient_record":
        found.add("incompetent")
    if rule.record_class == "patient_record" and _images_have_own_clock(adopted):
        # The shorter clock is one of x-ray images; it was not written for mammograms.
        found.add("mammogram")
    return frozenset(found)


def _images_have_own_clock(adopted: Adopted) -> bool:
    return adopted.image_clock and any(
        rule.record_class == "xray_image" and rule.images == "own_clock" and _is_general(rule)
        for rule in adopted.schedule.rules
    )


def _doubts(rule: Rule, today: dt.date) -> frozenset[ReviewReason]:
    found: set[ReviewReason] = set()
    if rule.confidence == "low":
        found.add("rule_low_confidence")
    if not rule.reviewer:
        found.add("rule_not_reviewed")
    if rule.review_by is not None and rule.review_by < today:
        found.add("rule_review_overdue")
    return frozenset(found)


def _majority(
    schedule: Schedule, rule: Rule, ages: Sequence[MajorityAge], states: Sequence[str]
) -> tuple[Regimes, ...] | None:
    if rule.minor.majority is not None:
        return (((rule.minor.majority, None),),)
    own = schedule.jurisdiction not in {None, COUNTRY}
    places = [str(schedule.jurisdiction)] if own else states
    found = [_regimes(place, ages) for place in places]
    known = tuple(one for one in found if one is not None)
    return known if found and len(known) == len(found) else None


def _regimes(jurisdiction: str, ages: Sequence[MajorityAge]) -> Regimes | None:
    rows = [one for one in ages if one.jurisdiction == jurisdiction]
    if not rows or any(one.confidence == "low" for one in rows):
        return None
    oldest_first: dict[dt.date | None, int] = {}
    for one in sorted(rows, key=lambda one: (one.since or dt.date.min, one.age)):
        oldest_first[one.since] = one.age
    return tuple((age, since) for since, age in oldest_first.items())
