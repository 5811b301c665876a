"""The steps of issuing a certificate, each durable before the next and each to be found done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.actions.certificates import files as places
from orchestrator.actions.certificates.book import Book
from orchestrator.actions.ledger import mirror, note
from orchestrator.actions.ledger.agreement import recorded_numbers
from orchestrator.actions.ledger.record import Event
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates as rows
from orchestrator.catalog.certificate_tables import Certificate as Row
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.certificates.parts import Heading
    from orchestrator.certificates.record import Act

PRODUCT = "imaging-orchestrator"


def advance(site: Site, book: Book, row: Row, *, fresh: bool) -> Row:
    """Take a certificate from where it is to its end.

    Args:
        site: The site.
        book: The ledger.
        row: The certificate.
        fresh: Made by this very call, so that the ledger cannot know it yet.
    """
    if row.ledger_origin != book.origin:
        return _void(site, row, "the ledger was opened anew before it was issued")
    if row.state == rows.DRAFTED:
        _record(site, book, row, fresh=fresh)
    if row.state == rows.RECORDED:
        _make(site, book, row)
    if row.state == rows.SIGNED:
        _issue(site, book, row)
    return row


def draft(site: Site, book: Book, act: Act, subject: str) -> Row:
    """Give a number to an act that may be certified; nothing is claimed yet.

    Raises:
        RefusedError: It must not be certified as it is.
    """
    from orchestrator.certificates import encoding, rules
    from orchestrator.certificates.record import document

    note.demand_nobody(site, _free_text(act))
    now = site.clock.now()
    year = now.astimezone(site.config.timezone).year
    mirror.catch_up(site)
    with site.catalog.transaction() as session:
        # Rows and files may have been put back; what stands in a ledger is never given out again.
        taken = [*places.numbers(site), *recorded_numbers(session)]
        number = rows.next_number(session, year, taken)
        _demand_first(session, book, subject)
        record = document(heading(site, book, number), act)
        rules.demand(act, record)
        raw = encoding.encode(record)
        drafted = Row(
            number=number,
            kind=act.kind,
            subject=subject,
            active_subject=subject,
            state=rows.DRAFTED,
            record=raw.decode("utf-8"),
            record_sha256=encoding.digest(raw),
            drafted_at=now,
            ledger_origin=book.origin,
            ledger_size=book.size(),
        )
        rows.add(session, drafted)
    return drafted


def _free_text(act: Act) -> Iterator[str]:
    """Yield what people may have typed into an act and nothing has looked at yet.

    Reasons of a validation stand in the ledger, as a note; people, places and serial numbers name
    staff and things.
    """
    from orchestrator.certificates.record import KeyDestruction, RecordDisposal

    if isinstance(act, RecordDisposal):
        yield act.series.description
    if isinstance(act, KeyDestruction):
        yield from (act.cohort, act.how, *filter(None, (act.reference,)))
    for one in act.residual:
        yield from (one.what, one.then)


def _demand_first(session: Session, book: Book, subject: str) -> None:
    """Refuse a second certificate where only the ledger knows of the first.

    So it is after the catalog was made anew and the first one's record was lost.
    """
    known = {row.number for row in rows.listing(session)}
    for number in recorded_numbers(session):
        if number in known:
            continue
        event = Event("certificate.recorded", {"number": number, "subject": subject})
        if book.find(event, since=0) is not None:
            raise RefusedError(
                f"certificate {number} for the same {subject.partition('/')[0]} stands in the "
                "ledger, and its record is not here",
                hint=f"bring certificates/{number}.json back from the state of a copy, then: "
                "orchestrator catalog rebuild --copy COPY",
            )


def heading(site: Site, book: Book, number: str) -> Heading:
    """Return what stands on a certificate whatever it is about."""
    from orchestrator.certificates.parts import Heading, Issuer, Tool

    organization = site.config.organization
    return Heading(
        number=number,
        issued_at=site.clock.now(),
        timezone=site.config.timezone.key,
        issuer=Issuer(
            name=site.config.name, address=organization.address, contact=organization.contact
        ),
        issued_by=site.actor,
        log=book.origin,
        product=Tool(name=PRODUCT, version=__version__),
    )


def _record(site: Site, book: Book, row: Row, *, fresh: bool) -> None:
    """Bring a draft into the ledger; a draft of a dead process that is not there is voided."""
    places.write(places.record_path(site, row.number), row.record.encode("utf-8"))
    body = {"number": row.number, "kind": row.kind, "subject": row.subject}
    event = Event("certificate.recorded", body, evidence={"record": row.record_sha256})
    index = book.record(event) if fresh else book.find(event, since=row.ledger_size)
    if index is None:
        places.record_path(site, row.number).unlink(missing_ok=True)
        _void(site, row, "its process ended before it came into the ledger")
        return
    row.recorded_index = index
    row.state = rows.RECORDED
    save(site, row)


def _make(site: Site, book: Book, row: Row) -> None:
    """Typeset and sign; a PDF that a dead process left is made anew: nothing names it yet."""
    from orchestrator.actions.certificates.pdf import make
    from orchestrator.certificates.encoding import digest

    pdf = make(site, book, row)
    places.write(places.pdf_path(site, row.number), pdf)
    row.pdf_sha256 = digest(pdf)
    row.state = rows.SIGNED
    save(site, row)


def _issue(site: Site, book: Book, row: Row) -> None:
    from orchestrator.certificates.checking import signer_of

    assert row.recorded_index is not None  # noqa: S101 - signed comes after recorded
    assert row.pdf_sha256 is not None  # noqa: S101 - as above
    what = f"the PDF of certificate {row.number}"
    pdf = places.read_as(places.pdf_path(site, row.number), row.pdf_sha256, what)
    body = {
        "number": row.number,
        "kind": row.kind,
        "recorded": row.recorded_index,
        # The ledger itself says whose signature is the right one, for as long as it stands.
        "signer": f"sha256:{signer_of(pdf)}",
    }
    event = Event("certificate.issued", body, evidence=evidence(row))
    row.issued_index = once(book, event, since=row.recorded_index)
    row.issued_at = site.clock.now()
    row.state = rows.ISSUED
    save(site, row)


def once(book: Book, event: Event, *, since: int) -> int:
    """Record an event unless it stands in the ledger already: the catalog may be behind."""
    found = book.find(event, since=since)
    return book.record(event) if found is None else found


def evidence(row: Row) -> dict[str, str]:
    """Return what an entry about a signed certificate names by hash."""
    return {"record": row.record_sha256, "pdf": row.pdf_sha256 or ""}


def _void(site: Site, row: Row, reason: str) -> Row:
    rows.end(row, rows.VOIDED, at=site.clock.now(), reason=reason, index=None)
    save(site, row)
    return row


def save(site: Site, row: Row) -> None:
    """Write back a changed row."""
    with site.catalog.transaction() as session:
        rows.save(session, row)
