"""Removing the files of a disposal's studies from the store itself, study by study.

A study goes whole or not at all: what was changed since the backup, has further names, or lies
beside a file nobody has backed up, is withheld and kept. The holds are asked in the transaction in
which the files go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.actions.disposal import withdrawal
from orchestrator.actions.disposal.manifests import Found, Sieve, paths_of
from orchestrator.actions.holds import guard
from orchestrator.actions.holds.witnessed import records_begin
from orchestrator.actions.manifests import manifest_path, previous_entries, seal_context
from orchestrator.actions.run import Run
from orchestrator.catalog import disposals, disposed, repositories
from orchestrator.catalog.disposal_tables import LIVE
from orchestrator.catalog.disposals import CopyKey
from orchestrator.keys.sealed import SealedReader, SealedWriter
from orchestrator.manifest import ManifestTotals, encode_totals
from orchestrator.stores import disposal as files

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.actions.disposal.manifests import Named
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.stores.disposal import Removal

TECHNIQUE = "compared with the backup, then removed file by file"

MOVED = "moved"
"""Field of the store's evidence: files were not where the backup had seen them; noted with the
removal itself, for whoever goes on after a crash could not tell."""

_KEEPS = {
    "changed": withdrawal.CHANGED,
    "linked": "linked_elsewhere",
    "unknown_file": "unknown_file_beside",
    "unreadable": withdrawal.CHANGED,
}
"""Why a study is kept, by what stood in the way; a store that lets nobody write is another matter:
there the removal is tried again."""


@dataclass(slots=True)
class LiveRemoval:
    """What left the store.

    Attributes:
        studies: Studies removed.
        files: Their files that were removed.
        folders: Folders that were empty then.
        vanished: Files that somebody else had removed.
        kept: Why studies are kept after all, by study.
        stuck: Why studies could not be removed yet, each reason once.
    """

    studies: int = 0
    files: int = 0
    folders: int = 0
    vanished: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    stuck: list[str] = field(default_factory=list)


class LiveDisposal:
    """The removal of one disposal's studies from one store.

    Args:
        current: The run, which holds the store's lock.
        repository: The repository that takes the store's new snapshots.
        disposal: Id of the disposal.
    """

    def __init__(self, current: Run, repository: RepositoryRow, disposal: str) -> None:
        self._run = current
        self._site = current.site
        self._repository = repository
        self._store = repository.store
        self._disposal = disposal
        self._result = LiveRemoval()

    def perform(self) -> LiveRemoval:
        """Remove what is suppressed and not removed yet, and make the last manifest agree.

        Raises:
            StoreUnavailableError: The store is not really there.
            OrchestratorError: The last manifest is nowhere to be found.
        """
        with self._site.catalog.reading() as session:
            rows = disposals.studies(
                session, self._disposal, store=self._store, states=(disposals.SUPPRESSED,)
            )
        studies = [row.study_key for row in rows]
        if studies:
            # An unmounted share would look like a store from which everything is gone.
            self._site.store(self._store).check_present()
            entries, known = self._entries(studies)
            for study in studies:
                self._site.check_stop()
                self._one(study, entries.get(study, {}), known)
            withdrawal.tell(self._site, self._disposal, self._store, self._result.kept)
        self._reduce_manifest()
        self._record()
        return self._result

    def _entries(
        self, studies: list[str]
    ) -> tuple[dict[str, dict[bytes, Named]], dict[bytes, set[bytes]]]:
        """Return the studies' files by the last manifest, and every name in their folders."""
        found = self._sieve(studies).scan(self._lines())
        entries: dict[str, dict[bytes, Named]] = {}
        known: dict[bytes, set[bytes]] = {}
        for path, named in found.entries.items():
            entries.setdefault(named.study, {})[path] = named
            known.setdefault(path.rpartition(b"/")[0], set())
        for path in paths_of(previous_entries(self._site, self._run, self._repository)):
            folder, _, name = path.rpartition(b"/")
            if folder in known:
                known[folder].add(name)
        return entries, known

    def _one(self, study: str, entries: dict[bytes, Named], known: dict[bytes, set[bytes]]) -> None:
        site = self._site
        root = site.store(self._store).root
        doomed = [files.Doomed(path, one.sha256 or "") for path, one in entries.items()]
        found = files.examine(root, doomed, known)
        if any(one.state != "good" for one in entries.values()):
            found.stop("changed", "the backup has marked a file of it")
        with guard.guarded(site) as session:
            held = guard.held_studies(site, session, self._store, [study])
            if held:
                self._keep(session, study, withdrawal.ON_HOLD, gone=found.vanished)
                return
            if found.obstacle is not None:
                self._stop(session, study, found.obstacle, found.problem, gone=found.vanished)
                return
            done = files.remove(found)
            self._count(done)
            if done.obstacle is not None:
                gone = done.files + done.vanished
                self._stop(session, study, done.obstacle, done.problem, gone=gone)
                return
            self._result.studies += 1
            if done.vanished:
                self._note_moved(session)
            disposed.mark_gone(session, self._store, study, run_id=self._run.id)
            disposals.set_studies(
                session,
                self._disposal,
                [(self._store, study)],
                state=disposals.LIVE_REMOVED,
                live_removed_at=site.clock.now(),
            )

    def _stop(
        self, session: Session, study: str, obstacle: str, problem: str | None, *, gone: int
    ) -> None:
        reason = _KEEPS.get(obstacle)
        if reason is not None and self._knows_the_store(session):
            self._keep(session, study, reason, gone=gone)
            return
        if reason is not None:
            # It may have gone before the catalog was lost: that it is kept might be untrue.
            problem = (
                f"{problem}, but the catalog was made anew and no backup has seen the store "
                f"since: orchestrator backup {self._store}"
            )
        if problem is not None and problem not in self._result.stuck:
            self._result.stuck.append(problem)

    def _knows_the_store(self, session: Session) -> bool:
        """Say whether the catalog's files are those of a walk, not those of an old manifest."""
        begin = records_begin(session, self._store)
        state = repositories.store_state(session, self._store)
        return begin is None or (state is not None and state.manifest_run != begin)

    def _keep(self, session: Session, study: str, reason: str, *, gone: int) -> None:
        self._result.kept[study] = reason
        withdrawal.withdraw(self._site, session, self._disposal, self._store, {study: reason})
        if gone:  # a removal that was cut off, or somebody, has taken some of it away before
            self._result.stuck.append(
                f"a study is kept, and {gone} of its files are not in the store any more: "
                f"orchestrator restore {self._store} --study {study} --to DIR"
            )

    def _count(self, done: Removal) -> None:
        self._result.files += done.files
        self._result.folders += done.folders
        self._result.vanished += done.vanished

    def _note_moved(self, session: Session) -> None:
        key = CopyKey(self._disposal, self._store, LIVE)
        row = disposals.copy_row(session, key)
        if row is not None:
            disposals.update_copy(session, key, evidence={**row.evidence, MOVED: True})

    def _reduce_manifest(self) -> None:
        """Take what was removed out of the last manifest: the next backup sees no loss."""
        with self._site.catalog.reading() as session:
            rows = disposals.studies(
                session, self._disposal, store=self._store, states=(disposals.LIVE_REMOVED,)
            )
            state = repositories.store_state(session, self._store)
        if not rows or state is None or state.manifest_run is None:
            return
        sieve, found = self._sieve([row.study_key for row in rows]), Found()
        path = manifest_path(self._site, self._store, state.manifest_run)
        key = self._site.keyring.stream_key()
        context = seal_context("manifest", self._store, state.manifest_run)
        for _ in previous_entries(self._site, self._run, self._repository):
            break  # brings it back from the primary if it is lost
        reader = SealedReader(path, key, context)
        with SealedWriter(path, key, context) as out:
            for piece in sieve.sift(reader.lines(), found):
                out.write(piece)
        state.file_count, state.size_bytes = found.totals.files, found.totals.bytes
        with self._site.catalog.transaction() as session:
            repositories.put_store_state(session, state)

    def _record(self) -> None:
        """Record what is known of the store itself: whether anything is left to remove there."""
        done, now = self._result, self._site.clock.now()
        with self._site.catalog.transaction() as session:
            left = disposals.studies(
                session, self._disposal, store=self._store, states=(disposals.SUPPRESSED,)
            )
            key = CopyKey(self._disposal, self._store, LIVE)
            row = disposals.copy_row(session, key)
            before = row.evidence if row is not None else {}
            evidence = {
                **before,
                "technique": TECHNIQUE,
                **{
                    name: int(before.get(name, 0)) + getattr(done, name)
                    for name in ("files", "folders", "vanished")
                },
            }
            if row is None:
                return
            # What somebody has moved may be elsewhere in the store: only another walk can tell.
            state = disposals.UNKNOWN if evidence.get(MOVED) else disposals.ABSENT
            state = disposals.LEFT if left else state
            disposals.update_copy(
                session,
                key,
                state=state,
                proved_at=now if state == disposals.ABSENT else None,
                detail="; ".join(done.stuck) or None,
                evidence=evidence,
            )

    def _sieve(self, studies: list[str]) -> Sieve:
        return Sieve(studies, self._site.catalog.keys.pseudonyms.study)

    def _lines(self) -> Iterator[bytes]:
        """Yield the last manifest in the form a sieve takes: it has its header and footer."""
        yield b"\n"
        yield from previous_entries(self._site, self._run, self._repository)
        yield encode_totals(ManifestTotals())
