"""The end of a disposal: its certificate, the last entry, and only then the word complete."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.actions.certificates.book import SiteBook
from orchestrator.actions.certificates.steps import once
from orchestrator.actions.disposal.certificate import act_of
from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates, disposals
from orchestrator.catalog import ledger as ledger_rows
from orchestrator.catalog.disposal_tables import LIVE, Disposal, DisposalCopy
from orchestrator.catalog.disposals import (
    COMPLETE,
    DISPOSED,
    GOING,
    LEFT,
    OPEN,
    REFUSED,
    CopyKey,
)
from orchestrator.errors import RefusedError
from orchestrator.ledger.entry_types import ACTS

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.ledger.entry import Entry

NOTHING_LEFT_TO_DO = "every study was withheld when the batch was executed"


def is_certified(site: Site, name: str) -> bool:
    """Say whether a certificate of a disposal stands in the ledger, issued or about to be.

    Its record is made from the proofs as they are; looking again would only make it say something
    else.
    """
    with site.catalog.reading() as session:
        return stands_certified(session, name)


def stands_certified(session: Session, name: str) -> bool:
    """Say the same as `is_certified` in a transaction that is under way."""
    there = certificates.of_subject(session, f"disposal/{name}")
    return there is not None and there.state != certificates.DRAFTED


def complete(site: Site, name: str) -> None:
    """Issue the certificate and end the disposal; nothing is complete without one.

    Raises:
        RefusedError: The certificate must not be issued as it is.
        OrchestratorError: It cannot be issued, or the ledger or catalog fails.
    """
    from orchestrator.actions.certificates import certify

    if not is_certified(site, name):
        _gather_entries(site, name)
    issued = certify.issue_disposal(site, act_of(site, name))
    if issued.state != certificates.ISSUED:
        raise RefusedError(
            f"certificate {issued.number} is {issued.state}",
            hint="orchestrator certificate settle",
        )
    with site.catalog.reading() as session:
        row = disposals.get(session, name)
        going = disposals.studies(session, name, states=GOING)
        copies = len(disposals.copies(session, name))
    body = {
        "disposal": name,
        "certificate": issued.number,
        "studies": len(going),
        "places": copies,
    }
    event = Event("disposal.complete", body, evidence={"record": issued.record_sha256})
    index = once(SiteBook(site), event, since=issued.recorded_index or 0)
    with site.catalog.transaction() as session:
        keys = [(one.store, one.study_key) for one in going]
        disposals.set_studies(session, name, keys, state=DISPOSED)
        disposals.move(
            session,
            name,
            before=OPEN,
            after=COMPLETE,
            completed_at=site.clock.now(),
            certificate=issued.number,
        )
        disposals.note_entry(session, row.id, index)


def call_off(site: Site, row: Disposal) -> None:
    """End a batch of which no study may go any more."""
    with site.catalog.reading() as session:
        withheld = sum(disposals.counts(session, row.id).values())
    body = {"disposal": row.id, "was": row.state, "withheld": withheld, "why": NOTHING_LEFT_TO_DO}
    (made,) = record(site, [Event("disposal.refused", body)])
    with site.catalog.transaction() as session:
        disposals.move(
            session, row.id, before=OPEN, after=REFUSED, decision_reason=NOTHING_LEFT_TO_DO
        )
        disposals.note_entry(session, row.id, made.index)


def tell_returned(site: Site, row: DisposalCopy, studies: int) -> None:
    """Keep, and record once, that a store has studies again that were disposed of."""
    detail = f"{studies} disposed studies are in the store again"
    key = CopyKey(row.disposal, row.store, LIVE)
    with site.catalog.reading() as session:
        known = disposals.copy_row(session, key)
    if known is None or known.detail == detail:
        return
    body = {
        "disposal": row.disposal,
        "what": "in_store_again",
        "store": row.store,
        "studies": studies,
    }
    (made,) = record(site, [Event("disposal.partial", body)])
    with site.catalog.transaction() as session:
        disposals.update_copy(session, key, state=LEFT, proved_at=None, detail=detail)
        disposals.note_entry(session, row.disposal, made.index)


def entries(site: Site, row: Disposal) -> Iterator[tuple[int, Entry]]:
    """Yield the ledger's entries about a disposal, oldest first.

    Raises:
        DamageError: The ledger cannot be read.
    """
    reader = site.ledger.reader()
    mark = f'"{row.id}"'.encode()
    intents: set[str] = set()
    with site.catalog.reading() as session:
        ledger = ledger_rows.current(session)
    # Numbers of a ledger that was closed since say nothing about the one that is written.
    is_same = ledger is not None and ledger.opened_at <= row.proposed_at
    first = min(min(row.entries, default=0) if is_same else 0, reader.checkpoint.size)
    for stored in reader.entries(first):
        if mark not in stored.data and not any(one.encode() in stored.data for one in intents):
            continue
        entry = mirror.parsed(stored.index, stored.data)
        if entry.body.get("disposal") == row.id or entry.intent in intents:
            if entry.type in ACTS:
                intents.add(entry.id)
            yield stored.index, entry


def _gather_entries(site: Site, name: str) -> None:
    with site.catalog.reading() as session:
        row = disposals.get(session, name)
    # Outcomes that a dead process left name the disposal by their intent only.
    found = {index for index, entry in entries(site, row) if entry.body.get("disposal") == row.id}
    with site.catalog.transaction() as session:
        disposals.change(session, name, entries=sorted({*row.entries, *found}))
