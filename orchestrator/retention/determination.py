"""Which doubts two people may settle by looking, and which never: a closed list. Pure.

Unknown never goes. But where the doubt is about what somebody can see (the same person under a
new name, a digitised film, a file that is lost), a documented finding of two people makes it
known. What can be put right at its source, or is law, is not settled here. A finding moves no date
forward: what is left known still decides, and of two dates the one that keeps longer counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.retention.study import ReviewReason


@dataclass(frozen=True, slots=True)
class Settleable:
    """A doubt that people may settle.

    Attributes:
        finding: What the finding must say.
        counts: What counts then.
    """

    finding: str
    counts: str


SETTLEABLE: dict[ReviewReason, Settleable] = {
    "no_usable_date": Settleable(
        "that no image without a date is newer than what the others and the patient list show, and "
        "how that is known",
        "the dates of the other images; a study of which no image has a date stays in review",
    ),
    "date_before_1980": Settleable(
        "that the early date is right, such as of a film that was digitised",
        "the dates as they stand",
    ),
    "dates_disagree": Settleable(
        "why dates of one examination lie so far apart, and that the images belong together",
        "the newest date for the end of periods, the oldest for whether it is a minor's",
    ),
    "patient_id_missing": Settleable(
        "that the image without a number is of the patient whom the others of its study name",
        "that patient's dates; a study that names nobody at all stays in review",
    ),
    "patient_id_ambiguous": Settleable(
        "that the different names or birth dates under the number are one person's",
        "all images under the number, and the latest of the birth dates",
    ),
    "birth_date_contradicts": Settleable(
        "that patient list and images are about one person",
        "the latest of the birth dates, which keeps longest",
    ),
    "phantom": Settleable(
        "that it is a patient's study although name or number look like a test object's",
        "the patient's rules, as for any other",
    ),
    "file_not_good": Settleable(
        "that what the file held is lost, and what it was",
        "the other files; as long as the file is in the store, nothing is settled",
    ),
}
"""Doubts that two people may settle, by what was found wrong."""

NEVER: dict[ReviewReason, str] = {
    "date_in_future": "it passes, or is corrected where it was written",
    "date_before_birth": "image, birth date or patient is wrong, and each of them decides how long",
    "several_patients": "whose rules apply is not known; the patient list can merge them",
    "patient_id_placeholder": "the number names nobody, so nobody's last treatment is known",
    "deidentified": "no patient's rule can be applied to it",
    "birth_date_unknown": "the patient list can say it, and every rule on minors needs it",
    "not_in_patient_list": "the patient list can say it",
    "patient_list_missing": "a list is needed",
    "patient_list_stale": "a newer list is needed",
    "patient_list_refused": "a list that can be taken is needed",
    "merge_contradicts": "the patient list must say it right",
    "disposed_study_is_back": "it is disposed of again, or readmitted by two people",
    "no_jurisdiction": "the site file says under which law a store is",
    "no_adopted_schedule": "a schedule must be adopted",
    "class_without_rule": "a schedule must be adopted",
    "rule_low_confidence": "what the law says is found in its sources, not in a study",
    "rule_not_reviewed": "what the law says is found in its sources, not in a study",
    "rule_review_overdue": "what the law says is found in its sources, not in a study",
    "minors_rule_not_stated": "counsel says it, and a local rule keeps it",
    "majority_age_unknown": "counsel says it, and a local rule keeps it",
    "trigger_date_unknown": "it is a fact of a contract or an employment, not of a study",
}
"""Why no finding settles a doubt, and what does."""

BIRTH_DATES: frozenset[ReviewReason] = frozenset({"patient_id_ambiguous", "birth_date_contradicts"})
"""Doubts about who somebody is: where one is settled, the latest birth date counts."""
