"""Certificates: numbers, the steps of issuing, vendors' certificates.

A certificate goes drafted → recorded → signed → issued, then perhaps revoked; a draft that never
came into the ledger is voided. Its number is never given out again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from sqlmodel import Session, col, select

from orchestrator.catalog import lookup
from orchestrator.catalog.certificate_tables import Certificate, VendorCertificate, VendorSerial

DRAFTED, RECORDED, SIGNED = "drafted", "recorded", "signed"
ISSUED, REVOKED, VOIDED = "issued", "revoked", "voided"
UNFINISHED = (DRAFTED, RECORDED, SIGNED)
"""States from which a later run goes on."""

_LIST = "orchestrator certificate list"


def next_number(session: Session, year: int, taken: Iterable[str] = ()) -> str:
    """Return the next free number of a year, such as ``2026-0001``.

    Args:
        session: A writing session, so that nobody else counts meanwhile.
        year: Of the site's calendar.
        taken: Numbers known from elsewhere, such as from files.
    """
    start = f"{year:04d}-"
    return f"{start}{lookup.next_number(session, Certificate, start, taken):04d}"


def add(session: Session, certificate: Certificate) -> None:
    """Record a draft."""
    session.add(certificate)
    session.flush()


def get(session: Session, number: str) -> Certificate:
    """Return a certificate.

    Raises:
        NotFoundError: There is none of this number.
    """
    missing = f"there is no certificate {number}"
    return lookup.by_id(session, Certificate, number, missing=missing, hint=_LIST)


def of_subject(session: Session, subject: str) -> Certificate | None:
    """Return the certificate that counts for a subject, finished or not."""
    query = select(Certificate).where(col(Certificate.active_subject) == subject)
    return session.exec(query).first()


def listing(session: Session) -> Sequence[Certificate]:
    """Return every certificate by number."""
    return session.exec(select(Certificate).order_by(col(Certificate.number))).all()


def unfinished(session: Session) -> Sequence[Certificate]:
    """Return those whose issuing has not come to its end, by number."""
    query = select(Certificate).where(col(Certificate.state).in_(UNFINISHED))
    return session.exec(query.order_by(col(Certificate.number))).all()


def save(session: Session, certificate: Certificate) -> None:
    """Write back a changed row."""
    session.merge(certificate)
    session.flush()


def add_vendor(
    session: Session, certificate: VendorCertificate, serials: Iterable[VendorSerial]
) -> None:
    """Record a vendor's certificate with its serial numbers."""
    session.add(certificate)
    session.flush()
    for serial in serials:
        session.add(serial)
    session.flush()


def vendor_certificate(session: Session, certificate_id: str) -> VendorCertificate:
    """Return a vendor's certificate.

    Raises:
        NotFoundError: There is none of this id.
    """
    missing = f"there is no vendor's certificate {certificate_id}"
    return lookup.by_id(session, VendorCertificate, certificate_id, missing=missing, hint=_LIST)


def vendor_certificates(session: Session) -> Sequence[VendorCertificate]:
    """Return every vendor's certificate, oldest first."""
    query = select(VendorCertificate)
    return session.exec(
        query.order_by(col(VendorCertificate.proposed_at), col(VendorCertificate.id))
    ).all()


def same_file(session: Session, vendor: str, sha256: str) -> VendorCertificate | None:
    """Return a certificate of a vendor with these very bytes."""
    query = select(VendorCertificate).where(
        col(VendorCertificate.vendor) == vendor, col(VendorCertificate.sha256) == sha256
    )
    return session.exec(query).first()


def serials(session: Session, certificate_id: str | None = None) -> Sequence[VendorSerial]:
    """Return serial numbers in the order in which they stood on their certificates.

    Args:
        session: Any session.
        certificate_id: Of this certificate; None for all.
    """
    query = select(VendorSerial).order_by(col(VendorSerial.id))
    if certificate_id is not None:
        query = query.where(col(VendorSerial.certificate_id) == certificate_id)
    return session.exec(query).all()


def save_vendor(session: Session, certificate: VendorCertificate) -> None:
    """Write back a changed row."""
    session.merge(certificate)
    session.flush()


def end(
    certificate: Certificate, state: str, *, at: dt.datetime, reason: str, index: int | None
) -> None:
    """Take a certificate out of force, in the row only; `save` writes it."""
    certificate.state = state
    certificate.active_subject = None
    certificate.ended_at = at
    certificate.ended_reason = reason
    certificate.ended_index = index
