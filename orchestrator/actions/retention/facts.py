"""The facts of studies: what their images, the patient's other images and the patient list say.

Everything is read from the catalog, in passes: whose images they are and what the patients' other
images say, then study by study. Memory grows with the number of patients, not of images. Whatever
is contradictory or missing becomes a doubt; nothing is decided here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from orchestrator.actions.retention.determined import Determined, in_force
from orchestrator.actions.retention.evidence import (
    PatientEvidence,
    StudyEvidence,
    is_directory,
)
from orchestrator.actions.retention.namesakes import Namesakes
from orchestrator.actions.retention.numbering import Numbering, birth_key
from orchestrator.actions.site import Site
from orchestrator.catalog import patients as rows
from orchestrator.catalog.bulk import batches
from orchestrator.catalog.study_facts import Image, images, images_of_patients, shared_studies
from orchestrator.catalog.suppressions import suppressed
from orchestrator.retention.listed import Listed
from orchestrator.retention.study import ReviewReason, StudyFacts

if TYPE_CHECKING:
    from sqlmodel import Session

_AT_ONCE = 1000


def study_facts(
    site: Site,
    session: Session,
    *,
    store: str | None = None,
    studies: Collection[str] | None = None,
    determined: Determined | None = None,
) -> Iterator[StudyFacts]:
    """Yield the facts of studies by store and pseudonym, as the catalog has them now.

    A study of which only gone files are left counts: snapshots may hold them. A study that is in
    two stores is given for each, with the dates of both.

    Args:
        site: The site.
        session: The transaction in which the decision is made; nothing may be written in it
            before the iterator has ended.
        store: Only studies of this store; None for all. It need not be configured any more.
        studies: Only these studies, in any order; None for all.
        determined: What people have settled; None for what is in force.

    Raises:
        DamageError: A field was changed in the database.
        RefusedError: Something is settled, and there is no ledger to compare it with.
    """
    keys = site.catalog.keys
    if determined is None:
        determined = Determined(site, session, in_force(site, session, studies))
    gathered = _Gathered(site, session, studies, determined)
    disposed: dict[str, frozenset[str]] = {}
    evidence = _by_study(images(session, keys, store=store, studies=studies), gathered.numbering)
    for batch in batches(evidence, _AT_ONCE):
        wanted = {one.patient for one in batch if one.patient is not None}
        listed = rows.listed(session, keys.cipher, wanted)
        for one in batch:
            if one.store not in disposed:
                disposed[one.store] = suppressed(session, one.store)
            is_back = one.study in disposed[one.store]
            yield gathered.facts(one, listed.get(one.patient or ""), is_back=is_back)


def _by_study(found: Iterator[Image], numbering: Numbering) -> Iterator[StudyEvidence]:
    for (store, study), group in groupby(found, key=lambda image: (image.store, image.study)):
        evidence = StudyEvidence(store, study or "")
        for image in group:
            if not is_directory(image):
                evidence.add(image, numbering.patient(image))
        if evidence.files:
            yield evidence


class _Gathered:
    """What is known beyond the single study: its patient's other images, other stores' files."""

    def __init__(
        self,
        site: Site,
        session: Session,
        studies: Collection[str] | None,
        determined: Determined,
    ) -> None:
        self._site = site
        self._determined = determined
        self._names = site.catalog.keys.pseudonyms
        self.numbering = Numbering(site, session)
        self._bits: dict[str, int] = {}
        self._shared: dict[str, list[StudyEvidence]] = {}
        self._patients: dict[str, PatientEvidence] = {}
        self._namesakes = Namesakes()
        keys = site.catalog.keys
        shared = shared_studies(session)
        wanted: frozenset[str] | None = None
        if studies is not None:
            found = images(session, keys, studies=studies)
            wanted = self.numbering.headers_near(session, self._look_at_studies(found, shared))
        everything = images_of_patients(session, keys, patients=wanted)
        self._look_at_patients(everything, shared if studies is None else frozenset())
        self._follow_merges()
        self._unclear = self._namesakes.unclear(self._patients, self.numbering.merges)

    def _look_at_studies(self, found: Iterator[Image], shared: frozenset[str]) -> set[str]:
        """Note what several stores say of these studies; return whose they are."""
        patients: set[str] = set()
        for evidence in _by_study(found, self.numbering):
            patients |= evidence.patients
            if evidence.study in shared:
                self._shared.setdefault(evidence.study, []).append(evidence)
        return patients

    def _look_at_patients(self, found: Iterator[Image], shared: frozenset[str]) -> None:
        current: StudyEvidence | None = None
        for image in found:
            if is_directory(image):
                continue
            owner = self.numbering.unmerged(image)
            if owner is not None:
                bit = self._bits.setdefault(image.store, 1 << len(self._bits))
                if owner not in self._patients:
                    self._patients[owner] = PatientEvidence()
                    has_issuer = self.numbering.has_issuer(image)
                    self._namesakes.add(owner, image, has_issuer=has_issuer)
                self._patients[owner].add(image, bit)
            if image.study is None or image.study not in shared:
                continue
            if current is None or (current.store, current.study) != (image.store, image.study):
                current = StudyEvidence(image.store, image.study)
                self._shared.setdefault(image.study, []).append(current)
            current.add(image, self.numbering.patient(image))

    def _follow_merges(self) -> None:
        for member, root in self.numbering.merges.items():
            evidence = self._patients.pop(member, None)
            if evidence is not None:
                self._patients.setdefault(root, PatientEvidence()).merge(evidence)

    def facts(self, study: StudyEvidence, listed: Listed | None, *, is_back: bool) -> StudyFacts:
        """Put the facts of one study together.

        Args:
            study: What its images in this store say.
            listed: What the list says of its patient; None if it says nothing.
            is_back: It is on the suppression list.
        """
        stores = {study.store}
        for other in self._shared.get(study.study, ()):
            if other.store != study.store:
                study.add_elsewhere(other)
                stores.add(other.store)
        patient = self._patients.get(study.patient) if study.patient is not None else None
        patient = patient or PatientEvidence()
        born, doubts = self._birth(patient, listed)
        doubts.update(study.doubts, _patient_doubts(study, patient, listed))
        if study.patient in self._unclear:
            doubts.add("patient_id_ambiguous")
        if is_back:
            doubts.add("disposed_study_is_back")
        usable = listed if listed is not None and listed.blocked is None else Listed()
        settled = self._determined.settled(study.study, doubts, self._beyond(study, listed))
        return StudyFacts(
            store=study.store,
            study=study.study,
            patient=study.patient,
            jurisdictions=self._jurisdictions(study.store, stores, patient),
            newest_image=study.newest,
            newest_other=study.newest_other,
            received=study.received(self._site.config.timezone),
            oldest_image=study.oldest,
            patient_newest_image=patient.newest,
            last_treatment=usable.last_treatment,
            born=self._determined.born(study.study, settled, born),
            died=usable.died,
            is_mammogram=study.is_mammogram,
            is_incompetent=usable.is_incompetent,
            doubts=frozenset(doubts),
            files=study.files,
            size_bytes=study.size_bytes,
            settled=settled,
        )

    def _beyond(self, study: StudyEvidence, listed: Listed | None) -> set[ReviewReason]:
        """Return the doubts that the list or another number raises: no look at images helps."""
        found: set[ReviewReason] = set()
        if study.patient in self._unclear:
            found.add("patient_id_ambiguous")
        if listed is not None and listed.blocked is not None:
            found.add(listed.blocked)
        return found

    def _birth(
        self, patient: PatientEvidence, listed: Listed | None
    ) -> tuple[dt.date | None, set[ReviewReason]]:
        """Return the day of birth, or the latest it can be.

        The list's own date was not kept: an image's date is that date if their keyed hashes are
        equal, and otherwise only the year is known.
        """
        if listed is None or listed.birth_key is None or listed.birth_year is None:
            return (None if patient.born_differ else patient.born), set()
        year_end = dt.date(listed.birth_year, 12, 31)
        if patient.born is None:
            return year_end, set()
        if (
            patient.born_differ
            or birth_key(self._names, patient.born.isoformat()) != listed.birth_key
        ):
            return year_end, {"birth_date_contradicts"}
        return patient.born, set()

    def _jurisdictions(
        self, store: str, holding: set[str], patient: PatientEvidence
    ) -> tuple[str, ...]:
        """Return every jurisdiction under which a store with images of the patient is.

        Images of one patient in two states are under the law of both. A store that is not
        configured any more is under no known law, and so is whoever has images in it.

        Args:
            store: The study's own store.
            holding: Stores with images of the study, whomever they name.
            patient: Its patient.
        """
        seen = {name for name, bit in self._bits.items() if patient.stores & bit}
        stores = sorted(seen | holding)
        known = self._site.config.stores
        if any(name not in known for name in stores):
            return ()
        # Of the study's own store first.
        stores.sort(key=lambda name: (name != store, name))
        return tuple(dict.fromkeys(one for name in stores for one in known[name].jurisdictions))


def _patient_doubts(
    study: StudyEvidence, patient: PatientEvidence, listed: Listed | None
) -> Iterator[ReviewReason]:
    if len(study.patients) > 1:
        yield "several_patients"
    if study.dates_disagree:
        yield "dates_disagree"
    if patient.is_undated:
        # It may be the newest one.
        yield "no_usable_date"
    if patient.born_differ or patient.names_differ:
        yield "patient_id_ambiguous"
    if not study.patients:
        yield "patient_id_missing"
    elif listed is None:
        yield "not_in_patient_list"
    elif listed.blocked is not None:
        yield listed.blocked
