"""What a retention schedule says: rules with their citations, nothing of a study or a site.

Pure values. `config.schedules` reads them from TOML; `decide` applies them.

Source: ISO 15489-1 for the words; the closed sets are those the statutes of the shipped
jurisdictions use.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.retention.study import ReviewReason

Kind = Literal["jurisdiction", "overlay", "local"]
"""`jurisdiction`: the law of a state or of the country; `overlay`: what a payer, programme or
insurer adds; `local`: what the site itself adds. Periods of all kinds are compared and the longest
applies, so none can shorten another."""

RecordClass = Literal[
    "patient_record",
    "xray_image",
    "mammogram",
    "deceased_patient_record",
    "incompetent_patient_record",
    "laboratory_order",
    "employee_exposure",
    "hipaa_documentation",
    "disclosure_log",
    "disposal_log",
]

STUDY_CLASSES: frozenset[str] = frozenset(
    {
        "patient_record",
        "xray_image",
        "mammogram",
        "deceased_patient_record",
        "incompetent_patient_record",
    }
)
"""Classes a study can be of; rules of the others are shown and never decide about a study."""

PERMANENT_CLASSES: frozenset[str] = frozenset({"incompetent_patient_record", "disposal_log"})
"""Classes that are never due, whatever a schedule says."""

Trigger = Literal[
    "last_treatment",
    "last_examination",
    "last_service",
    "last_visit",
    "last_contact",
    "last_entry",
    "discharge",
    "record_created",
    "record_received",
    "exam_date",
    "date_of_service",
    "patient_death",
    "contract_end",
    "employment_end",
    "last_in_effect",
    "not_stated",
]

PATIENT_TRIGGERS: frozenset[str] = frozenset(
    {
        "last_treatment",
        "last_examination",
        "last_service",
        "last_visit",
        "last_contact",
        "last_entry",
        "discharge",
        "date_of_service",
        "not_stated",
    }
)
"""Events of the patient: the later of the last treatment and the patient's newest image."""

RECORD_TRIGGERS: frozenset[str] = frozenset({"record_created", "record_received", "exam_date"})
"""Events of the single record: the study's own newest date."""

MinorForm = Literal[
    "until_age", "majority_plus", "no_disposal_before_age", "none_stated", "not_applicable"
]
"""How a rule treats minors. `until_age`: kept until an age. `majority_plus`: years after majority.
`no_disposal_before_age`: nobody's record before that age. `none_stated`: the text is silent, which
is not the same as no duty. `not_applicable`: the class has no minors."""

MinorTest = Literal["at_trigger", "now"]
"""When somebody counts as a minor: at the event that starts the period, or today."""

Confidence = Literal["high", "medium", "low"]
Images = Literal["with_record", "own_clock", "not_stated"]


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar period; `years` and `months` both None for an indefinite one.

    Attributes:
        years: 0 or more.
        months: 0 to 11.
        days: 0 or more.
    """

    years: int | None = 0
    months: int | None = 0
    days: int = 0

    @property
    def is_indefinite(self) -> bool:
        """Say whether it never ends."""
        return self.years is None


INDEFINITE = Period(None, None)


@dataclass(frozen=True, slots=True)
class Minor:
    """How long the record of a minor is kept, beside the adult period; the longer one applies.

    Attributes:
        form: Which rule.
        age: Years of age, for `until_age` and `no_disposal_before_age`.
        plus: Time after majority, for `majority_plus`.
        tested: When somebody counts as a minor.
        majority: Age of majority that the rule itself names; None for the table's.
    """

    form: MinorForm
    age: int | None = None
    plus: Period | None = None
    tested: MinorTest = "at_trigger"
    majority: int | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a rule comes from.

    Attributes:
        instrument: Such as ``22 TAC``.
        section: Such as ``108.8(b)``.
        source: Address of the page that was read; None if none was returned.
        read_on: When it was read.
        text_of: The text's own date or version, in words; None if the page does not say.
    """

    instrument: str
    section: str
    source: str | None
    read_on: dt.date
    text_of: str | None = None

    def __str__(self) -> str:
        """Return it as it is cited."""
        return f"{self.instrument} {self.section}".strip()


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that must be done before records under a rule may go.

    Attributes:
        form: Closed: how.
        text: What, in a sentence a person can act on.
    """

    form: Literal["posted_sign", "written_statement", "mailed_notice", "authority"]
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a schedule.

    Attributes:
        id: Unique in its schedule.
        record_class: What it is about.
        trigger: The event from which the period runs.
        adult: The period.
        minor: How minors differ.
        images: Whether images run with the record or have a clock of their own.
        citation: Where it comes from.
        confidence: How sure the reading is; `low` never disposes.
        reviewer: Who has read the rule against its source; None for nobody: never disposes.
        reviewed_on: When; None for never.
        review_by: From the day after, the rule no longer disposes until it is reviewed anew.
        conflicts: Other readings that were found, one sentence each.
        notices: What must be done before disposal.
        note: What a reader should know, one or two sentences.
    """

    id: str
    record_class: RecordClass
    trigger: Trigger
    adult: Period
    minor: Minor
    images: Images
    citation: Citation
    confidence: Confidence
    reviewer: str | None = None
    reviewed_on: dt.date | None = None
    review_by: dt.date | None = None
    conflicts: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One file of rules.

    Attributes:
        id: Such as ``us-tx-dental``.
        version: Such as ``2026.1``; compared for equality only.
        kind: Whose rules these are.
        jurisdiction: Such as ``US-TX``; ``US`` for the country; None for overlays and local ones.
        title: In words.
        rules: At least one.
        digest: SHA-256 of the file's bytes in hex.
    """

    id: str
    version: str
    kind: Kind
    jurisdiction: str | None
    title: str
    rules: tuple[Rule, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class MajorityAge:
    """The age of majority in a jurisdiction from a date on.

    Attributes:
        jurisdiction: Such as ``US-TX``.
        age: In years.
        since: First day on which it holds; None for as long as anybody's record reaches back.
        citation: Where it comes from.
        confidence: How sure the reading is.
    """

    jurisdiction: str
    age: int
    since: dt.date | None
    citation: Citation
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Adopted:
    """A schedule that a site has adopted.

    Attributes:
        schedule: As its text stood when it was adopted.
        image_clock: The site applies its separate clock to images, where it has one.
    """

    schedule: Schedule
    image_clock: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a decision is made by, apart from the study itself.

    Attributes:
        adopted: The schedules in force.
        majority: Ages of majority.
        unusable: Reasons that keep every study, such as a stale patient list.
    """

    adopted: tuple[Adopted, ...]
    majority: tuple[MajorityAge, ...]
    unusable: frozenset[ReviewReason] = field(default_factory=frozenset)
