"""Makes the signed PDF of a certificate: record, ledger entry and proof, set and signed."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from orchestrator.actions.certificates.book import Book
from orchestrator.actions.certificates.signer import signing_identity
from orchestrator.actions.site import Site
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from orchestrator.catalog.certificate_tables import Certificate as Row

PACKAGE, TEMPLATE = "orchestrator.certificates", "certificate.typ"


def make(site: Site, book: Book, row: Row) -> bytes:
    """Return the signed PDF of a certificate that stands in the ledger.

    Raises:
        CredentialError, ConfigError: The signing key cannot be used.
        EngineError: It cannot be typeset, or the authority does not stamp the time.
        DamageError: The ledger is damaged.
    """
    from orchestrator.certificates import signing

    record: dict[str, Any] = json.loads(row.record)
    pdf = typeset(site, book, row)
    exchange = None
    url = site.config.certificates.timestamp_url
    if url is not None:
        from orchestrator.engines import timestamping

        def exchange(request: bytes) -> bytes:
            try:
                reply: bytes = timestamping.ask(url, request)
            except EngineError as error:
                hint = "check certificates.timestamp_url in the site file"
                raise type(error)(error.message, hint=hint) from None
            return reply

    how = signing.Signing(reason=f"Certificate {row.number} issued", place=None, exchange=exchange)
    at = dt.datetime.fromisoformat(record["issued_at"])
    return signing.sign(pdf, signing_identity(site), how, at=at)


def typeset(site: Site, book: Book, row: Row) -> bytes:
    """Return the unsigned PDF; the same certificate gives the same bytes while the log stands."""
    from orchestrator.certificates import pages
    from orchestrator.typeset import compile_pdf

    assert row.recorded_index is not None  # noqa: S101 - only then is there a proof
    record: dict[str, Any] = json.loads(row.record)
    proof = book.proof(row.recorded_index)
    # As many as the checkpoint in the proof has: the ledger may have grown since.
    size = int(proof.split(b"\n\n", 1)[1].split(b"\n")[1])
    standing = pages.Standing(row.record_sha256, row.recorded_index, size, book.vkey)
    return compile_pdf(
        PACKAGE,
        TEMPLATE,
        pages.page_data(record, standing, paper=site.config.certificates.paper),
        at=dt.datetime.fromisoformat(record["issued_at"]),
        files={
            "qr.svg": pages.qr_code(record, standing),
            "record.json": row.record.encode("utf-8"),
            "entry.json": book.entry(row.recorded_index),
            "entry.tlog-proof": proof,
        },
    )
