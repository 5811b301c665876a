"""Which complete snapshots a copy holds, and which of them a drill restores.

With a catalog, the copy is listed and compared with what the catalog recorded; without one, or
looking at a bucket as of an earlier time, the repository itself is asked.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.as_of import complete_snapshots
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.engines.interface import StoredFile
    from orchestrator.engines.restic.repository import Repository


@dataclass(frozen=True, slots=True)
class Held:
    """A complete data snapshot.

    Attributes:
        id: In full.
        run: The run that took it.
        at: When.
        files: Files in it, about.
        bytes: Their total length, about.
        manifest: Id of the snapshot that holds its manifest: the recorded one where there is a
            record, so that no other can take its place.
        is_there: Whether the copy holds it now; those that rotation has removed since count for
            the gaps between snapshots.
        is_kept: Whether nothing has taken its place since. A disposal stores snapshots anew with
            their time; the old one stays in a bucket until its lock ends.
    """

    id: str
    run: str
    at: datetime
    files: int
    bytes: int
    manifest: str
    is_there: bool = True
    is_kept: bool = True


def in_catalog(
    session: Session, repository_id: str, place: tuple[str, str], listed: Iterable[StoredFile]
) -> list[Held]:
    """Return a copy's complete snapshots by the catalog, as far as the copy lists them.

    Args:
        session: Any session.
        repository_id: The repository.
        place: Copy and medium.
        listed: What the copy holds.
    """
    from orchestrator.catalog import copies, generations, snapshots

    there = {stored.file.name for stored in listed if stored.file.kind == "snapshots"}
    once = {
        held.name
        for held in copies.inventory(session, (*place, repository_id), states=("good", "removed"))
        if held.kind == "snapshots"
    }

    manifests = generations.manifest_by_data(session, repository_id)
    rows = snapshots.of_store(
        session, None, kind="data", repository_id=repository_id, forgotten=True
    )
    return [
        Held(
            row.id,
            row.run_id,
            row.at,
            row.files,
            row.size_bytes,
            manifests[row.id],
            is_there=row.id in there and manifests[row.id] in there,
            is_kept=row.forgotten_at is None,
        )
        for row in rows
        if row.complete and row.id in manifests and row.id in there | once
    ]


def recorded_manifests(session: Session, repository_id: str) -> dict[str, str]:
    """Return the recorded manifest of each data snapshot, forgotten ones too."""
    from orchestrator.catalog import generations

    return generations.manifest_by_data(session, repository_id)


def incomplete_snapshots(session: Session, repository_id: str) -> frozenset[str]:
    """Return the snapshots that are recorded as not complete."""
    from orchestrator.catalog import snapshots

    rows = snapshots.of_store(session, None, repository_id=repository_id, forgotten=True)
    return frozenset(row.id for row in rows if not row.complete)


def in_repository(
    engine: Repository,
    store: str,
    *,
    recorded: Mapping[str, str],
    incomplete: frozenset[str],
) -> list[Held]:
    """Return the snapshots that have a manifest, by the repository itself.

    Args:
        engine: restic on the copy.
        store: The store they must be of.
        recorded: The recorded manifest of each data snapshot, where there is a record.
        incomplete: Snapshots that are known not to be complete.

    Raises:
        DamageError: A snapshot is there and cannot be read.
        OrchestratorError: The snapshots cannot be listed.
    """
    listed = engine.snapshots()
    counts = {one.id: (one.files or 0, one.bytes or 0) for one in listed}
    there = frozenset(counts)
    found = []
    for one in complete_snapshots(listed, store):
        manifest = recorded.get(one.id, one.manifest)
        if one.id not in incomplete and manifest in there:
            found.append(Held(one.id, one.run_id, one.at, *counts[one.id], manifest))
    return found


def choose(
    held: Sequence[Held],
    *,
    now: datetime,
    snapshot: str | None,
    random_within: timedelta | None,
    seed: int,
) -> Held | None:
    """Choose the snapshot to restore.

    Args:
        held: The copy's complete snapshots.
        now: None younger than this is chosen unasked: its clock was wrong, or it came later.
        snapshot: The beginning of the id of the one that is wanted; None for no such wish.
        random_within: Any that is younger than this; None for the newest.
        seed: Chooses among them.

    Returns:
        None if there is none to choose from.

    Raises:
        NotFoundError: The one that is wanted is not on the copy.
        UsageError: Several begin alike.
    """
    there = [one for one in held if one.is_there]
    if snapshot is not None:
        wanted = [one for one in there if one.id.startswith(snapshot)]
        if not wanted:
            raise NotFoundError(
                f"the copy holds no complete snapshot {snapshot[:8]}", hint="orchestrator snapshots"
            )
        if len(wanted) > 1:
            raise UsageError(f"several snapshots begin with {snapshot}", hint="give more digits")
        return wanted[0]
    past = sorted(
        (one for one in there if one.at <= now), key=lambda one: (one.at, one.is_kept, one.id)
    )
    if random_within is not None:
        past = [one for one in past if one.at >= now - random_within]
        return random.Random(seed).choice(past) if past else None  # noqa: S311 - to be repeatable
    return past[-1] if past else None
