"""What each reason of a decision means, in one plain sentence, and what to do next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.retention.determination import SETTLEABLE
from orchestrator.retention.study import Verdict

_IMPORT = "`orchestrator --as ACTOR patients import FILE`"
_EXPORT = f"correct it in the practice system, export again, {_IMPORT}"
_FIX_IMAGES = "correct the image's header in the store, then `orchestrator backup`"
_SCHEDULES = "`orchestrator retention list` shows them; have counsel settle it"


@dataclass(frozen=True, slots=True)
class Words:
    """A reason in words.

    Attributes:
        meaning: One sentence without its full stop, about one study.
        next_step: What a person can do about it; empty where nothing is to be done.
    """

    meaning: str
    next_step: str = ""


VERDICTS: dict[Verdict, str] = {
    "keep": "is kept",
    "review": "is kept until a person has looked at it",
    "dispose": "may be disposed of",
}

_KEEP: dict[str, Words] = {
    "period_runs": Words("a retention period still runs"),
    "on_hold": Words(
        "a legal hold covers it", "`orchestrator hold list` shows the hold; two people release it"
    ),
    "permanent_class": Words("records of this class are kept for ever"),
    "indefinite_period": Words("a rule that applies has no end"),
}

_DATES: dict[str, Words] = {
    "no_usable_date": Words(
        "an image of it, or of its patient, has no date that can be read", _FIX_IMAGES
    ),
    "date_in_future": Words(
        "one of its dates lies in the future",
        "find out which: images, last treatment, birth or death; correct it at its source",
    ),
    "date_before_birth": Words(
        "one of its dates lies before the patient's birth",
        "find out whether the image belongs to this patient; correct the date that is wrong",
    ),
    "date_before_1980": Words("its images claim to be older than digital images are", _FIX_IMAGES),
    "dates_disagree": Words(
        "its dates contradict each other or lie after the patient's death",
        "find out whether the images belong to this patient; correct the date that is wrong",
    ),
}

_PATIENTS: dict[str, Words] = {
    "patient_id_missing": Words("its images name no patient", _FIX_IMAGES),
    "patient_id_placeholder": Words("its patient number is a placeholder", _FIX_IMAGES),
    "patient_id_ambiguous": Words(
        "its patient number belongs to different names or birth dates, or the patient may have "
        "another number as well",
        f"{_FIX_IMAGES}; or set `issuer` of the store in site.toml",
    ),
    "several_patients": Words("its images name more than one patient", _FIX_IMAGES),
    "birth_date_unknown": Words("the patient's birth date is not known", _EXPORT),
    "birth_date_contradicts": Words(
        "the patient list and the images give different birth dates", _EXPORT
    ),
    "not_in_patient_list": Words("the patient is not in the patient list", _EXPORT),
    "patient_list_missing": Words("no patient list was ever imported", _IMPORT),
    "patient_list_stale": Words("the patient list is too old", f"export a new one, {_IMPORT}"),
    "patient_list_refused": Words(
        "a patient list that is not older than the one in force was refused",
        "`orchestrator patients show` says why; import a later one that can be taken",
    ),
    "merge_contradicts": Words("the patient list merges this patient in a circle", _EXPORT),
}

_STUDIES: dict[str, Words] = {
    "deidentified": Words(
        "its images were de-identified, so that no patient's rule can be applied",
        "keep it, or remove it from the store by hand under your own policy",
    ),
    "phantom": Words(
        "it looks like a test or phantom, not like a patient's study",
        "keep it, or remove it from the store by hand under your own policy",
    ),
    "file_not_good": Words(
        "some of its files could not be read in full, or are no images of it any more",
        "`orchestrator check` and look at the files",
    ),
    "disposed_study_is_back": Words(
        "it was disposed of, and now its files are there again",
        "find out who brought them back; no restore brings them back again. To let it go: "
        "`orchestrator --as ACTOR disposal propose`, or execute its disposal again if that is not "
        "complete; to keep it: `orchestrator --as ACTOR disposal readmit STUDY --reason TEXT`",
    ),
}

_LAW: dict[str, Words] = {
    "no_jurisdiction": Words(
        "its store names no state, so that no state's law can be applied",
        "set `jurisdictions` of the store in site.toml",
    ),
    "no_adopted_schedule": Words(
        "no schedule for patient records is adopted for every jurisdiction of its store",
        "`orchestrator retention list`, then have compliance adopt one",
    ),
    "class_without_rule": Words(
        "it has mammograms, and no adopted schedule has a rule for them",
        "`orchestrator retention list`, then have compliance adopt one",
    ),
    "rule_low_confidence": Words("a rule that applies rests on a weak source", _SCHEDULES),
    "rule_not_reviewed": Words("nobody has reviewed a rule that applies", _SCHEDULES),
    "rule_review_overdue": Words(
        "the review of a rule that applies is overdue",
        "have the rule reviewed and adopt the newer version",
    ),
    "minors_rule_not_stated": Words(
        "the patient was a minor, and no rule that applies says how long minors' records are kept",
        "ask counsel, then add a local rule for minors and adopt it",
    ),
    "majority_age_unknown": Words(
        "the age of majority that a rule needs is not known",
        "ask counsel, then add a local rule that names the age and adopt it",
    ),
    "trigger_date_unknown": Words(
        "the date from which a rule runs cannot be known from images and patient list",
        "look at the contract or the file; keep the study until it is certain",
    ),
}

_PLAIN: dict[str, Words] = {**_KEEP, **_DATES, **_PATIENTS, **_STUDIES, **_LAW}


def _with_the_way_out(words: Words, doubt: str) -> Words:
    command = f"orchestrator --as ACTOR retention determine STUDY --doubt {doubt} --finding TEXT"
    return replace(words, next_step=f"{words.next_step}; or two people settle it: `{command}`")


WORDS: dict[str, Words] = _PLAIN | {
    doubt: _with_the_way_out(_PLAIN[doubt], doubt) for doubt in SETTLEABLE
}
"""Every reason that a decision can have."""
