"""Committing what a backup has stored: snapshots, files, inventory, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions import observe
from orchestrator.actions import primary as primaries
from orchestrator.actions.holds.witnessed import Watch
from orchestrator.actions.manifests import ManifestWork
from orchestrator.actions.places import open_copy
from orchestrator.actions.replicas import CopyResult
from orchestrator.actions.run import Run
from orchestrator.catalog import copies, files, repositories, snapshots
from orchestrator.catalog.snapshots import SnapshotKind
from orchestrator.catalog.tables import Snapshot, StoreState
from orchestrator.dicom.dates import study_reference_date
from orchestrator.engines.interface import StoredFile
from orchestrator.errors import DamageError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.layout import FileKey
    from orchestrator.engines.restic.values import BackupSummary


@dataclass(slots=True)
class Stored:
    """The three snapshots of one backup.

    Attributes:
        images: Of the store itself.
        manifest: Of its manifest.
        state: Of the site's own state.
        complete: Whether the images are whole: every file could be read and is stored.
    """

    images: BackupSummary
    manifest: BackupSummary
    state: BackupSummary
    complete: bool = False


def primary(
    current: Run, repository: RepositoryRow, stored: Stored, work: ManifestWork
) -> list[StoredFile]:
    """Commit a backup; from here on its snapshot exists for the product.

    Returns:
        The primary's files, listed after its last writer ended.
    """
    site = current.site
    now = site.clock.now()
    key = (site.config.primary.name, "", repository.id)
    listed = list(primaries.place_of(site, repository).list())
    work.keep()
    with current.step("commit"), site.catalog.transaction() as session:
        watch = Watch(site, session, repository.store, current.id)
        files.apply_changes(
            session,
            repository.store,
            run_id=current.id,
            changed=work.delta(),
            gone=work.gone(),
            study_date=study_reference_date,
            keys=site.catalog.keys,
        )
        watch.settle()
        for row in _rows(current, repository, stored, work):
            snapshots.add(session, row)
        repositories.put_store_state(
            session,
            StoreState(
                store=repository.store,
                file_count=work.totals.files,
                size_bytes=work.totals.bytes,
                manifest_run=current.id,
                walked_at=now,
            ),
        )
        copies.record_listed(session, key, listed, now=now)
    work.drop_others()
    return listed


def _rows(
    current: Run, repository: RepositoryRow, stored: Stored, work: ManifestWork
) -> list[Snapshot]:
    def row(kind: SnapshotKind, summary: BackupSummary, *, complete: bool) -> Snapshot:
        return Snapshot(
            id=summary.snapshot_id,
            repository_id=repository.id,
            store=repository.store,
            run_id=current.id,
            kind=kind,
            at=current.started_at,
            files=work.totals.files if kind == "data" else 1,
            size_bytes=work.totals.bytes if kind == "data" else summary.bytes,
            complete=complete,
            note="; ".join(current.shortfalls) or None,
        )

    return [
        row("data", stored.images, complete=stored.complete),
        row("manifest", stored.manifest, complete=True),
        row("state", stored.state, complete=True),
    ]


def verify_primary(
    current: Run, repository: RepositoryRow, listed: list[StoredFile], sent: set[FileKey]
) -> CopyResult:
    """Hash what no replica has hashed on the way, and record the primary's state.

    What was sent in this run was hashed as it left: that proves the primary's bytes as well.

    Args:
        current: The run.
        repository: The repository.
        listed: The primary's files.
        sent: Those that a replica has taken and verified in this run.

    Raises:
        DamageError: A file's bytes do not match its name.
    """
    site = current.site
    name = site.config.primary.name
    key = (name, "", repository.id)
    place = primaries.place_of(site, repository)
    with site.catalog.reading() as session:
        proven = {
            (row.kind, row.name)
            for row in copies.inventory(session, key)
            if row.verified_at is not None
        }
    fresh = [stored for stored in listed if stored.file.key not in proven | sent]
    with current.step("verify", copy=name):
        good: list[FileKey] = list(sent)
        bad: list[FileKey] = []
        for checked in place.verify(fresh, config_sha256=repository.config_sha256):
            (good if checked.ok else bad).append(checked.stored.file.key)
        with site.catalog.transaction() as session:
            copies.mark_verified(session, key, good, now=site.clock.now())
            copies.mark_damaged(session, key, bad)
    with open_copy(site, name, repository) as opened:
        state = observe.record(site, opened, repository.id, replicated=True)
    if bad:
        raise DamageError(
            f"copy {name}, store {repository.store}: {len(bad)} files were written damaged, "
            f"first {bad[0][0]}/{bad[0][1]}",
            hint=f"suspect the disk; orchestrator check {name}",
        )
    return CopyResult(name, "local", state)


def refuse_damage(
    current: Run, repository: RepositoryRow, refused: set[FileKey], error: DamageError
) -> None:
    """Record the primary's files that were stopped at the door, and fail.

    Raises:
        DamageError: Always: the primary holds bytes that do not match their name.
    """
    site = current.site
    name = site.config.primary.name
    key = (name, "", repository.id)
    with site.catalog.transaction() as session:
        copies.mark_damaged(session, key, refused)
        copies.update_state(session, key, state="damaged", observed_at=site.clock.now())
    current.metrics["damaged"] = sorted("/".join(file) for file in refused)
    names = ", ".join(sorted("/".join(file) for file in refused)[:3])
    raise DamageError(
        f"copy {name}, store {repository.store}: {len(refused)} files do not match their name and "
        f"were not replicated: {names}",
        hint=f"orchestrator check {name}; heal it from a replica: docs/recovery.md",
    ) from error
