"""What stands on the pages of a certificate: headings, tables and sentences, made from the record.

Pure: the record and a few facts about its ledger entry go in, values for the template come out. The
template knows no kind of certificate; this module knows no typesetter.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.certificates import closing, sections
from orchestrator.certificates.phrases import Block, Zone

TITLES = {
    "record_disposal": "Certificate of Record Disposal",
    "media_sanitization": "Certificate of Media Sanitization",
    "key_destruction": "Certificate of Key Destruction",
}
REJECTED_TITLES = {
    "record_disposal": "Record of a Disposal Not Accepted",
    "media_sanitization": "Record of a Sanitization Not Accepted",
    "key_destruction": "Record of a Key Destruction Not Accepted",
}
ATTACHED = {
    "record.json": "The record itself: it has authority, these pages only show it.",
    "entry.json": "The ledger's entry that holds the record's SHA-256.",
    "entry.tlog-proof": "Proof that the entry stands in the ledger, with a signed checkpoint.",
}
"""Names of the attached files and what they are."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a record stands in the ledger.

    Attributes:
        record_sha256: Of the record's bytes, in hex.
        index: Place of its entry.
        size: Entries under the checkpoint in the proof.
        vkey: The ledger's public key.
    """

    record_sha256: str
    index: int
    size: int
    vkey: str


def page_data(record: dict[str, Any], standing: Standing, *, paper: str) -> dict[str, Any]:
    """Return the template's values.

    Args:
        record: As `record.document` makes it.
        standing: Where it stands in the ledger.
        paper: ``letter`` or ``a4``.
    """
    kind, act = record["kind"], record["act"]
    zone = Zone(ZoneInfo(record["timezone"]))
    rejected = (act.get("validation") or {}).get("result") == "rejected"
    return {
        "paper": {"letter": "us-letter", "a4": "a4"}[paper],
        "number": record["number"],
        "title": (REJECTED_TITLES if rejected else TITLES)[kind],
        "issuer": record["issuer"],
        "issued": zone.instant(record["issued_at"]),
        "banner": closing.banner(kind, act),
        "blocks": [
            *sections.of_kind(kind, act, zone),
            *closing.common(act, zone),
            _provenance(record, standing, zone),
            closing.people(act),
        ],
        "footer": {
            "record": standing.record_sha256,
            "ledger": f"{record['log']}, entry {standing.index}",
        },
    }


def qr_code(record: dict[str, Any], standing: Standing) -> bytes:
    """Return the SVG of a QR code that says which record these pages show."""
    import segno

    text = "\n".join(
        [
            f"certificate {record['number']}",
            f"record sha256 {standing.record_sha256}",
            f"ledger {record['log']} entry {standing.index}",
        ]
    )
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", border=0, xmldecl=False)
    return out.getvalue()


def _provenance(record: dict[str, Any], standing: Standing, zone: Zone) -> Block:
    product = record["product"]
    return {
        "title": "How to check this certificate",
        "facts": [
            ["Record", f"SHA-256 {standing.record_sha256}"],
            ["Ledger", f"{record['log']}, entry {standing.index}, proved under {standing.size}"],
            ["Ledger's public key", standing.vkey],
            ["Issued", f"{zone.instant(record['issued_at'])} by {record['issued_by']}"],
            ["Made with", f"{product['name']} {product['version']}"],
            *([f"Attached: {name}", what] for name, what in ATTACHED.items()),
        ],
        "text": "Any change to this file breaks its electronic signature. Check it with "
        "“orchestrator certificate verify FILE”, or with a reader of signed PDF files and the "
        "attached files. A printed copy is checked by the SHA-256 of the record.",
        "keep": True,
    }
