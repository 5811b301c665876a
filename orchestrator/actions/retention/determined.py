"""Which doubts are settled now: determinations that the ledger knows, about facts as they are.

A determination counts only if two people made it, nobody has withdrawn it, the ledger says the same
of it, and what raised the doubt is still exactly what they looked at. Otherwise the doubt stands.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from orchestrator.actions.ledger import mirror
from orchestrator.actions.retention.grounds import Grounds, grounds
from orchestrator.actions.site import Site
from orchestrator.catalog import determinations as rows
from orchestrator.retention.determination import BIRTH_DATES
from orchestrator.retention.study import ReviewReason, Settlement

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.determination_tables import Determination

ASKED = "determination.asked"
MADE = "determination.made"
WITHDRAWN = "determination.withdrawn"
"""Types of entries; the ledger knows each determination once under each."""


def in_force(
    site: Site, session: Session, studies: Collection[str] | None = None
) -> list[Determination]:
    """Return what two people have made, nobody has withdrawn, and the ledger knows as it is.

    A catalog that is older than the ledger, or was edited, settles nothing by what it says.

    Args:
        site: The site.
        session: Any session.
        studies: Only about these; None for all.

    Raises:
        RefusedError: There is no ledger, or it was lost.
        DamageError: The ledger cannot be read.
    """
    found = rows.made(session, studies)
    if not found:
        return []
    made = set(mirror.recorded(site, session, MADE))
    withdrawn = set(mirror.recorded(site, session, WITHDRAWN))
    return [
        row
        for row in found
        if f"{MADE}|{row.id}|{row.facts}" in made and f"{WITHDRAWN}|{row.id}" not in withdrawn
    ]


class Determined:
    """What is settled of some studies, as of one transaction.

    Args:
        site: The site.
        session: The transaction.
        found: Determinations in force.
    """

    def __init__(self, site: Site, session: Session, found: Sequence[Determination]) -> None:
        self._rows: dict[str, list[Determination]] = {}
        for row in found:
            self._rows.setdefault(row.study_key, []).append(row)
        self._grounds: dict[str, Grounds] = {}
        if found:
            self._grounds = grounds(site, session, self._rows.keys())

    def counts(self, row: Determination) -> bool:
        """Say whether what a determination is about is still as it was."""
        found = self._grounds.get(row.study_key)
        return found is not None and found.digests.get(cast("ReviewReason", row.doubt)) == row.facts

    def settled(
        self, study: str, doubts: Iterable[ReviewReason], beyond: Collection[ReviewReason]
    ) -> tuple[Settlement, ...]:
        """Return what is settled of a study.

        Args:
            study: Its pseudonym.
            doubts: What the facts raise, apart from what follows from its dates.
            beyond: Doubts that are raised by something else than its images, too.
        """
        found: dict[str, Settlement] = {}
        raised = {*doubts, "date_before_1980"} - set(beyond)
        for row in self._rows.get(study, ()):
            if row.doubt in raised and row.doubt not in found and self.counts(row):
                found[row.doubt] = settlement(row)
        return tuple(found.values())

    def born(
        self, study: str, settled: Iterable[Settlement], known: dt.date | None
    ) -> dt.date | None:
        """Return the birth date that counts: the latest one, once it is settled whose it is.

        Args:
            study: Pseudonym of the study.
            settled: What is settled of it.
            known: The birth date, or the latest that it can be, by list and images.
        """
        stated = self._grounds[study].born if study in self._grounds else None
        if stated is None or BIRTH_DATES.isdisjoint(one.doubt for one in settled):
            return known
        return stated if known is None else max(known, stated)


def settlement(row: Determination) -> Settlement:
    """Return what a made determination says."""
    return Settlement(
        doubt=cast("ReviewReason", row.doubt),
        determination=row.id,
        asked_by=row.asked_by,
        made_by=cast("str", row.made_by),
        made_at=cast("dt.datetime", row.made_at),
    )
