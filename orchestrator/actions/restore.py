"""A real restore from any copy, verified file by file against the manifest of backup time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import observe
from orchestrator.actions.engine_view import engine_on
from orchestrator.actions.lock import reading
from orchestrator.actions.manifests import entry_lines, lines_of
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.restored import compare_with_manifest
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, snapshots
from orchestrator.errors import (
    DamageError,
    NotFoundError,
    OrchestratorError,
    RefusedError,
)
from orchestrator.manifest import ManifestEntry, decode_entry

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.catalog.tables import Snapshot
    from orchestrator.engines.restic.repository import Repository


@dataclass(slots=True)
class Restored:
    """What a restore brought back.

    Attributes:
        run: Run id.
        store: Store name.
        snapshot: Id in full of the data snapshot.
        copy: The copy it came from.
        files: Files restored.
        bytes: Their total length.
        suppressed: Files left out because their study was disposed of.
        verified: Every file has the size and SHA-256 of the manifest, and none is missing.
        not_good: Files the backup itself had marked as changed or unreadable.
    """

    run: str
    store: str
    snapshot: str
    copy: str
    files: int = 0
    bytes: int = 0
    suppressed: int = 0
    verified: bool = False
    not_good: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be restored.

    Attributes:
        store: Store name.
        to: Folder; it must not exist, or be empty.
        snapshot: Id of a data snapshot or the beginning of one; None for the newest complete.
        copy: Copy name; None for the first that can serve it.
        study: Pseudonym of a study; None for everything.
    """

    store: str
    to: Path
    snapshot: str | None = None
    copy: str | None = None
    study: str | None = None


def restore(site: Site, wish: Wish) -> Restored:
    """Restore a store or one study into an empty folder and verify every file.

    Args:
        site: The site.
        wish: What, from where, to where.

    Raises:
        RefusedError: The folder is not empty, or lies within a store or copy.
        NotFoundError: No such snapshot, study or copy.
        DamageError: What came back is not what was backed up.
        OrchestratorError: The copy cannot be reached or read.
    """
    with (
        run(site, "restore", store=wish.store, exclusive=False) as current,
        reading(site.lock_dir, wish.store),
    ):
        target = _prepare_target(site, wish.to)
        repository = site.repository(wish.store)
        row = _choose_snapshot(site, repository, wish)
        for name in _candidates(site, repository, row, wish.copy):
            versions = observe.versions(site, name, repository.id)
            with open_copy(site, name, repository, versions=versions) as opened:
                result = _RestoreWork(current, repository, opened, row, wish).perform(target)
                _record(current, result, whole=wish.study is None)
                return result
        raise NotFoundError(
            f"store {wish.store}: no copy that is known to hold snapshot {row.id[:8]} is there",
            hint="orchestrator snapshots; connect a medium, or name a copy with --copy",
        )


class _RestoreWork:
    def __init__(
        self,
        current: Run,
        repository: RepositoryRow,
        opened: OpenCopy,
        row: Snapshot,
        wish: Wish,
    ) -> None:
        self._run = current
        self._site = current.site
        self._repository = repository
        self._opened = opened
        self._row = row
        self._wish = wish
        self._result = Restored(current.id, wish.store, row.id, opened.name)

    def perform(self, target: Path) -> Restored:
        with engine_on(self._site, self._opened, self._repository.name) as view:
            engine = view.engine
            with self._run.step("manifest", copy=self._opened.name):
                manifest = self._manifest_id(engine)
                include = self._study_paths(engine, manifest) if self._wish.study else None
            with self._run.step("restore", copy=self._opened.name):
                engine.restore(
                    self._row.id,
                    target,
                    include=include,
                    on_progress=lambda p: self._site.progress.advance(
                        "files restored", p.files_done, p.files_total
                    ),
                )
            with self._run.step("verify", copy=self._opened.name):
                self._verify(self._entries(engine, manifest), target)
        return self._result

    def _verify(self, entries: Iterator[ManifestEntry], target: Path) -> None:
        result = self._result
        found = compare_with_manifest(
            entries, target, progress=self._site.progress, check_stop=self._site.check_stop
        )
        result.files, result.bytes, result.not_good = found.files, found.bytes, found.not_good
        wrong = found.wrong
        if self._wish.study is None:
            wrong += found.extra
        if wrong:
            raise DamageError(
                f"store {self._wish.store}: {wrong} of {result.files + wrong} files restored from "
                f"copy {self._opened.name} are not what was backed up",
                hint=f"do not use what is in the folder; orchestrator check {self._opened.name}",
            )
        result.verified = result.files > 0

    def _manifest_id(self, engine: Repository) -> str:
        with self._site.catalog.reading() as session:
            rows = snapshots.of_store(session, self._wish.store, kind="manifest")
        known = [row.id for row in rows if row.run_id == self._row.run_id]
        if known:
            return known[0]
        found = engine.snapshots(tags=["manifest", f"run={self._row.run_id}"])
        if not found:
            raise NotFoundError(
                f"copy {self._opened.name}: snapshot {self._row.id[:8]} has no manifest: it cannot "
                "be verified",
                hint="choose another one: orchestrator snapshots",
            )
        return found[-1].id

    def _entries(self, engine: Repository, manifest: str) -> Iterator[ManifestEntry]:
        chunks = engine.dump(manifest, "/manifest.jsonl")
        for line in entry_lines(lines_of(chunks)):
            entry = decode_entry(line)
            if self._is_wanted(entry):
                yield entry

    def _is_wanted(self, entry: ManifestEntry) -> bool:
        if self._wish.study is None:
            return True
        uid = (entry.dicom or {}).get("study_instance_uid")
        if uid is None:
            return False
        return self._site.catalog.keys.pseudonyms.study(uid) == self._wish.study

    def _study_paths(self, engine: Repository, manifest: str) -> list[bytes]:
        paths = [
            entry.path for entry in self._entries(engine, manifest) if entry.state != "vanished"
        ]
        if not paths:
            raise NotFoundError(
                f"store {self._wish.store}: snapshot {self._row.id[:8]} holds no such study",
                hint="orchestrator study list",
            )
        return paths


def _prepare_target(site: Site, to: Path) -> Path:
    target = Path(os.path.abspath(to))
    real = target.resolve()
    places = [store.path for store in site.config.stores.values()]
    places += [copy.path for copy in site.local_copies()]
    places.append(site.state_dir)
    for place in places:
        if real.is_relative_to(place.resolve()) or place.resolve().is_relative_to(real):
            raise RefusedError(
                "the folder to restore to lies in a store, a copy or the state folder, or above it",
                hint="choose an empty folder elsewhere",
            )
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise RefusedError(
                "the folder to restore to is not empty: a restore never overwrites",
                hint="choose a new or an empty folder",
            )
    except OSError as error:
        raise OrchestratorError(
            f"the folder to restore to cannot be used: {error.strerror}",
            hint="choose another folder",
        ) from None
    return target


def _choose_snapshot(site: Site, repository: RepositoryRow, wish: Wish) -> Snapshot:
    with site.catalog.reading() as session:
        if wish.snapshot is not None:
            row = snapshots.get(session, wish.snapshot)
            if row.store != wish.store or row.kind != "data":
                raise NotFoundError(
                    f"store {wish.store}: {wish.snapshot} is not one of its data snapshots",
                    hint=f"orchestrator snapshots {wish.store}",
                )
            return row
        newest = snapshots.newest_complete(session, wish.store, now=site.clock.now())
    if newest is None:
        raise NotFoundError(
            f"store {wish.store}: there is no complete snapshot yet",
            hint=f"orchestrator backup {wish.store}",
        )
    return newest


def _candidates(
    site: Site, repository: RepositoryRow, row: Snapshot, wanted: str | None
) -> Iterator[str]:
    """Yield the copies to try, those that are there and sound first."""
    if wanted is not None:
        yield site.copy_config(wanted).name
        return
    with site.catalog.reading() as session:
        states = {
            state.copy_: state.state
            for state in copies.states(session, store=repository.store)
            if state.repository_id == repository.id
        }
    for name in site.config.copies:
        if states.get(name) in ("proven", "present", "behind"):
            try:
                with open_copy(site, name, repository) as opened:
                    held = any(
                        stored.file.key == ("snapshots", row.id) for stored in opened.place.list()
                    )
            except OrchestratorError:
                continue
            if held:
                yield name


def _record(current: Run, result: Restored, *, whole: bool) -> None:
    duration = current.site.clock.now() - current.started_at
    current.metrics.update(
        files=result.files,
        bytes=result.bytes,
        copy=result.copy,
        verified=result.verified,
        snapshot=result.snapshot,
        whole=whole,
        restore_s=round(duration.total_seconds(), 3),
    )
