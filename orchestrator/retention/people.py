"""From the rows of a patient list to its patients: the same one twice, merges. Pure.

Whoever the list contradicts itself about is blocked, and so is everybody merged with them: one
date that is missing from a merge would let the others' images go too early.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.retention.patient_row import Fault, Row
from orchestrator.retention.study import ReviewReason

_UNNAMED: frozenset[Fault] = frozenset({"patient_id_missing", "patient_id_placeholder"})
_MERGE_FAULTS: frozenset[Fault] = frozenset(
    {
        "merge_cycle",
        "merge_target_missing",
        "merge_birth_dates_differ",
        "merge_treated_after_death",
        "merge_with_rejected",
    }
)


class PersonKey(NamedTuple):
    """Whom an id names, as ids are compared. Not to be shown.

    Attributes:
        issuer: In normal form, without case.
        patient_id: In normal form.
    """

    issuer: str
    patient_id: str


@dataclass(slots=True, repr=False)
class Person:
    """One patient of the list.

    Attributes:
        rows: What the list says of this id; several if it stands there several times.
        root: Who stands for everybody in the merge; the person's own key if there is none.
        born: Of this id, or of the whole merge for the root; likewise the others.
        last_treatment: The latest.
        died: The latest.
        is_incompetent: One of them is.
    """

    rows: list[Row] = field(default_factory=list)
    root: PersonKey | None = None
    born: dt.date | None = None
    last_treatment: dt.date | None = None
    died: dt.date | None = None
    is_incompetent: bool = False

    @property
    def faults(self) -> set[Fault]:
        """What is wrong with its rows."""
        return set().union(*(row.faults for row in self.rows))

    def blame(self, fault: Fault) -> None:
        """Reject every row."""
        for row in self.rows:
            row.faults.add(fault)

    @property
    def blocked(self) -> ReviewReason | None:
        """Why nothing may be decided by these rows; None if it may."""
        faults = self.faults
        if not faults:
            return None
        if "birth_date_changed" in faults:
            return "birth_date_contradicts"
        if faults & _MERGE_FAULTS:
            return "merge_contradicts"
        return "patient_id_ambiguous" if "same_patient_twice" in faults else "not_in_patient_list"


def person_key(issuer: str, patient_id: str) -> PersonKey:
    """Return the key of an id, so that equal keys are equal pseudonyms."""
    return PersonKey(
        unicodedata.normalize("NFKC", issuer).strip().casefold(),
        unicodedata.normalize("NFKC", patient_id).strip(),
    )


def people_of(rows: Iterable[Row], *, issuer: str = "") -> dict[PersonKey, Person]:
    """Return everybody a list names, good or not; faults that show by comparing go into the rows.

    Rows that name nobody are left out.

    Args:
        rows: The rows.
        issuer: Issuer of ids without one.
    """
    people: dict[PersonKey, Person] = {}
    for row in rows:
        if row.patient_id and not row.faults & _UNNAMED:
            key = person_key(row.issuer or issuer, row.patient_id)
            people.setdefault(key, Person()).rows.append(row)
    for key, person in people.items():
        first = person.rows[0]
        if len(person.rows) > 1 and len({_said(row) for row in person.rows}) > 1:
            person.blame("same_patient_twice")
        person.root = key
        person.born, person.died = first.born, first.died
        person.last_treatment = first.last_treatment
        person.is_incompetent = first.is_incompetent
    return people


def block_changed(people: dict[PersonKey, Person], changed: Collection[PersonKey]) -> None:
    """Reject everybody whose birth date is another one than the list in force has."""
    for key in changed:
        people[key].blame("birth_date_changed")


def follow_merges(people: dict[PersonKey, Person]) -> None:
    """Give every person its root and the root what is said of all; contradictions become faults."""
    into = dict(_merges(people))
    ends: dict[PersonKey, PersonKey | None] = {}
    groups: dict[PersonKey, list[PersonKey]] = {}
    for key in into:
        _follow(key, into, people, ends)
        root = ends[key]
        if root is not None:
            people[key].root = root
            groups.setdefault(root, [root]).append(key)
    for root, members in groups.items():
        _join(people, root, members)


def held(people: dict[PersonKey, Person]) -> Iterator[tuple[PersonKey, str]]:
    """Yield whom the list puts under a legal hold, with the reason; also rejected rows do."""
    for key, person in people.items():
        rows = [row for row in person.rows if row.is_held]
        if rows:
            reasons = dict.fromkeys(row.hold_reason for row in rows if row.hold_reason)
            yield key, "; ".join(reasons)


def _said(row: Row) -> tuple[object, ...]:
    return row.born, row.last_treatment, row.died, row.is_incompetent, row.merged_into


def _merges(people: dict[PersonKey, Person]) -> Iterator[tuple[PersonKey, PersonKey]]:
    for key, person in people.items():
        for row in person.rows:
            if row.merged_into:
                yield key, person_key(key.issuer, row.merged_into)
                break


def _follow(
    key: PersonKey,
    into: dict[PersonKey, PersonKey],
    people: dict[PersonKey, Person],
    ends: dict[PersonKey, PersonKey | None],
) -> None:
    """Note where a chain of merges ends, for everybody on it; None and a fault if nowhere."""
    chain: dict[PersonKey, None] = {}
    at = key
    while at in into and at not in ends and at not in chain:
        chain[at] = None
        at = into[at]
    end: PersonKey | None = None
    if at in ends:
        end = ends[at]
    elif at in chain:
        for one in list(chain)[list(chain).index(at) :]:
            people[one].blame("merge_cycle")
    elif at in people:
        end = at
    else:
        people[next(reversed(chain))].blame("merge_target_missing")
    for one in chain:
        ends[one] = end
        if end is None and not people[one].faults & _MERGE_FAULTS:
            people[one].blame("merge_with_rejected")


def _join(people: dict[PersonKey, Person], root: PersonKey, members: list[PersonKey]) -> None:
    group = [people[key] for key in members]
    whole = people[root]
    if len({one.born for one in group} - {None}) > 1:
        _blame(group, "merge_birth_dates_differ")
    whole.born = next((one.born for one in group if one.born is not None), None)
    whole.last_treatment = _latest(one.last_treatment for one in group)
    whole.died = _latest(one.died for one in group)
    whole.is_incompetent = any(one.is_incompetent for one in group)
    if (
        whole.died is not None
        and whole.last_treatment is not None
        and whole.last_treatment > whole.died
        and not any("treated_after_death" in one.faults for one in group)
    ):
        _blame(group, "merge_treated_after_death")
    if any(one.faults for one in group):
        for one in group:
            if not one.faults:
                one.blame("merge_with_rejected")


def _blame(group: list[Person], fault: Fault) -> None:
    for one in group:
        one.blame(fault)


def _latest(days: Iterable[dt.date | None]) -> dt.date | None:
    return max((day for day in days if day is not None), default=None)
