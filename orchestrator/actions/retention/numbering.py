"""Which patient an image is of: by whose numbers, and merges followed.

An image that names no issuer of its patient id is numbered by its store's issuer, if the site
file gives one. The catalog's own column knows only what the header says.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from orchestrator.actions.retention.namesakes import number_of
from orchestrator.actions.site import Site
from orchestrator.catalog import patients as rows
from orchestrator.catalog.study_facts import Image, patient_samples

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.encryption import Pseudonyms


class Numbering:
    """Tells patients from their images.

    Args:
        site: The site.
        session: Any session.

    Attributes:
        merges: Into whom patients were merged in the end, by the list in force.
    """

    def __init__(self, site: Site, session: Session) -> None:
        self._keys = site.catalog.keys
        self._issuers = {
            store.name: store.issuer for store in site.config.stores.values() if store.issuer
        }
        self._known: dict[tuple[str, str], str] = {}
        self.merges = rows.merges(session)

    def unmerged(self, image: Image) -> str | None:
        """Return whom an image names; None for nobody."""
        header_key = image.patient
        if header_key is None or image.store not in self._issuers:
            return header_key
        found = self._known.get((image.store, header_key))
        if found is None:
            found = self._numbered(image, header_key)
            self._known[image.store, header_key] = found
        return found

    def patient(self, image: Image) -> str | None:
        """Return the patient an image is of, merges followed; None for nobody."""
        found = self.unmerged(image)
        return None if found is None else self.merges.get(found, found)

    def headers_of(self, session: Session, patients: Collection[str]) -> frozenset[str]:
        """Return every `Image.patient` that may stand for one of these patients in some store.

        Args:
            session: Any session.
            patients: As `patient` gives them.
        """
        wanted = rows.one_person(session, patients)
        found = set(wanted)
        if self._issuers:
            for image in patient_samples(session, self._keys, stores=self._issuers):
                if image.patient is not None and self.unmerged(image) in wanted:
                    found.add(image.patient)
        return frozenset(found)

    def has_issuer(self, image: Image) -> bool:
        """Say whether it is known by whose numbers an image names its patient."""
        named = image.header.get("issuer_of_patient_id", "").strip()
        return bool(named) or image.store in self._issuers

    def headers_near(self, session: Session, patients: Collection[str]) -> frozenset[str]:
        """Return every `Image.patient` of these patients and of those with a like id.

        Args:
            session: Any session.
            patients: As `patient` gives them.
        """
        samples = [
            (image.patient, self.unmerged(image), number_of(image))
            for image in patient_samples(session, self._keys)
        ]
        own = rows.one_person(session, patients)
        numbers = {number for _, owner, number in samples if owner in own}
        like = {owner for _, owner, number in samples if owner and number in numbers}
        wanted = rows.one_person(session, own | like)
        return wanted | {header for header, owner, _ in samples if header and owner in wanted}

    def _numbered(self, image: Image, header_key: str) -> str:
        header = image.header
        if header.get("issuer_of_patient_id", "").strip():
            return header_key
        names = self._keys.pseudonyms
        return names.patient(self._issuers[image.store], header.get("patient_id", "")) or header_key


def birth_key(names: Pseudonyms, born: str) -> str:
    """Return the keyed hash by which a birth date is recognised.

    Args:
        names: Pseudonyms of the catalog.
        born: ``YYYY-MM-DD``.
    """
    return names.subject("birth", born)
