"""What there is: stores, studies by pseudonym, snapshots and who holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.manifests import entry_lines, manifest_path, seal_context
from orchestrator.actions.site import Site
from orchestrator.catalog import (
    copies,
    disposals,
    repositories,
    snapshots,
    studies,
    suppressions,
)
from orchestrator.catalog.disposals import GOING
from orchestrator.errors import NotFoundError
from orchestrator.keys.sealed import SealedReader
from orchestrator.manifest import ManifestEntry, decode_entry

if TYPE_CHECKING:
    from orchestrator.catalog.studies import StudyRow


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """One data snapshot and the copies that are known to hold it.

    Attributes:
        snapshot: Id in full.
        store: Store name.
        at: When it was taken.
        files: Files in it.
        size_bytes: Their total length.
        complete: Every file could be read and is stored.
        note: Why it is not complete.
        copies: Names of the copies that hold it.
    """

    snapshot: str
    store: str
    at: datetime
    files: int
    size_bytes: int
    complete: bool
    note: str | None
    copies: list[str]

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        body = asdict(self)
        body["bytes"] = body.pop("size_bytes")
        return body


def snapshot_list(site: Site, stores: list[str]) -> list[SnapshotFacts]:
    """Return the data snapshots of stores, newest first, with the copies that hold each."""
    found = []
    with site.catalog.reading() as session:
        for store in stores:
            holders: dict[str, set[str]] = {}
            for state in copies.states(session, store=store):
                key = (state.copy_, state.medium, state.repository_id)
                for file in copies.inventory(session, key):
                    if file.kind == "snapshots":
                        holders.setdefault(file.name, set()).add(state.copy_)
            for row in snapshots.of_store(session, store):
                held = holders.get(row.id, set())
                found.append(
                    SnapshotFacts(
                        row.id,
                        store,
                        row.at,
                        row.files,
                        row.size_bytes,
                        row.complete,
                        row.note,
                        [name for name in site.config.copies if name in held],
                    )
                )
    return found


def store_list(site: Site) -> list[dict[str, Any]]:
    """Return every store with what the last backup found."""
    found = []
    with site.catalog.reading() as session:
        for store in site.config.stores.values():
            state = repositories.store_state(session, store.name)
            found.append(
                {
                    "store": store.name,
                    "kind": store.kind,
                    "path": str(store.path),
                    "jurisdictions": list(store.jurisdictions),
                    "rpo_s": store.rpo.total_seconds(),
                    "rto_s": store.rto.total_seconds(),
                    "files": state.file_count if state else 0,
                    "bytes": state.size_bytes if state else 0,
                    "backed_up_at": state.walked_at if state else None,
                    "repositories": [r.id for r in repositories.of_store(session, store.name)],
                }
            )
    return found


def problems(site: Site, store: str) -> Iterator[ManifestEntry]:
    """Yield the entries of the last manifest that are not good. Their paths are PHI.

    Raises:
        NotFoundError: There was no backup yet, or its manifest is not on this machine.
    """
    with site.catalog.reading() as session:
        state = repositories.store_state(session, store)
    if state is None or state.manifest_run is None:
        raise NotFoundError(
            f"store {store}: there was no backup yet", hint=f"orchestrator backup {store}"
        )
    reader = SealedReader(
        manifest_path(site, store, state.manifest_run),
        site.keyring.stream_key(),
        seal_context("manifest", store, state.manifest_run),
    )
    for line in entry_lines(reader.lines()):
        entry = decode_entry(line)
        if entry.state != "good":
            yield entry


def study_list(site: Site, store: str | None, *, limit: int | None) -> list[StudyRow]:
    """Return studies by pseudonym."""
    with site.catalog.reading() as session:
        return studies.studies(session, store, limit=limit)


def study(site: Site, key: str) -> list[StudyRow]:
    """Return a study by its pseudonym, in every store that has it.

    Raises:
        NotFoundError: No store has it.
    """
    with site.catalog.reading() as session:
        found = studies.studies(session, None, study=key)
    if not found:
        raise no_such_study(site, key)
    return found


def no_such_study(site: Site, key: str) -> NotFoundError:
    """Return the error that tells a study nobody knows from one that was disposed of."""
    with site.catalog.reading() as session:
        is_disposed = any(one == key for _store, one, _since in suppressions.every(session))
        batches = [one.disposal for one in disposals.of_study(session, key) if one.state in GOING]
    if is_disposed:
        hint = "orchestrator disposal list"
        if batches:
            hint = f"orchestrator disposal show {batches[-1]} --study {key}"
        return NotFoundError("the study was disposed of", hint=hint)
    return NotFoundError("no store has such a study", hint="orchestrator study list")
