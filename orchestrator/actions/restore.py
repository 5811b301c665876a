"""A real restore from any copy, verified file by file against the manifest of backup time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import as_of, observe
from orchestrator.actions.engine_view import EngineView, engine_on
from orchestrator.actions.lock import reading
from orchestrator.actions.manifests import entry_lines, lines_of
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.restore_from import (
    candidates,
    choose_snapshot,
    demand_held,
    drop_folders_of,
    prepare_target,
)
from orchestrator.actions.restored import compare_with_manifest
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import generations, suppressions
from orchestrator.errors import (
    DamageError,
    NotFoundError,
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
        as_of: The instant the copy was looked at as of; None for as it is.
        bad_files: Files of the repository that were read and have wrong bytes, without any harm
            to what was restored; only a bucket tells.
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
    as_of: datetime | None = None
    bad_files: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be restored.

    Attributes:
        store: Store name.
        to: Folder; it must not exist, or be empty.
        snapshot: Id of a data snapshot or the beginning of one; None for the newest complete.
        copy: Copy name; None for the first that can serve it.
        study: Pseudonym of a study; None for everything.
        as_of: Only what the copy held at this instant, aware; None for what it holds now.
    """

    store: str
    to: Path
    snapshot: str | None = None
    copy: str | None = None
    study: str | None = None
    as_of: datetime | None = None


def restore(site: Site, wish: Wish) -> Restored:
    """Restore a store or one study into an empty folder and verify every file.

    Args:
        site: The site.
        wish: What, from where, to where.

    Raises:
        RefusedError: The folder is not empty, or lies within a store or copy.
        NotFoundError: No such snapshot, study or copy; a study that was disposed of is none.
        DamageError: What came back is not what was backed up.
        OrchestratorError: The copy cannot be reached or read.
    """
    with (
        run(site, "restore", store=wish.store, exclusive=False) as current,
        reading(site.lock_dir, wish.store),
    ):
        target = prepare_target(site, wish.to)
        repository = site.repository(wish.store)
        row = None if wish.as_of is not None else choose_snapshot(site, wish.store, wish.snapshot)
        for name in candidates(site, repository, row, wish.copy):
            versions = observe.versions(site, name, repository.id)
            with open_copy(site, name, repository, versions=versions) as opened:
                result = _RestoreWork(current, repository, opened, row, wish).perform(target)
            if result is not None:
                _record(current, result, whole=wish.study is None)
                return result
        raise NotFoundError(
            f"store {wish.store}: no copy that is there is known to hold "
            + (f"snapshot {row.id[:8]}" if row is not None else "a complete snapshot of that time"),
            hint="orchestrator snapshots; connect a medium, or name a copy with --copy",
        )


class _RestoreWork:
    def __init__(
        self,
        current: Run,
        repository: RepositoryRow,
        opened: OpenCopy,
        row: Snapshot | None,
        wish: Wish,
    ) -> None:
        self._run = current
        self._site = current.site
        self._repository = repository
        self._opened = opened
        self._row = row
        self._wish = wish
        self._result = Restored(current.id, wish.store, "", opened.name, as_of=wish.as_of)
        with self._site.catalog.reading() as session:
            self._suppressed = suppressions.suppressed(session, wish.store)

    def perform(self, target: Path) -> Restored | None:
        """Restore and verify; None if this copy had no snapshot at the instant asked for."""
        with engine_on(
            self._site, self._opened, self._repository.name, as_of=self._wish.as_of
        ) as view:
            with self._run.step("manifest", copy=self._opened.name):
                chosen = self._choose(view.engine)
                if chosen is None:
                    return None
                snapshot, manifest = chosen
                self._result.snapshot = snapshot
                include = self._study_paths(view.engine, manifest) if self._wish.study else None
                leave_out = self._disposed_paths(view.engine, manifest)
            self._restore(view, (snapshot, manifest), target, include, leave_out)
        return self._result

    def _restore(
        self,
        view: EngineView,
        chosen: tuple[str, str],
        target: Path,
        include: list[bytes] | None,
        leave_out: list[bytes],
    ) -> None:
        snapshot, manifest = chosen
        with self._run.step("restore", copy=self._opened.name):
            view.engine.restore(
                snapshot,
                target,
                include=include,
                exclude=leave_out,
                on_progress=lambda p: self._site.progress.advance(
                    "files restored", p.files_done, p.files_total
                ),
            )
            drop_folders_of(target, leave_out)
        with self._run.step("verify", copy=self._opened.name):
            self._verify(self._entries(view.engine, manifest), target)
        if view.lens is not None:
            self._result.bad_files = len(view.lens.bad_files)

    def _choose(self, engine: Repository) -> tuple[str, str] | None:
        """Return the ids of the data snapshot and of its manifest."""
        if self._row is not None:
            if self._wish.copy is not None:  # which was asked for, whatever is known of it
                demand_held(self._site, self._opened, self._row)
            return self._row.id, self._manifest_id(engine, self._row)
        wish, at = self._wish, self._wish.as_of
        assert at is not None  # noqa: S101 - there is a row otherwise
        chosen = (
            as_of.newest_complete(self._site, engine, wish.store, at=at)
            if wish.snapshot is None
            else as_of.one_snapshot(engine, wish.store, wish.snapshot)
        )
        return (chosen.id, chosen.manifest) if chosen is not None else None

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

    def _manifest_id(self, engine: Repository, row: Snapshot) -> str:
        with self._site.catalog.reading() as session:
            known = generations.manifest_by_data(session, row.repository_id).get(row.id)
        if known is not None:
            return known
        found = engine.snapshots(tags=["manifest", f"run={row.run_id}"])
        if not found:
            raise NotFoundError(
                f"copy {self._opened.name}: snapshot {row.id[:8]} has no manifest: it cannot "
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
        if self._wish.study is None and not self._suppressed:
            return True
        study = self._study_of(entry)
        return study not in self._suppressed and self._wish.study in (None, study)

    def _study_of(self, entry: ManifestEntry) -> str | None:
        uid = (entry.dicom or {}).get("study_instance_uid")
        return self._site.catalog.keys.pseudonyms.study(uid) if uid is not None else None

    def _disposed_paths(self, engine: Repository, manifest: str) -> list[bytes]:
        """Return what a restore of everything must leave out: its studies were disposed of."""
        if self._wish.study is not None or not self._suppressed:
            return []
        lines = entry_lines(lines_of(engine.dump(manifest, "/manifest.jsonl")))
        entries = (decode_entry(line) for line in lines)
        paths = [entry.path for entry in entries if self._study_of(entry) in self._suppressed]
        self._result.suppressed = len(paths)
        return paths

    def _study_paths(self, engine: Repository, manifest: str) -> list[bytes]:
        paths = [
            entry.path for entry in self._entries(engine, manifest) if entry.state != "vanished"
        ]
        if not paths and self._wish.study in self._suppressed:
            raise NotFoundError(
                f"store {self._wish.store}: the study was disposed of; no restore brings it back",
                hint="orchestrator disposal list",
            )
        if not paths:
            raise NotFoundError(
                f"store {self._wish.store}: snapshot {self._result.snapshot[:8]} holds no such "
                "study",
                hint="orchestrator study list",
            )
        return paths


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
