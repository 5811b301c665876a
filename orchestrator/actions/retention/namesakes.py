"""Ids that may be one patient's although they are numbered differently.

The same number stands in one image with an issuer, in another without, in a third with the issuer
spelt another way or zeros before it. Whoever may have images under another id as well is doubtful:
the newest image of such a patient is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from orchestrator.actions.retention.evidence import PatientEvidence
from orchestrator.catalog.study_facts import Image
from orchestrator.retention.patient_id import bare_number, normal


def number_of(image: Image) -> int:
    """Return what stands for an image's patient id, however it is written."""
    return hash(bare_number(image.header.get("patient_id", "")))


class _Id(NamedTuple):
    owner: str
    spelling: int
    has_issuer: bool


class Namesakes:
    """Collects the ids of a site; small, there is one for each patient."""

    def __init__(self) -> None:
        self._ids: dict[int, list[_Id]] = {}

    def add(self, owner: str, image: Image, *, has_issuer: bool) -> None:
        """Take in one image of somebody who was not seen before.

        Args:
            owner: Pseudonym of the patient, merges not followed.
            image: The image.
            has_issuer: It is known whose number it is.
        """
        spelling = hash(normal(image.header.get("patient_id", "")))
        one = _Id(owner, spelling, has_issuer)
        self._ids.setdefault(number_of(image), []).append(one)

    def unclear(
        self, patients: Mapping[str, PatientEvidence], merges: Mapping[str, str]
    ) -> frozenset[str]:
        """Return the patients who may be somebody else among them as well.

        Args:
            patients: What is known of each, merges followed.
            merges: Into whom patients were merged in the end.
        """
        return frozenset(root for pair in self._pairs(patients, merges) for root in pair)

    def _pairs(
        self, patients: Mapping[str, PatientEvidence], merges: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        for ids in self._ids.values():
            for one, other in combinations(ids, 2):
                pair = merges.get(one.owner, one.owner), merges.get(other.owner, other.owner)
                if pair[0] == pair[1]:
                    continue
                known, besides = patients[pair[0]], patients[pair[1]]
                # Two issuers that are known number different people, unless they plainly do not.
                is_open = one.spelling == other.spelling and not (
                    one.has_issuer and other.has_issuer
                )
                if known.is_same_as(besides) or (is_open and not known.is_apart_from(besides)):
                    yield pair
