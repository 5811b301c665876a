"""What exactly raised a doubt about a study, as one hash: a finding is bound to just that.

One more undated image, another name, another list: the hash is another one, the finding no longer
counts, and the doubt stands again. A file is known by its content, so that moving it changes
nothing. The hash is keyed and names nobody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator import canonical
from orchestrator.actions.retention.evidence import (
    EARLIEST_BIRTH,
    LARGEST_SPREAD,
    STRONG_DATES,
    Dates,
    dates_of,
    doubts_of,
    earlier,
    is_directory,
    is_marked_as_test,
    later,
)
from orchestrator.actions.retention.numbering import Numbering
from orchestrator.actions.site import Site
from orchestrator.catalog import patients as rows
from orchestrator.catalog.study_facts import Image, images, images_of_patients
from orchestrator.dicom.dates import parse_date
from orchestrator.retention.determination import SETTLEABLE
from orchestrator.retention.patient_id import normal_name
from orchestrator.retention.study import OLDEST_BELIEVED, ReviewReason

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.retention.listed import Listed

_DATES = (*STRONG_DATES, "instance_creation_date")

_Facts = set[tuple[str, ...]]

_THERE = (
    "a file that is not good is in the store still: put it right, or take it out of the store, "
    "then back up"
)
_MARKED = "a device has marked an image of it as a test"


@dataclass(slots=True)
class Grounds:
    """What raised the doubts about one study.

    Attributes:
        digests: By doubt, the keyed hash of what raised it; only of doubts that can be settled.
        beyond: By doubt, why no finding settles it for this study.
        born: The latest birth date that an image of its patient states.
    """

    digests: dict[ReviewReason, str] = field(default_factory=dict)
    beyond: dict[ReviewReason, str] = field(default_factory=dict)
    born: dt.date | None = None


def grounds(site: Site, session: Session, studies: Collection[str]) -> dict[str, Grounds]:
    """Return what raised the doubts about studies, in whatever stores they are.

    Args:
        site: The site.
        session: Everything is as of this transaction.
        studies: Pseudonyms; few, for all images of their patients are read.

    Raises:
        DamageError: A field was changed in the database.
    """
    keys = site.catalog.keys
    numbering = Numbering(site, session)
    found: dict[str, _Study] = {}
    for image in images(session, keys, studies=studies):
        if not is_directory(image):
            study = found.setdefault(image.study or "", _Study())
            study.add(image, numbering.patient(image))
    wanted = {one for study in found.values() for one in study.patients}
    people = {patient: _Patient() for patient in wanted}
    near = numbering.headers_of(session, wanted)
    for image in images_of_patients(session, keys, patients=near):
        owner = numbering.unmerged(image)
        patient = numbering.patient(image)
        if owner is not None and patient in people and not is_directory(image):
            people[patient].add(image, owner)
    listed = rows.listed(session, keys.cipher, wanted)
    nobody = _Patient()
    return {
        name: _grounds(site, name, study, people.get(study.patient or "", nobody), listed)
        for name, study in found.items()
    }


def _grounds(
    site: Site, name: str, study: _Study, patient: _Patient, listed: Mapping[str, Listed]
) -> Grounds:
    raised = dict(study.raised)
    raised["no_usable_date"] = raised.get("no_usable_date", set()) | patient.undated
    if study.spread is not None:
        raised["dates_disagree"] = raised.get("dates_disagree", set()) | {study.spread}
    raised["patient_id_ambiguous"] = patient.named | patient.birth_dates
    said = listed.get(study.patient or "")
    if said is not None and said.birth_key is not None:
        raised["birth_date_contradicts"] = {
            ("list", said.birth_key, str(said.birth_year)),
            *patient.birth_dates,
        }
    found = Grounds(beyond=dict(study.beyond), born=patient.born)
    who = study.patient or ""
    for doubt, facts in raised.items():
        if facts and doubt in SETTLEABLE and doubt not in found.beyond:
            found.digests[doubt] = _digest(site, (name, doubt, who), facts)
    return found


def _digest(site: Site, about: tuple[str, ...], facts: Iterable[tuple[str, ...]]) -> str:
    plain = [[_whole(part) for part in one] for one in (about, *sorted(facts))]
    content = canonical.encode({"determination": 1, "facts": plain}).decode()
    return site.catalog.keys.pseudonyms.subject("determination", content)


def _whole(text: str) -> str:
    """Return a text that can be written: a header may hold half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode()


class _Study:
    """What the images of one study say, in every store that has some."""

    def __init__(self) -> None:
        self.patients: set[str] = set()
        self.raised: dict[ReviewReason, _Facts] = {}
        self.beyond: dict[ReviewReason, str] = {}
        self._oldest: dt.date | None = None
        self._newest: dt.date | None = None

    def add(self, image: Image, patient: str | None) -> None:
        """Take in one image."""
        if patient is not None:
            self.patients.add(patient)
        dates = dates_of(image.header)
        for doubt in doubts_of(image, dates):
            self.raised.setdefault(doubt, set()).add(_what(doubt, image, dates))
            if doubt == "file_not_good" and not image.is_gone:
                self.beyond[doubt] = _THERE
        if any(day < OLDEST_BELIEVED for day in dates.own):
            early = _what("date_before_1980", image, dates)
            self.raised.setdefault("date_before_1980", set()).add(early)
        for day in dates.own:
            self._oldest = earlier(self._oldest, day)
            self._newest = later(self._newest, day)
        if is_marked_as_test(image.header):
            self.beyond["phantom"] = _MARKED

    @property
    def patient(self) -> str | None:
        """The patient; None if no image names one, or they name several."""
        return next(iter(self.patients)) if len(self.patients) == 1 else None

    @property
    def spread(self) -> tuple[str, ...] | None:
        """The first and the last day, if they lie too far apart."""
        oldest, newest = self._oldest, self._newest
        if oldest is None or newest is None or newest - oldest <= LARGEST_SPREAD:
            return None
        return ("span", oldest.isoformat(), newest.isoformat())


class _Patient:
    """What all images of one patient say, merges followed."""

    def __init__(self) -> None:
        self.undated: _Facts = set()
        self.named: _Facts = set()
        self._births: set[dt.date] = set()

    def add(self, image: Image, owner: str) -> None:
        """Take in one image.

        Args:
            image: The image.
            owner: Whom it names, merges not followed: only there names must not differ.
        """
        dates = dates_of(image.header)
        if dates.is_unclear:
            self.undated.add(_what("no_usable_date", image, dates))
        born = parse_date(image.header.get("patient_birth_date", ""))
        if born is not None and born >= EARLIEST_BIRTH:
            self._births.add(born)
        name = normal_name(image.header.get("patient_name", ""))
        if name:
            self.named.add(("name", owner, name))

    @property
    def birth_dates(self) -> _Facts:
        """Every birth date that an image states."""
        return {("born", one.isoformat()) for one in self._births}

    @property
    def born(self) -> dt.date | None:
        """The latest of them."""
        return max(self._births, default=None)


def _what(doubt: ReviewReason, image: Image, dates: Dates) -> tuple[str, ...]:
    """Return what of an image raises a doubt."""
    header = image.header
    if doubt == "no_usable_date":
        return (image.mark, *(header.get(name, "") for name in _DATES))
    if doubt in ("dates_disagree", "date_before_1980"):
        return (image.mark, *(day.isoformat() for day in dates.own))
    if doubt == "phantom":
        return (header.get("patient_id", ""), header.get("patient_name", ""))
    return (image.mark, image.state)
