"""Why a study is kept or may go: every period that applies, and which one won. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import Period, Policy
from orchestrator.retention.study import Component, Decision, StudyFacts

if TYPE_CHECKING:
    from orchestrator.retention.periods import Part

_EVENTS = {
    "last_treatment": "the last treatment",
    "last_examination": "the last examination",
    "last_service": "the last service",
    "last_visit": "the last visit",
    "last_contact": "the last contact",
    "last_entry": "the last entry",
    "discharge": "the discharge",
    "record_created": "the creation of the record",
    "record_received": "the receipt of the record",
    "exam_date": "the examination",
    "date_of_service": "the date of service",
    "patient_death": "the patient's death",
    "contract_end": "the end of the contract",
    "employment_end": "the end of the employment",
    "last_in_effect": "the day it was last in effect",
    "not_stated": "the latest event known",
}


def explain(
    study: StudyFacts, policy: Policy, holds: Sequence[Hold], today: dt.date
) -> tuple[Decision, list[Component]]:
    """Decide about one study and tell every period that applies to it.

    Args:
        study: The study.
        policy: What the site has adopted.
        holds: Those in force.
        today: The date in the site's time zone.

    Returns:
        The decision, the same as `decide` makes; and the periods, the one that ends last first.
    """
    from orchestrator.retention.columns import StudyColumns
    from orchestrator.retention.holds_index import HoldsIndex
    from orchestrator.retention.verdicts import Judge

    columns = StudyColumns.of([study])
    parts: list[Part] = []
    found = Judge(policy, HoldsIndex(holds), today).decide(columns, parts.append)
    (decision,) = found.of(columns)
    parts = [part for part in parts if part.applies[0]]
    parts.sort(key=lambda part: -int(part.due[0]))  # stable: law before overlays, then by name
    return decision, [_component(part) for part in parts]


def _component(part: Part) -> Component:
    from orchestrator.retention.dates import day_of

    rule = part.rule.rule
    return Component(
        rule=part.rule.minor if part.is_minor else part.rule.adult,
        trigger=rule.trigger,
        starts=day_of(int(part.starts[0])),
        due=day_of(int(part.due[0])),
        words=_minor_words(part) if part.is_minor else _adult_words(part),
    )


def _adult_words(part: Part) -> str:
    rule = part.rule.rule
    if part.rule.is_permanent or rule.adult.is_indefinite:
        return "for ever"
    return f"{in_words(rule.adult)} from {_EVENTS[rule.trigger]}"


def _minor_words(part: Part) -> str:
    minor = part.rule.rule.minor
    if minor.form == "majority_plus":
        plus = minor.plus or Period()
        if plus.is_indefinite:
            return "for ever, as the record of a minor"
        age = "" if minor.majority is None else f" at {minor.majority}"
        return f"until {in_words(plus)} after coming of age{age}"
    return f"until the patient is {minor.age}"


def in_words(period: Period) -> str:
    """Return a period in words, such as ``5 years`` or ``1 year and 6 months``."""
    if period.is_indefinite:
        return "for ever"
    counts = ((period.years, "year"), (period.months, "month"), (period.days, "day"))
    parts = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in counts if count]
    return " and ".join(parts) or "0 years"
