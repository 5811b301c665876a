"""Which manifest belongs to which data snapshot, also after a disposal has replaced both.

A run has one data snapshot and one manifest. A disposal puts new ones in the place of both; a
medium that has not been here since still holds the old pair.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session

from orchestrator.catalog import disposals, snapshots


def manifest_by_data(
    session: Session, repository_id: str, *, forgotten: bool = True
) -> dict[str, str]:
    """Return the manifest of each data snapshot of a repository, by full ids.

    Args:
        session: Any session.
        repository_id: The repository.
        forgotten: Also those that were forgotten.
    """
    before = {
        row.new: row.old
        for row in disposals.replacements(session, repository_id=repository_id)
        if row.new is not None
    }
    manifests: dict[tuple[str, int], str] = {}
    kept: dict[str, str] = {}
    # Newest first: where a run has two of a generation, the later one holds.
    for row in snapshots.of_store(
        session, None, kind="manifest", repository_id=repository_id, forgotten=True
    ):
        if forgotten or row.forgotten_at is None:
            manifests.setdefault((row.run_id, _generation(row.id, before)), row.id)
        if row.forgotten_at is None:
            kept.setdefault(row.run_id, row.id)
    found = {}
    for row in snapshots.of_store(
        session, None, kind="data", repository_id=repository_id, forgotten=forgotten
    ):
        # Where a disposal found nothing to take out of the data, the manifest alone is new.
        manifest = manifests.get((row.run_id, _generation(row.id, before)), kept.get(row.run_id))
        if manifest is not None:
            found[row.id] = manifest
    return found


def _generation(snapshot: str, before: Mapping[str, str]) -> int:
    """Return how often a snapshot was stored anew."""
    count, seen = 0, {snapshot}
    while (snapshot := before.get(snapshot, "")) and snapshot not in seen:
        seen.add(snapshot)
        count += 1
    return count
