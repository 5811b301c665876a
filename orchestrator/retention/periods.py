"""How long the rules of one law keep each study of a batch: the longest period wins. Pure.

No verdict is made here: the result says when the last period ends, whether anything needed for that
is not known, and what a person would have to look at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.retention.applicable import STATED_FORMS, Applicable, Law, Regimes
from orchestrator.retention.columns import StudyColumns, bit
from orchestrator.retention.dates import NEVER, UNKNOWN, Calendar
from orchestrator.retention.schedule import Period

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.retention.columns import Bits, Codes, Flags
    from orchestrator.retention.dates import Days


@dataclass(frozen=True, slots=True)
class Part:
    """One period of one rule, for every study of the batch.

    Attributes:
        rule: The rule.
        is_minor: The minors' period; else the adult one.
        applies: To which studies.
        starts: First day of the period; `UNKNOWN` where it is not known.
        due: First day after the period; `NEVER` for an indefinite one, `UNKNOWN` if not known.
    """

    rule: Applicable
    is_minor: bool
    applies: Flags
    starts: Days
    due: Days


class Facts:
    """What rules ask of a batch, each computed once and only if a rule asks it."""

    def __init__(self, studies: StudyColumns) -> None:
        self.studies = studies

    @cached_property
    def own_newest(self) -> Days:
        """The newest date of the study itself, weak ones included."""
        return np.maximum(self.studies.newest_image, self.studies.newest_other)

    @cached_property
    def receipt(self) -> Days:
        """The newest day on which the study was made or came in, as far as the store shows."""
        return np.maximum(self.own_newest, self.studies.received)

    @cached_property
    def patient_newest(self) -> Days:
        """The later of the last treatment and the newest image of the patient."""
        seen = np.maximum(self.studies.last_treatment, self.studies.patient_newest_image)
        return np.maximum(self.own_newest, seen)

    @cached_property
    def oldest(self) -> Days:
        """The oldest image; unknown if that is not known, though there may be newer ones."""
        return np.minimum(self.studies.oldest_image, self.studies.newest_image)

    @cached_property
    def is_dead(self) -> Flags:
        """The patient list gives a day of death."""
        return self.studies.died > UNKNOWN

    @cached_property
    def is_born(self) -> Flags:
        """The day of birth is known."""
        return self.studies.born > UNKNOWN

    @cached_property
    def birth(self) -> Calendar:
        """The days of birth, ready for birthdays."""
        return Calendar(self.studies.born)

    @cached_property
    def _calendars(self) -> dict[str, Calendar]:
        return {}

    def start(self, rule: Applicable) -> Days:
        """Return from when a rule's period runs."""
        if rule.starts == "patient":
            return self.patient_newest
        if rule.starts == "record":
            return self.own_newest
        if rule.starts == "receipt":
            return self.receipt
        if rule.starts == "death":
            return self.studies.died
        return np.full(len(self.studies), UNKNOWN, np.int32)

    def after_start(self, rule: Applicable, period: Period) -> Days:
        """Return the last day of a period that runs from the rule's trigger."""
        if rule.starts not in self._calendars:
            self._calendars[rule.starts] = Calendar(self.start(rule))
        return self._calendars[rule.starts].after(period)

    def fulfils(self, rule: Applicable) -> Flags:
        """Say which studies are what a rule demands."""
        found = np.ones(len(self.studies), np.bool_)
        if "mammogram" in rule.only_if:
            found &= self.studies.is_mammogram
        if "dead" in rule.only_if:
            found &= self.is_dead
        if "incompetent" in rule.only_if:
            found &= self.studies.is_incompetent
        return found

    def majority(self, regimes: Sequence[Regimes]) -> Days:
        """Return the day on which each patient comes of age: the latest of several laws' days."""
        latest = self._majority_in(regimes[0])
        for one in regimes[1:]:
            latest = np.maximum(latest, self._majority_in(one))
        return latest

    def _majority_in(self, regimes: Regimes) -> Days:
        """Return the first day on which a patient is old enough for the law of that day."""
        found = self._reached(regimes[-1])
        for regime, following in reversed(list(pairwise(regimes))):
            reached, changed = self._reached(regime), following[1]
            if changed is not None:
                found = np.where(reached < changed.toordinal(), reached, found)
        return found

    def _reached(self, regime: tuple[int, dt.date | None]) -> Days:
        age, since = regime
        birthday = self.birth.birthday(age)
        if since is None:
            return birthday
        first = np.int32(since.toordinal())
        return np.where(self.is_born, np.maximum(birthday, first), np.int32(UNKNOWN))


class Longest:
    """The longest of all periods of a batch, gathered rule by rule.

    Args:
        studies: All in one set of jurisdictions.
        law: Of these jurisdictions.
        trace: Called with every period, to explain; None where nobody asks.
    """

    def __init__(
        self,
        studies: StudyColumns,
        law: Law,
        trace: Callable[[Part], None] | None = None,
    ) -> None:
        count = len(studies)
        self.facts = Facts(studies)
        self.law = law
        self.due: Days = np.full(count, UNKNOWN, np.int32)
        self.rule: Codes = np.full(count, -1, np.int32)
        self.is_unknown: Flags = studies.newest_image == UNKNOWN
        self.is_indefinite: Flags = np.zeros(count, np.bool_)
        self.reasons: Bits = np.zeros(count, np.uint64)
        self._trace = trace
        self._stated: Flags = np.zeros(count, np.bool_)
        self._gather()

    def _gather(self) -> None:
        silent: list[tuple[Applicable, Flags]] = []
        for place, rule in enumerate(self.law.rules):
            applies = self.facts.fulfils(rule)
            if rule.only_if and not applies.any():
                continue
            for reason in rule.reasons:
                self._doubt(applies, bit(reason))
            self._adult(place, rule, applies)
            form = rule.rule.minor.form
            if form == "not_applicable":
                continue
            unborn = applies & ~self.facts.is_born
            self._doubt(unborn, bit("birth_date_unknown"), is_unknown=True)
            if form == "none_stated":
                silent.append((rule, applies))
            elif form in STATED_FORMS:
                self._stated |= applies
                self._minor(place, rule, applies)
        for rule, applies in silent:
            self._unstated(rule, applies & ~self._stated)

    def _adult(self, place: int, rule: Applicable, applies: Flags) -> None:
        starts = self.facts.start(rule)
        if rule.is_permanent or rule.rule.adult.is_indefinite:
            if not rule.is_permanent:
                self.is_indefinite |= applies
            self._part(place, Part(rule, False, applies, starts, _everywhere(starts, NEVER)))
            return
        if rule.starts == "nobody_knows":
            self._doubt(applies, bit("trigger_date_unknown"), is_unknown=True)
        due = self.facts.after_start(rule, rule.rule.adult)
        self._part(place, Part(rule, False, applies, starts, _day_after(due)))

    def _minor(self, place: int, rule: Applicable, applies: Flags) -> None:
        minor = rule.rule.minor
        came_of_age = self._came_of_age(rule, applies)
        applies = applies & self.facts.is_born
        # A record made of a minor is a minor's record, however old the patient is later: so the
        # oldest image decides, and one more image never brings the end forward.
        if minor.form != "no_disposal_before_age" and minor.tested == "at_trigger":
            if came_of_age is None:
                return
            applies = applies & (self.facts.oldest < came_of_age)
        if minor.form == "majority_plus":
            if came_of_age is None:
                return
            plus = minor.plus or Period()
            starts = came_of_age
            if plus.is_indefinite:
                self.is_indefinite |= applies
                due = _everywhere(starts, NEVER)
            else:
                due = _day_after(Calendar(came_of_age).after(plus))
        else:
            starts = self.facts.studies.born
            due = _day_after(self.facts.birth.birthday(minor.age or 0))
        self._part(place, Part(rule, True, applies, starts, due))

    def _came_of_age(self, rule: Applicable, applies: Flags) -> Days | None:
        """Return when each patient comes of age; None, and a doubt, if the law's age is unknown."""
        minor = rule.rule.minor
        by_age = minor.form in {"until_age", "no_disposal_before_age"}
        if by_age and (minor.tested == "now" or minor.form == "no_disposal_before_age"):
            return None
        if rule.majority is None:
            self._doubt(applies, bit("majority_age_unknown"), is_unknown=True)
            return None
        return self.facts.majority(rule.majority)

    def _unstated(self, rule: Applicable, applies: Flags) -> None:
        if not applies.any():
            return
        came_of_age = self._came_of_age(rule, applies)
        if came_of_age is not None:
            # The same test as where a text does speak of minors.
            was_minor = applies & (self.facts.oldest < came_of_age)
            self._doubt(was_minor, bit("minors_rule_not_stated"))

    def _part(self, place: int, part: Part) -> None:
        unknown = part.applies & (part.due == UNKNOWN)
        self.is_unknown |= unknown
        wins = part.applies & (part.due > self.due)
        np.copyto(self.due, part.due, where=wins)
        np.copyto(self.rule, np.int32(2 * place + part.is_minor), where=wins)
        if self._trace is not None:
            self._trace(part)

    def _doubt(self, where: Flags, reason: np.uint64, *, is_unknown: bool = False) -> None:
        np.bitwise_or(self.reasons, reason, out=self.reasons, where=where)
        if is_unknown:
            self.is_unknown |= where


def _day_after(days: Days) -> Days:
    return np.where(days == UNKNOWN, np.int32(UNKNOWN), days + np.int32(1))


def _everywhere(like: NDArray[np.int32], day: int) -> Days:
    return np.full(len(like), day, np.int32)
