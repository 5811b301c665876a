"""From the end of the longest period to a verdict: holds, doubts, dates that cannot be. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.retention.applicable import Law, law_of
from orchestrator.retention.columns import (
    DISPOSE,
    KEEP,
    REVIEW,
    DecisionColumns,
    StudyColumns,
    bit,
    bits_of,
)
from orchestrator.retention.dates import NEVER, UNKNOWN
from orchestrator.retention.holds_index import HoldsIndex
from orchestrator.retention.periods import Longest, Part
from orchestrator.retention.schedule import Policy
from orchestrator.retention.study import OLDEST_BELIEVED, ReviewReason, Winner

if TYPE_CHECKING:
    from orchestrator.retention.columns import Bits, Flags

Trace = Callable[[Part], None]


class Judge:
    """Decides batch after batch by the same policy, holds and day.

    Args:
        policy: What the site has adopted.
        holds: Those in force.
        today: The date in the site's time zone.
    """

    def __init__(self, policy: Policy, holds: HoldsIndex, today: dt.date) -> None:
        self._policy = policy
        self._holds = holds
        self._today = today
        self._laws: dict[tuple[str, ...], tuple[Law, int]] = {}
        self._rules: list[Winner] = []

    def decide(self, studies: StudyColumns, trace: Trace | None = None) -> DecisionColumns:
        """Decide a batch.

        Args:
            studies: Any number of studies.
            trace: Called with every period of every law that applies to some of them.
        """
        count = len(studies)
        found = DecisionColumns(
            verdict=np.empty(count, np.uint8),
            due=np.empty(count, np.int32),
            reasons=np.empty(count, np.uint64),
            rule=np.empty(count, np.int32),
            rules=(),
            held_by=np.zeros(count, np.int32),
            holds=((),),
        )
        held_by, holds = self._holds.covering(studies)
        for place, jurisdictions in enumerate(studies.jurisdictions):
            rows: Flags = studies.where == place
            some = studies
            if len(studies.jurisdictions) > 1:
                some = _rows(studies, rows)
            law, first_rule = self._law(jurisdictions)
            longest = Longest(some, law, trace)
            self._judge(some, longest, held_by[rows] > 0, (found, rows), first_rule)
        return replace(found, rules=tuple(self._rules), held_by=held_by, holds=holds)

    def _law(self, jurisdictions: tuple[str, ...]) -> tuple[Law, int]:
        if jurisdictions not in self._laws:
            law = law_of(self._policy, jurisdictions, self._today)
            self._laws[jurisdictions] = (law, len(self._rules))
            for rule in law.rules:
                self._rules += (rule.adult, rule.minor)
        return self._laws[jurisdictions]

    def _judge(
        self,
        studies: StudyColumns,
        longest: Longest,
        held: Flags,
        into: tuple[DecisionColumns, Flags],
        first_rule: int,
    ) -> None:
        doubts = self._doubts(studies, longest)
        law_missing = _some(doubts, "no_jurisdiction", "no_adopted_schedule", "class_without_rule")
        never = longest.due == NEVER
        permanent = studies.is_incompetent
        is_known = ~(longest.is_unknown | law_missing | (longest.due == UNKNOWN) | never)
        is_known &= ~permanent
        # Nothing is left without a reason: what cannot be computed is looked at by a person.
        speechless = ~(is_known | never | permanent) & (doubts == 0)
        doubts |= np.where(speechless, bit("trigger_date_unknown"), np.uint64(0))
        runs = is_known & (longest.due > self._today.toordinal())
        keeps = permanent | longest.is_indefinite
        review = doubts != 0
        verdict = np.where(runs, KEEP, np.where(is_known, DISPOSE, REVIEW))
        verdict = np.where(held | keeps, KEEP, np.where(review, REVIEW, verdict))
        reasons = doubts
        for where, reason in (
            (held, bit("on_hold")),
            (permanent, bit("permanent_class")),
            (longest.is_indefinite, bit("indefinite_period")),
            (runs & (held | ~review), bit("period_runs")),
        ):
            reasons = np.where(where, reasons | reason, reasons)
        wins = is_known | never
        found, rows = into
        found.verdict[rows] = verdict
        found.due[rows] = np.where(is_known, longest.due, np.where(keeps, NEVER, UNKNOWN))
        found.reasons[rows] = reasons
        found.rule[rows] = np.where(wins, longest.rule + np.int32(first_rule), np.int32(-1))

    def _doubts(self, studies: StudyColumns, longest: Longest) -> Bits:
        """Return everything that a person would have to look at.

        A settled doubt is as if it were not there. What follows from the dates or the law
        themselves stays, but for the age of an image: a digitised film is as old as it says.
        """
        found = longest.reasons | (studies.doubts & ~studies.settled)
        found |= np.uint64(bits_of(longest.law.reasons))
        if not longest.law.has_mammogram_rule:
            found |= np.where(studies.is_mammogram, bit("class_without_rule"), np.uint64(0))
        for where, reason in _impossible_dates(studies, self._today):
            np.bitwise_or(found, reason, out=found, where=where)
        return found


def _impossible_dates(studies: StudyColumns, today: dt.date) -> list[tuple[Flags, np.uint64]]:
    """Return which dates contradict each other, today or the age of digital images.

    Args:
        studies: A batch.
        today: Nothing has happened after it.
    """
    newest, oldest = studies.newest_image, studies.oldest_image
    born, died, treated = studies.born, studies.died, studies.last_treatment
    latest = np.maximum(newest, studies.newest_other)
    for others in (oldest, studies.patient_newest_image, treated, born, died):
        latest = np.maximum(latest, others)
    early = np.int32(OLDEST_BELIEVED.toordinal())
    before_birth = (newest > UNKNOWN) & (newest < born)
    before_early = (newest > UNKNOWN) & (newest < early)
    for day in (oldest, treated, died):
        before_birth |= (day > UNKNOWN) & (day < born)
    before_early |= (oldest > UNKNOWN) & (oldest < early)
    before_early &= ~_some(studies.settled, "date_before_1980")
    is_dead = died > UNKNOWN
    after_death = is_dead & ((newest > died) | (treated > died))
    backwards = (newest > UNKNOWN) & (oldest > newest)
    return [
        (newest == UNKNOWN, bit("no_usable_date")),
        (latest > today.toordinal(), bit("date_in_future")),
        (before_birth, bit("date_before_birth")),
        (before_early, bit("date_before_1980")),
        (after_death | backwards, bit("dates_disagree")),
    ]


def _some(bits: Bits, *reasons: ReviewReason) -> Flags:
    found: Flags = (bits & np.uint64(bits_of(frozenset(reasons)))) > 0
    return found


def _rows(studies: StudyColumns, rows: Flags) -> StudyColumns:
    """Return some studies of a batch; their names stay behind, nobody asks for them."""
    names = [field.name for field in fields(StudyColumns)]
    columns = {name: getattr(studies, name) for name in names}
    arrays = {name: column[rows] for name, column in columns.items() if hasattr(column, "dtype")}
    return replace(studies, study=(), patient=(), **arrays)
