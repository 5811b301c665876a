"""The story of one study in a disposal, from the decision to the certificate, naming nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.certificates.files import evidence_path
from orchestrator.actions.disposal import rests_on
from orchestrator.actions.disposal.begun import STUDIES
from orchestrator.actions.disposal.ending import entries
from orchestrator.actions.disposal.listing import LIVE_NAME
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.catalog import disposals, media, places
from orchestrator.catalog.determination_tables import Determination
from orchestrator.catalog.disposal_tables import Disposal, DisposalCopy, DisposalStudy
from orchestrator.catalog.disposals import ABSENT, WITHHELD
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator.ledger.entry import Entry

_SAYS = {
    "disposal.proposed": "proposed in a batch with everything that was due",
    "disposal.approved": "approved by a second person",
    "disposal.refused": "the batch was refused: the study is kept",
    "disposal.execute": "the execution began",
    "disposal.begun": "what goes was listed, and is left out of every restore from now on",
    "disposal.execute.done": "what could be removed at once was removed",
    "disposal.execute.failed": "the execution did not end; it goes on with the next one",
    "disposal.execute.interrupted": "the execution was cut off; it goes on with the next one",
    "disposal.residual": "copies remain that could not be reached yet",
    "disposal.partial": "studies of the batch were found again in a store or its primary",
    "disposal.complete": "no copy is left",
}

_OF_KEPT = ("disposal.proposed", "disposal.approved", "disposal.refused")
"""What concerns a study of the batch that is kept."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """One thing that happened.

    Attributes:
        at: When.
        what: In words.
        who: Key of who acted; None where that is not known.
        entry: Place of its entry in the ledger; None if it stands in the catalog only.
    """

    at: datetime
    what: str
    who: str | None = None
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What became of one study in a disposal.

    Attributes:
        study: Its row.
        chapters: Oldest first.
    """

    study: DisposalStudy
    chapters: tuple[Chapter, ...]


def story(site: Site, name: str, study: str) -> Story:
    """Return what became of a study.

    Args:
        site: The site.
        name: The disposal.
        study: The study's pseudonym.

    Raises:
        NotFoundError: There is no such disposal, or it does not have this study.
        DamageError: The ledger cannot be read.
    """
    with site.catalog.reading() as session:
        row = disposals.get(session, name)
        found = [one for one in disposals.studies(session, name) if one.study_key == study]
        if not found:
            raise NotFoundError(
                f"disposal {row.id} has no such study", hint=f"orchestrator disposal show {row.id}"
            )
        copies = [
            one
            for one in disposals.copies(session, name)
            if one.store in {mine.store for mine in found}
        ]
        labels = {one.id: one.label for one in media.of_copy(session, None, retired=True)}
        settled = [one for one in rests_on.rows_of(session, row) if one.study_key == study]
    chapters = [
        *_settled(settled),
        *_decided(row, found),
        *_of_ledger(site, row, found),
        *_of_study(found),
        *_of_copies(copies, labels, found),
        *_certified(row, found),
    ]
    chapters.sort(key=lambda one: (one.at, one.entry if one.entry is not None else -1))
    return Story(found[0], tuple(chapters))


def _settled(rows: list[Determination]) -> Iterator[Chapter]:
    for row in rows:
        if row.made_at is not None:
            words = f"doubt {row.doubt} settled, {row.id}: found by {row.asked_by}, confirmed"
            yield Chapter(row.made_at, words, row.made_by)


def _decided(row: Disposal, found: list[DisposalStudy]) -> Iterator[Chapter]:
    for one in found:
        yield Chapter(
            row.proposed_at,
            f"due since {one.due} by {one.schedule_id} {one.schedule_version}, rule {one.rule} "
            f"({one.citation}), as {one.record_class.replace('_', ' ')} in store {one.store}",
        )


def _of_ledger(site: Site, row: Disposal, found: list[DisposalStudy]) -> Iterator[Chapter]:
    kept = [one for one in found if one.state == WITHHELD]
    is_told = is_proposed = False
    for index, entry in entries(site, row):
        left_out = [one for one in kept if _names(site, entry, one)]
        if left_out:
            is_told = True
            for one in left_out:
                yield Chapter(entry.at, _left_out(one), entry.actor, index)
        if entry.type == "disposal.proposed":
            if is_proposed:
                continue  # the same act, with the commitments of further studies
            is_proposed = True
        elif len(kept) == len(found) and entry.type not in _OF_KEPT:
            continue
        if "withheld" in entry.body and entry.type == "disposal.partial":
            continue  # other studies are kept after all
        says = _SAYS.get(entry.type, entry.type.replace(".", " "))
        yield Chapter(entry.at, says, entry.actor, index)
    if not is_told:  # nothing of the batch went, or what lies beside the ledger is lost
        at = row.executed_at or row.decided_at or row.proposed_at
        for one in kept:
            yield Chapter(at, _left_out(one), row.executed_by)


def _left_out(one: DisposalStudy) -> str:
    why = (one.withheld or "not said").replace("_", " ")
    return f"left out of the batch in store {one.store}, and kept: {why}"


def _names(site: Site, entry: Entry, one: DisposalStudy) -> bool:
    """Say whether an entry is about this study's being kept."""
    sha256 = entry.evidence.get(STUDIES, "").removeprefix("sha256:")
    if entry.type not in ("disposal.begun", "disposal.partial") or not sha256:
        return False
    try:
        document = json.loads(evidence_path(site, sha256).read_bytes())
    except (OSError, ValueError):
        return False
    withheld = document.get("withheld", {})
    if entry.type == "disposal.begun":
        return one.study_key in withheld.get(one.store, {})
    return document.get("store") == one.store and one.study_key in withheld


def _of_study(found: list[DisposalStudy]) -> Iterator[Chapter]:
    for one in found:
        if one.live_removed_at is not None:
            yield Chapter(one.live_removed_at, f"removed from store {one.store}")
        if one.primary_removed_at is not None:
            yield Chapter(
                one.primary_removed_at, f"removed from every snapshot of store {one.store}"
            )


def _of_copies(
    copies: list[DisposalCopy], labels: dict[str, str], found: list[DisposalStudy]
) -> Iterator[Chapter]:
    gone = {one.store for one in found if one.state != WITHHELD}
    for one in copies:
        if one.store in gone and one.state == ABSENT and one.proved_at is not None:
            name = one.copy_ or LIVE_NAME
            who = one.evidence.get("by")
            if places.is_place(one.medium):
                what = f"not proved: former place {one.medium} of copy {name}: {one.detail}"
            else:
                medium = f", medium {labels.get(one.medium, one.medium)}" if one.medium else ""
                what = f"proved absent on {name}{medium} of store {one.store}"
            yield Chapter(one.proved_at, what, str(who) if who is not None else SYSTEM)


def _certified(row: Disposal, found: list[DisposalStudy]) -> Iterator[Chapter]:
    if all(one.state == WITHHELD for one in found):
        return  # it is about the others
    if row.completed_at is not None and row.certificate is not None:
        yield Chapter(row.completed_at, f"certificate {row.certificate} issued")
