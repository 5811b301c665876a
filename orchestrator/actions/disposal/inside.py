"""What restic says of a primary after a disposal: that nothing of the studies is in it.

No snapshot but those recorded, nothing in the index that no snapshot needs, no pack beside those of
the index, and none of the studies' contents but where a file that is kept has the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from orchestrator.actions import primary as primaries
from orchestrator.actions.manifests import entry_lines, lines_of
from orchestrator.actions.site import Site
from orchestrator.catalog import disposed, generations, snapshots
from orchestrator.errors import DamageError
from orchestrator.manifest import decode_entry

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository

REWRITTEN = "rewritten without the records, then pruned to the last blob"


def prove_repository(
    site: Site,
    repository: RepositoryRow,
    engine: Repository,
    *,
    hashes: Collection[str],
    studies: Collection[str],
) -> dict[str, Any]:
    """Prove that a primary holds nothing of studies, after it was rewritten and pruned.

    Args:
        site: The site.
        repository: The repository.
        engine: restic on the primary.
        hashes: SHA-256 of the studies' files that are below 512 KiB, where they are blob ids.
        studies: Pseudonyms.

    Returns:
        The evidence.

    Raises:
        DamageError: Something is left.
        OrchestratorError: restic failed.
    """
    left, evidence = _look_into(site, repository, engine, hashes=hashes, studies=studies)
    if left is not None:
        name = site.config.primary.name
        raise DamageError(
            f"copy {name}, store {repository.store}: {left} after the disposal",
            hint=f"orchestrator check {name}, then execute the disposal again",
        )
    return evidence


def _look_into(
    site: Site,
    repository: RepositoryRow,
    engine: Repository,
    *,
    hashes: Collection[str],
    studies: Collection[str],
) -> tuple[str | None, dict[str, Any]]:
    """Return what is left in a primary, in words or None, and what was found."""
    with site.catalog.reading() as session:
        rows = snapshots.of_store(session, None, kind=None, repository_id=repository.id)
    kept = {row.id for row in rows}
    listed = {one.id for one in engine.snapshots()}
    contents = engine.contents(hashes)
    packs = engine.indexed_packs()
    files = list(primaries.place_of(site, repository).list())
    on_disk = {one.file.name for one in files if one.file.kind == "data"}
    evidence: dict[str, Any] = {
        "technique": REWRITTEN,
        "snapshots": len(listed),
        "blobs": contents.blobs,
        "blobs_used": contents.used,
        "packs": len(on_disk),
        "contents_looked_for": len(hashes),
        "contents_of_kept_files": len(contents.found),
        "looked_at": site.clock.now().isoformat(timespec="seconds"),
    }
    left = None
    if listed != kept:
        left = f"{len(listed ^ kept)} snapshots are other than recorded"
    elif contents.blobs != contents.used:
        left = f"the index names {contents.blobs - contents.used} blobs that no snapshot needs"
    elif packs != on_disk:
        left = f"{len(packs ^ on_disk)} packs differ between index and disk"
    elif not _are_kept(site, repository, engine, contents.found, studies):
        left = "some contents of the studies are left"
    return left, evidence


def _are_kept(
    site: Site,
    repository: RepositoryRow,
    engine: Repository,
    found: frozenset[str],
    studies: Collection[str],
) -> bool:
    """Say whether each of these contents is also that of a file that is kept."""
    left = set(found)
    if not left:
        return True
    with site.catalog.reading() as session:
        left -= disposed.kept_hashes(session, repository.store, left, but=studies)
        manifests = generations.manifest_by_data(session, repository.id, forgotten=False)
    for manifest in manifests.values():
        if not left:
            break
        # None of these manifests names the studies any more: whoever has it is kept.
        for line in entry_lines(lines_of(engine.dump(manifest, "/manifest.jsonl"))):
            left.discard(decode_entry(line).sha256 or "")
    return not left
