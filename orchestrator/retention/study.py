"""What is known of a study when its fate is decided. Pure values, no identity of a patient."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

ReviewReason = Literal[
    "no_usable_date",
    "date_in_future",
    "date_before_birth",
    "date_before_1980",
    "dates_disagree",
    "patient_id_missing",
    "patient_id_placeholder",
    "patient_id_ambiguous",
    "several_patients",
    "birth_date_unknown",
    "birth_date_contradicts",
    "not_in_patient_list",
    "patient_list_missing",
    "patient_list_stale",
    "patient_list_refused",
    "merge_contradicts",
    "deidentified",
    "phantom",
    "file_not_good",
    "disposed_study_is_back",
    "no_jurisdiction",
    "no_adopted_schedule",
    "class_without_rule",
    "rule_low_confidence",
    "rule_not_reviewed",
    "rule_review_overdue",
    "minors_rule_not_stated",
    "majority_age_unknown",
    "trigger_date_unknown",
]
"""Why a person must look at a study before anything may happen to it."""

KeepReason = Literal["period_runs", "on_hold", "permanent_class", "indefinite_period"]
"""Why a study is kept."""

Verdict = Literal["keep", "dispose", "review"]

OLDEST_BELIEVED = dt.date(1980, 1, 1)
"""Images of a digital store that say they are older have a wrong date, or were films."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """A doubt about a study that two people have looked into and settled.

    Attributes:
        doubt: The doubt; see `determination.SETTLEABLE`.
        determination: Id of the determination.
        asked_by: Who found it first.
        made_by: Who confirmed it.
        made_at: When; aware.
    """

    doubt: ReviewReason
    determination: str
    asked_by: str
    made_by: str
    made_at: dt.datetime


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """One study of one store.

    Attributes:
        store: Store name.
        study: Pseudonym of the study.
        patient: Pseudonym of the patient, merges followed; None if unknown.
        jurisdictions: Of the store, such as ``US-TX``.
        newest_image: Newest date of its images, from study, series, acquisition or content date.
        newest_other: Newest of the weaker dates (instance creation); only keeps longer.
        received: Newest day on which one of its files was written into the store; counts where a
            period runs from the receipt of a record, and only keeps longer.
        oldest_image: Oldest usable date of its images.
        patient_newest_image: Newest image of the same patient in any store of the site.
        last_treatment: By the patient list.
        born: Day of birth, or the latest day it can be where only the year is known.
        died: By the patient list; None if alive or unknown.
        is_mammogram: Some of its images are mammograms.
        is_incompetent: The patient list says that the patient is under disability.
        doubts: What whoever gathered the facts found wrong.
        files: Files in any snapshot or in the store.
        size_bytes: Their length together.
        settled: Doubts that are there and count no more, one settlement each.
    """

    store: str
    study: str
    patient: str | None
    jurisdictions: tuple[str, ...]
    newest_image: dt.date | None = None
    newest_other: dt.date | None = None
    received: dt.date | None = None
    oldest_image: dt.date | None = None
    patient_newest_image: dt.date | None = None
    last_treatment: dt.date | None = None
    born: dt.date | None = None
    died: dt.date | None = None
    is_mammogram: bool = False
    is_incompetent: bool = False
    doubts: frozenset[ReviewReason] = frozenset()
    files: int = 0
    size_bytes: int = 0
    settled: tuple[Settlement, ...] = ()


@dataclass(frozen=True, slots=True)
class Winner:
    """The rule whose period ends last.

    Attributes:
        schedule: Id of the schedule.
        version: Its adopted version.
        rule: Id of the rule.
        record_class: What the rule is about.
        citation: As it is cited.
        part: ``adult`` or ``minor``: which of its periods won.
    """

    schedule: str
    version: str
    rule: str
    record_class: str
    citation: str
    part: Literal["adult", "minor"]


@dataclass(frozen=True, slots=True)
class Component:
    """One period that applies to a study, for explaining.

    Attributes:
        rule: The rule and its part.
        trigger: The event it runs from.
        starts: The date it runs from; None if it is not known.
        due: First day on which it no longer keeps the study; None for never or unknown.
        words: The period in words, such as ``5 years from the last treatment``.
    """

    rule: Winner
    trigger: str
    starts: dt.date | None
    due: dt.date | None
    words: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What may become of a study.

    Attributes:
        store: Store name.
        study: Pseudonym of the study.
        verdict: `keep`, `dispose` or `review`.
        due: First day on which every period has ended; None for never or unknown. A hold does not
            move it: it keeps the study whatever the date.
        reasons: Why, from the closed sets above; empty only for `dispose`.
        rule: The rule that won; None if none could be computed.
        holds: Ids of the holds that cover it.
    """

    store: str
    study: str
    verdict: Verdict
    due: dt.date | None
    reasons: tuple[str, ...]
    rule: Winner | None
    holds: tuple[str, ...] = ()
