"""Writing to the disposal ledger: the one way by which actions put entries into it.

`record` is for what has happened; `announced` is for acts that must not happen unrecorded: the
intent is durable before the act, the outcome after it, and an intent without an outcome is
settled by the next run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from orchestrator.actions.site import Site


@dataclass(frozen=True, slots=True)
class Event:
    """What is to be recorded.

    Attributes:
        type: One of `ledger.entry.TYPES`, such as ``drill.done``.
        body: Further fields: JSON values without floats; no identifier of a patient, no path.
        subjects: What it is about, by kind (``study``, ``patient``), each to be committed to with
            a salt; values are pseudonyms or identifiers and never appear in the entry.
        evidence: SHA-256 in hex by name of what lies beside the ledger.
        note: Free text of at most 200 characters, refused when it holds a known identifier.
    """

    type: str
    body: Mapping[str, Any] = field(default_factory=dict)
    subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry that stands in the ledger, durably and under a signed checkpoint.

    Attributes:
        index: Its place, from 0.
        id: Its UUIDv7.
        entry: The very bytes that stand in the ledger.
    """

    index: int
    id: str
    entry: bytes


def record(site: Site, events: Sequence[Event]) -> list[Recorded]:
    """Append entries, all under one checkpoint; durable on return.

    Raises:
        RefusedError: The ledger may not be signed (behind an outside checkpoint, or gone), or a
            note holds an identifier.
        LockedError: Another process is writing and does not end.
        DamageError: The ledger on the disk is not what was signed.
        EngineError: The disk refuses.
    """
    raise NotImplementedError


@contextmanager
def announced(site: Site, intent: Event) -> Iterator[dict[str, Any]]:
    """Record an intent, do the act in the block, record its outcome.

    Yields the outcome's body, to be filled in by the block; the outcome's type is the intent's with
    ``.done`` or, if the block raises, ``.failed``, which is recorded before the error goes on up.

    Raises:
        As `record`.
    """
    raise NotImplementedError
    yield {}
