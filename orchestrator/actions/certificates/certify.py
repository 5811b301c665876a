"""Issuing certificates: record → ledger → PDF → signature → ledger.

Each step is durable before the next one begins, and each can be found done. A kill between two of
them leaves either a draft, which claims nothing and is voided, or a recorded certificate, which the
next run finishes (`settle`). Numbers are never given out twice.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.actions.certificates import files as places
from orchestrator.actions.certificates import steps
from orchestrator.actions.certificates.book import Book, SiteBook
from orchestrator.actions.ledger.record import Event
from orchestrator.actions.person import demand_person
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.catalog import certificates as rows
from orchestrator.catalog.certificate_tables import Certificate as Row
from orchestrator.errors import OrchestratorError, RefusedError, StoppedError, UsageError

if TYPE_CHECKING:
    from orchestrator.certificates.parts import Part, Person
    from orchestrator.certificates.record import (
        Act,
        KeyDestruction,
        MediaSanitization,
        RecordDisposal,
    )

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and how far it has come.

    Attributes:
        number: Such as ``2026-0001``.
        kind: ``record_disposal``, ``media_sanitization`` or ``key_destruction``.
        subject: What it is about, such as ``sanitization/ID``.
        state: ``issued``, ``revoked``, ``voided``, or a step on the way.
        record_sha256: Of the JSON record, in hex.
        pdf_sha256: Of the signed PDF, in hex; None before it is signed.
        recorded_index: Place of the record's entry in the ledger.
        issued_index: Place of the entry with the PDF's hash.
        reason: Why it was revoked or voided; None if it was not.
        pdf: The PDF's file; it need not exist yet.
        record: The record's file.
    """

    number: str
    kind: str
    subject: str
    state: str
    record_sha256: str
    pdf_sha256: str | None
    recorded_index: int | None
    issued_index: int | None
    reason: str | None
    pdf: Path
    record: Path


def issue_sanitization(site: Site, act: MediaSanitization) -> Certificate:
    """Certify that a medium was sanitized; see `issue`."""
    return issue(site, act)


def issue_disposal(site: Site, act: RecordDisposal) -> Certificate:
    """Certify that records were disposed of; see `issue`."""
    return issue(site, act)


def issue_key_destruction(site: Site, act: KeyDestruction) -> Certificate:
    """Certify that a key was destroyed; see `issue`."""
    return issue(site, act)


def issue(site: Site, act: Act, *, book: Book | None = None) -> Certificate:
    """Issue a certificate; asked again for the same act, return the one there is.

    Args:
        site: The site; its actor issues.
        act: What is certified.
        book: The ledger; None for the site's own.

    Raises:
        RefusedError: The act must not be certified as it is, or another certificate of the same
            subject counts.
        LockedError: Another process is issuing and does not end.
        OrchestratorError: Ledger, key, authority or disk fail; the next run goes on.
    """
    from orchestrator.certificates.encoding import plain
    from orchestrator.certificates.record import document, subject_of

    book = book or SiteBook(site)
    with places.issuing(site):
        _settle_all(site, book)
        subject = subject_of(act)
        with site.catalog.reading() as session:
            there = rows.of_subject(session, subject)
        if there is not None:
            made = document(steps.heading(site, book, there.number), act)["act"]
            if json.loads(there.record)["act"] != plain(made):
                raise RefusedError(
                    f"certificate {there.number} for the same {subject.partition('/')[0]} says "
                    "something else",
                    hint=f"orchestrator --as ACTOR certificate revoke {there.number} --reason TEXT",
                )
            if there.state != rows.ISSUED:  # it could not be finished just now: say why
                there = steps.advance(site, book, there, fresh=False)
            return facts(site, there)
        return facts(
            site, steps.advance(site, book, steps.draft(site, book, act, subject), fresh=True)
        )


def settle(site: Site, *, book: Book | None = None) -> list[Certificate]:
    """Finish or void what killed processes left behind.

    Returns:
        Certificates that were brought to an end now.

    Raises:
        As `issue`.
    """
    with places.issuing(site):
        done, errors = _settle_all(site, book or SiteBook(site))
    if errors:
        raise errors[0]
    return done


def _settle_all(site: Site, book: Book) -> tuple[list[Certificate], list[OrchestratorError]]:
    """Do as `settle`; one that cannot be finished now must not hold up the others."""
    with site.catalog.reading() as session:
        left = list(rows.unfinished(session))
    done: list[Certificate] = []
    errors: list[OrchestratorError] = []
    for row in left:
        try:
            done.append(facts(site, steps.advance(site, book, row, fresh=False)))
        except StoppedError:
            raise
        except OrchestratorError as error:
            _log.warning("certificate %s is not finished: %s", row.number, error.message)
            errors.append(error)
    return done, errors


def revoke(site: Site, number: str, *, reason: str, book: Book | None = None) -> Certificate:
    """Take a certificate out of force; it stays where it is and says so when verified.

    Args:
        site: The site.
        number: The certificate.
        reason: Why, in at most 200 characters; goes into the ledger.
        book: The ledger; None for the site's own.

    Raises:
        NotFoundError: There is no such certificate.
        RefusedError: It is not in force, no person of compliance acts, or the reason holds an
            identifier.
        LockedError: Another process is issuing and does not end.
    """
    demand_person(site, "compliance")
    if not reason.strip():
        raise UsageError("a revocation needs a reason")
    book = book or SiteBook(site)
    with places.issuing(site):
        _settle_all(site, book)
        with site.catalog.reading() as session:
            row = rows.get(session, number)
        if row.state != rows.ISSUED:
            raise RefusedError(f"certificate {number} is {row.state}, not in force")
        body = {"number": number, "kind": row.kind}
        index = steps.once(
            book,
            Event("certificate.revoked", body, evidence=steps.evidence(row), note=reason),
            since=(row.issued_index or row.ledger_size) if row.ledger_origin == book.origin else 0,
        )
        rows.end(row, rows.REVOKED, at=site.clock.now(), reason=reason, index=index)
        steps.save(site, row)
    return facts(site, row)


def listing(site: Site) -> list[Certificate]:
    """Return every certificate by number."""
    with site.catalog.reading() as session:
        return [facts(site, row) for row in rows.listing(session)]


def get(site: Site, number: str) -> tuple[Certificate, dict[str, Any]]:
    """Return a certificate and its record.

    Raises:
        NotFoundError: There is no such certificate.
    """
    with site.catalog.reading() as session:
        row = rows.get(session, number)
    return facts(site, row), json.loads(row.record)


def person(site: Site, actor: str, part: Part, on: date) -> Person:
    """Return one of the site's people as a certificate names them.

    Args:
        site: The site.
        actor: Key in the site file; ``system`` for unattended work.
        part: What the person did.
        on: On which day.

    Raises:
        UsageError: The site file does not know the actor.
    """
    from orchestrator.certificates.parts import Person

    if actor == SYSTEM:
        return Person(
            part=part, name=steps.PRODUCT, title="unattended program", date=on, actor=SYSTEM
        )
    known = site.config.actors.get(actor)
    if known is None:
        raise UsageError(f"the site file does not know {actor}", hint=f"add [actors.{actor}]")
    return Person(
        part=part,
        name=known.name,
        title=known.title,
        date=on,
        place=known.place,
        contact=known.contact,
        actor=actor,
    )


def facts(site: Site, row: Row) -> Certificate:
    """Return a row as a person wants to see it."""
    return Certificate(
        number=row.number,
        kind=row.kind,
        subject=row.subject,
        state=row.state,
        record_sha256=row.record_sha256,
        pdf_sha256=row.pdf_sha256,
        recorded_index=row.recorded_index,
        issued_index=row.issued_index,
        reason=row.ended_reason,
        pdf=places.pdf_path(site, row.number),
        record=places.record_path(site, row.number),
    )
