"""Certificates: the same number for the same act, and never a second one.

The record lies in the state folder and its hash stands in the ledger, so that a row is made whole
again. One of which the record is gone is told; its number is never given out again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrator.actions.certificates import files as places
from orchestrator.actions.rebuilding.told import Brought, Told
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates as rows
from orchestrator.catalog.certificate_tables import Certificate
from orchestrator.errors import NotFoundError, OrchestratorError

_SUBJECTS = {
    "record_disposal": ("disposal", "disposal"),
    "media_sanitization": ("sanitization", "sanitization"),
    "key_destruction": ("key", "destruction"),
}
"""By kind: the first word of the subject, and the field of the act that has its id."""


def bring_back(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back certificates, each as far as the ledger says it came.

    Raises:
        OrchestratorError: The catalog fails.
    """
    stories: dict[str, list[Told]] = {}
    for one in told:
        if one.type in ("certificate.recorded", "certificate.issued", "certificate.revoked"):
            stories.setdefault(str(one.body["number"]), []).append(one)
    for number, story in sorted(stories.items()):
        with site.catalog.reading() as session:
            try:
                row = rows.get(session, number)
            except NotFoundError:
                row = None
        before = None if row is None else row.state
        if row is None:
            row = _row(site, number, story, brought)
        if row is None:
            continue
        for one in story:
            _advance(row, one)
        if row.state != before:
            with site.catalog.transaction() as session:
                _demand_alone(session, row, brought)
                rows.save(session, row)
            brought.counts["certificates"] += 1


def subject_in(record: dict[str, Any]) -> str:
    """Return what a certificate's record is about, as `record.subject_of` of its act."""
    word, name = _SUBJECTS[record["kind"]]
    return f"{word}/{record['act'][name]}"


def _row(site: Site, number: str, story: list[Told], brought: Brought) -> Certificate | None:
    from orchestrator.certificates import encoding

    recorded = next((one for one in story if one.type == "certificate.recorded"), None)
    if recorded is None:
        return None  # of an earlier ledger
    sha256 = recorded.hash_of("record") or ""
    try:
        path = places.record_path(site, number)
        raw = places.read_as(path, sha256, f"the record of certificate {number}")
        record = encoding.decode(raw)
    except OrchestratorError:
        brought.lost.append(
            f"certificate {number} stands in the ledger, and its record is gone: bring "
            f"certificates/{number}.json back from the state of another copy into the state "
            "folder, then again: orchestrator catalog rebuild --copy COPY"
        )
        return None
    subject = subject_in(record)
    return Certificate(
        number=number,
        kind=record["kind"],
        subject=subject,
        active_subject=subject,
        state=rows.RECORDED,
        record=raw.decode("utf-8"),
        record_sha256=sha256,
        drafted_at=datetime.fromisoformat(record["issued_at"]),
        ledger_origin=site.ledger.origin,
        ledger_size=recorded.index,
        recorded_index=recorded.index,
    )


def _advance(row: Certificate, one: Told) -> None:
    """Take a row as far as an entry says, never back."""
    if one.type == "certificate.recorded" and row.state == rows.DRAFTED:
        row.state, row.recorded_index = rows.RECORDED, one.index
    elif one.type == "certificate.issued" and row.state in rows.UNFINISHED:
        row.state = rows.ISSUED
        row.pdf_sha256 = one.hash_of("pdf")
        row.issued_index, row.issued_at = one.index, one.at
    elif one.type == "certificate.revoked" and row.state == rows.ISSUED:
        rows.end(row, rows.REVOKED, at=one.at, reason=one.entry.note or "", index=one.index)


def _demand_alone(session: Any, row: Certificate, brought: Brought) -> None:
    """Let one certificate of a subject count: the database keeps two from it."""
    if row.active_subject is None:
        return
    other = rows.of_subject(session, row.active_subject)
    if other is not None and other.number != row.number:
        brought.lost.append(
            f"certificates {other.number} and {row.number} are about the same "
            f"{row.subject.partition('/')[0]}: revoke one of them"
        )
        row.active_subject = None
