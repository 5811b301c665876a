"""The rows of the catalog about certificates, our own and those of vendors."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, big, json, number


class Certificate(Row, table=True):
    """One number of a certificate and how far its issuing has come.

    `active_subject` is the subject while the certificate counts, and null once it was voided or
    revoked: the database itself keeps two from counting for one subject.
    """

    __tablename__ = "certificate"

    number: str = Field(primary_key=True)
    kind: str
    subject: str = Field(index=True)
    active_subject: str | None = Field(default=None, unique=True)
    state: str
    record: str
    record_sha256: str
    drafted_at: dt.datetime
    ledger_origin: str
    ledger_size: int = big()
    recorded_index: int | None = big(default=None)
    pdf_sha256: str | None = None
    issued_index: int | None = big(default=None)
    issued_at: dt.datetime | None = None
    ended_index: int | None = big(default=None)
    ended_at: dt.datetime | None = None
    ended_reason: str | None = None


class VendorCertificate(Row, table=True):
    """A certificate that a vendor gave us, and what matching its serial numbers found."""

    __tablename__ = "vendor_certificate"

    id: str = Field(primary_key=True)
    vendor: str = Field(index=True)
    sha256: str = Field(index=True)
    size_bytes: int = big()
    state: str
    proposed_at: dt.datetime
    proposed_by: str
    confirmed_at: dt.datetime | None = None
    confirmed_by: str | None = None
    refusals: list[str] = json(list)
    imported_at: dt.datetime | None = None
    ledger_size: int = big()
    ledger_index: int | None = big(default=None)


class VendorSerial(Row, table=True):
    """One serial number on a vendor's certificate."""

    __tablename__ = "vendor_serial"
    __table_args__ = (
        sa.UniqueConstraint("certificate_id", "serial_key"),
        sa.Index(None, "serial_key"),
    )

    id: int | None = number()
    certificate_id: str = Field(foreign_key="vendor_certificate.id")
    serial: str
    serial_key: str
    medium: str | None = None
