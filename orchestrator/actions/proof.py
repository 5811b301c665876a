"""Proving what a replica holds and nobody has recorded: what a run that was cut off had sent.

A file can arrive and the answer, or the run that waited for it, be lost. It is there, so it is not
sent again; but neither its bytes nor its lock are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.actions.hashing import hashed
from orchestrator.actions.places import OpenCopy
from orchestrator.actions.site import Site
from orchestrator.catalog import copies
from orchestrator.config.site import ImmutableCopy
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.bucket.place import BucketPlace
    from orchestrator.engines.interface import StoredFile
    from orchestrator.engines.layout import FileKey

MOST_BYTES = 1 << 30
"""How much is read for this in one run; what is beyond waits for a check."""


def prove_unrecorded(
    site: Site,
    opened: OpenCopy,
    repository: RepositoryRow,
    present: Mapping[FileKey, StoredFile],
) -> None:
    """Read files that were never verified, and locks that were never recorded; record both.

    Args:
        site: The site.
        opened: The copy.
        repository: The repository.
        present: What the copy lists, by kind and name; already in its inventory.
    """
    key = (opened.name, opened.medium, repository.id)
    is_bucket = isinstance(opened.copy, ImmutableCopy)
    with site.catalog.reading() as session:
        rows = list(copies.inventory(session, key))
    unread = _within(
        [
            present[name]
            for row in rows
            if (name := (row.kind, row.name)) in present and row.verified_at is None
        ]
    )
    unlocked = [
        present[name]
        for row in rows
        if (name := (row.kind, row.name)) in present and is_bucket and row.retain_until is None
    ]
    if not unread and not unlocked:
        return
    good: list[FileKey] = []
    bad: list[FileKey] = []
    locks: list[tuple[str, str, datetime]] = []
    try:
        for stored, problem in hashed(opened.place, unread, config_sha256=repository.config_sha256):
            (bad if problem else good).append(stored.file.key)
        for stored in unlocked:
            place: BucketPlace = opened.place  # type: ignore[assignment]
            until = place.retention(stored)
            if until is not None:
                locks.append((*stored.file.key, until))
    except OrchestratorError as error:
        # It stays unproven, and is shown so: a check or the next run will tell.
        site.progress.step(f"copy {opened.name}: {error.message}")
    with site.catalog.transaction() as session:
        copies.mark_verified(session, key, good, now=site.clock.now())
        copies.mark_damaged(session, key, bad)
        copies.extend_protection(session, key, locks)


def _within(files: list[StoredFile]) -> list[StoredFile]:
    chosen, left = [], MOST_BYTES
    for stored in files:
        left -= stored.file.size_bytes
        if left < 0:
            break
        chosen.append(stored)
    return chosen
