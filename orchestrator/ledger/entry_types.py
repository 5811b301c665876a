"""The closed set of what an entry may be.

Pure words. An act that must not happen unrecorded is a verb (``disposal.execute``): recorded as an
intent before it, and as an outcome with the same name and a suffix after it. Everything else is
recorded once, after it happened, in the past tense.
"""

from __future__ import annotations

ACTS = frozenset(
    {
        "cache.purge",
        "certificate.issue",
        "disposal.execute",
        "key.destroy",
        "key.rotate",
        "medium.retire",
        "sanitization.run",
    }
)
"""Acts that must not happen unrecorded: a verb, recorded as an intent before the act."""

OUTCOMES = ("done", "failed", "interrupted")
"""How an act ended: ``ACT.done`` and so on; interrupted if its process was gone before the end."""

TYPES = frozenset(
    {
        *ACTS,
        *(f"{act}.{outcome}" for act in ACTS for outcome in OUTCOMES),
        "approval.given",
        "approval.refused",
        "backup.day",
        "cache.purged",
        "certificate.imported",
        "certificate.issued",
        "certificate.recorded",
        "certificate.revoked",
        "check.done",
        "clock.confirmed",
        "clock.jump",
        "determination.asked",
        "determination.made",
        "determination.withdrawn",
        "disposal.approved",
        "disposal.begun",
        "disposal.complete",
        "disposal.partial",
        "disposal.planned",
        "disposal.proposed",
        "disposal.readmit_asked",
        "disposal.readmit_withdrawn",
        "disposal.readmitted",
        "disposal.refused",
        "disposal.residual",
        "drill.done",
        "drill.signed",
        "evidence.imported",
        "hold.placed",
        "hold.refused",
        "hold.release_asked",
        "hold.release_withdrawn",
        "hold.released",
        "key.created",
        "key.destroyed",
        "key.destruction_approved",
        "key.destruction_proposed",
        "key.destruction_refused",
        "key.destruction_validated",
        "key.escrowed",
        "key.rotated",
        "key.unescrowed",
        "key.unexpected",
        "key.wrapped",
        "ledger.anchored",
        "ledger.closed",
        "ledger.incident",
        "ledger.opened",
        "medium.overdue",
        "medium.received",
        "medium.registered",
        "medium.rejected",
        "medium.released",
        "medium.retired",
        "medium.sanitized",
        "missed",
        "patients.imported",
        "place.close_asked",
        "place.close_withdrawn",
        "place.closed",
        "place.left",
        "probe.done",
        "retention.adopted",
        "retention.reviewed",
        "sanitization.approved",
        "sanitization.proposed",
        "sanitization.recorded",
        "sanitization.refused",
        "sanitization.validated",
    }
)
"""What an entry may be: acts and their outcomes, and in the past tense what else happened."""
