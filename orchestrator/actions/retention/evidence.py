"""What the images of one study, and of one patient, say together: dates, whose they are, doubts.

Fed one image after the other, in any order; the answer does not depend on it. Knows nothing of
the patient list.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestrator.catalog.study_facts import Image
from orchestrator.dicom.dates import parse_date
from orchestrator.retention.patient_id import is_phantom, is_placeholder, normal_name
from orchestrator.retention.study import ReviewReason

STRONG_DATES = ("study_date", "series_date", "acquisition_date", "content_date")
"""Dates of the image. The date on which the file was made is a weaker one: it only keeps longer."""

LARGEST_SPREAD = dt.timedelta(days=366)
"""Dates of one image, or of one study, that lie further apart contradict each other."""

EARLIEST_BIRTH = dt.date(1900, 1, 2)
"""Devices write days before it where they do not know a birth date."""

DICOMDIR_CLASS = "1.2.840.10008.1.3.10"

_MAMMOGRAPHY_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1.2",  # digital mammography, for presentation and for processing
    "1.2.840.10008.5.1.4.1.1.13.1.3",  # breast tomosynthesis
    "1.2.840.10008.5.1.4.1.1.13.1.4",  # breast projection, for presentation
    "1.2.840.10008.5.1.4.1.1.13.1.5",  # breast projection, for processing
)
"""Source: DICOM PS3.4 annex B.5, storage SOP classes."""

_NO_DATE = frozenset("0 .-/\0")
"""Signs of which a date consists that says there is none."""

_X_RAY = frozenset({"CR", "DX", "RG"})
_YES = "YES"


def is_directory(image: Image) -> bool:
    """Say whether it is a DICOMDIR: the index of a folder, never a record of a patient."""
    stored = image.sop_class_uid or image.header.get("media_storage_sop_class_uid")
    return stored == DICOMDIR_CLASS


class Dates(NamedTuple):
    """The dates of one image.

    Attributes:
        own: Those of the image itself.
        other: The weaker one, the day on which the file was made; None if it does not say.
        is_unclear: It has no date at all, or one that nobody can read.
    """

    own: list[dt.date]
    other: dt.date | None
    is_unclear: bool


def dates_of(header: Mapping[str, str]) -> Dates:
    """Return the dates of an image."""
    own, unreadable = [], False
    for name in STRONG_DATES:
        text = header.get(name, "")
        day = parse_date(text)
        if day is not None:
            own.append(day)
        unreadable = unreadable or (day is None and not _NO_DATE.issuperset(text))
    other = parse_date(header.get("instance_creation_date", ""))
    return Dates(own, other, unreadable or (not own and other is None))


@dataclass(slots=True)
class StudyEvidence:
    """What the images of one study say.

    Attributes:
        store: Store name.
        study: Pseudonym of the study.
        patients: Whom its images name; merges followed.
        files: How many there are.
        size_bytes: Their length together.
        newest: Newest of the images' own dates.
        oldest: Oldest of them.
        newest_other: Newest day on which a file was made.
        written_ns: When a file was last written, in nanoseconds since the epoch.
        is_mammogram: One of them is a mammogram.
        doubts: What is wrong with them.
    """

    store: str
    study: str
    patients: set[str] = field(default_factory=set)
    files: int = 0
    size_bytes: int = 0
    newest: dt.date | None = None
    oldest: dt.date | None = None
    newest_other: dt.date | None = None
    written_ns: int = 0
    is_mammogram: bool = False
    doubts: set[ReviewReason] = field(default_factory=set)

    def add(self, image: Image, patient: str | None) -> None:
        """Take in one image.

        Args:
            image: The image.
            patient: Whom it names, merges followed; None for nobody.
        """
        self.files += 1
        self.size_bytes += image.size_bytes
        if patient is not None:
            self.patients.add(patient)
        dates = dates_of(image.header)
        for day in dates.own:
            self.newest = later(self.newest, day)
            self.oldest = earlier(self.oldest, day)
        self.newest_other = later(self.newest_other, dates.other)
        self.written_ns = max(self.written_ns, image.mtime_ns)
        self.is_mammogram = self.is_mammogram or _is_mammogram(image)
        self.doubts.update(doubts_of(image, dates))

    def add_elsewhere(self, other: StudyEvidence) -> None:
        """Take in what another store's images of the same study say; they are not counted."""
        self.patients |= other.patients
        self.newest = later(self.newest, other.newest)
        self.oldest = earlier(self.oldest, other.oldest)
        self.newest_other = later(self.newest_other, other.newest_other)
        self.is_mammogram = self.is_mammogram or other.is_mammogram
        self.doubts |= other.doubts

    def received(self, zone: dt.tzinfo) -> dt.date | None:
        """Return the newest day on which one of its files was written; None if none is known.

        Args:
            zone: Of the site.
        """
        if self.written_ns <= 0:
            return None
        try:
            return dt.datetime.fromtimestamp(self.written_ns / 1e9, zone).date()
        except (OverflowError, ValueError, OSError):
            return dt.date.max  # a clock far off: it keeps

    @property
    def dates_disagree(self) -> bool:
        """Whether its images cannot all be of one examination."""
        if self.newest is None or self.oldest is None:
            return False
        return self.newest - self.oldest > LARGEST_SPREAD

    @property
    def patient(self) -> str | None:
        """The patient; None if no image names one, or they name several."""
        return next(iter(self.patients)) if len(self.patients) == 1 else None


@dataclass(slots=True)
class PatientEvidence:
    """What all images of one patient say. Small: there is one for each patient of the site.

    Attributes:
        newest: Newest date of any image, or of any file if that is later.
        born: The birth date that its images state; the first of several.
        born_differ: They state several.
        name: Stands for the name; None if no image has one.
        names_differ: They carry several.
        is_undated: Nobody can say of one of them when it was made.
        stores: Stores that have images, one bit each.
    """

    newest: dt.date | None = None
    born: dt.date | None = None
    born_differ: bool = False
    name: int | None = None
    names_differ: bool = False
    is_undated: bool = False
    stores: int = 0

    def add(self, image: Image, store_bit: int) -> None:
        """Take in one image."""
        header = image.header
        self.stores |= store_bit
        dates = dates_of(header)
        for day in dates.own:
            self.newest = later(self.newest, day)
        self.newest = later(self.newest, dates.other)
        self.is_undated = self.is_undated or dates.is_unclear
        born = parse_date(header.get("patient_birth_date", ""))
        if born is not None and born >= EARLIEST_BIRTH:
            self.born_differ = self.born_differ or self.born not in (None, born)
            self.born = earlier(self.born, born)
        name = normal_name(header.get("patient_name", ""))
        if name:
            mark = hash(name)
            self.names_differ = self.names_differ or self.name not in (None, mark)
            self.name = mark

    def merge(self, other: PatientEvidence) -> None:
        """Take in the images of somebody who was merged with this patient.

        Names may differ then, but not birth dates: that is what the merge says.
        """
        self.newest = later(self.newest, other.newest)
        apart = None not in (self.born, other.born) and self.born != other.born
        self.born_differ = self.born_differ or other.born_differ or apart
        self.born = earlier(self.born, other.born)
        self.names_differ = self.names_differ or other.names_differ
        self.is_undated = self.is_undated or other.is_undated
        self.stores |= other.stores

    def is_same_as(self, other: PatientEvidence) -> bool:
        """Say whether name and birth date are known of both and equal."""
        is_known = self.name is not None and self.born is not None
        return is_known and (self.name, self.born) == (other.name, other.born)

    def is_apart_from(self, other: PatientEvidence) -> bool:
        """Say whether they are plainly two people: by birth date, else by name."""
        if self.born is not None and other.born is not None:
            return self.born != other.born
        return None not in (self.name, other.name) and self.name != other.name


def later(one: dt.date | None, other: dt.date | None) -> dt.date | None:
    """Return the later of two days; None counts as none."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def earlier(one: dt.date | None, other: dt.date | None) -> dt.date | None:
    """Return the earlier of two days; None counts as none."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def doubts_of(image: Image, dates: Dates) -> Iterator[ReviewReason]:
    """Yield what is wrong with one image."""
    header = image.header
    patient_id = header.get("patient_id", "")
    if not patient_id.strip():
        yield "patient_id_missing"
    elif is_placeholder(patient_id):
        yield "patient_id_placeholder"
    if image.state != "good" or not header.get("study_instance_uid"):
        # A file of the study that is no image of it any more was damaged, or replaced.
        yield "file_not_good"
    if dates.is_unclear:
        yield "no_usable_date"
    if header.get("patient_identity_removed", "").upper() == _YES:
        yield "deidentified"
    if (
        is_marked_as_test(header)
        or is_phantom(patient_id)
        or is_phantom(header.get("patient_name", ""))
    ):
        yield "phantom"
    if dates.own and max(dates.own) - min(dates.own) > LARGEST_SPREAD:
        yield "dates_disagree"


def is_marked_as_test(header: Mapping[str, str]) -> bool:
    """Say whether a device has marked an image as one of quality control."""
    return header.get("quality_control_subject", "").upper() == _YES


def _is_mammogram(image: Image) -> bool:
    if image.modality == "MG":
        return True
    stored = image.sop_class_uid or ""
    if any(stored == one or stored.startswith(f"{one}.") for one in _MAMMOGRAPHY_CLASSES):
        return True
    body_part = image.header.get("body_part_examined", "").upper()
    return image.modality in _X_RAY and "BREAST" in body_part
