"""Bringing the replicas of a store's repository up to date, and recording what was seen.

Used by the backup (while restic still writes) and by the replicate action (afterwards).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from orchestrator.actions import copy_facts, observe
from orchestrator.actions.holds import guard
from orchestrator.actions.lock import removing
from orchestrator.actions.place_register import noting
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.proof import prove_unrecorded
from orchestrator.actions.run import Run
from orchestrator.actions.verdict import CopyState
from orchestrator.catalog import copies
from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.layout import FileKey, Kind, RepositoryFile
from orchestrator.engines.replication import Replication, TargetResult
from orchestrator.engines.witness import Witness
from orchestrator.errors import AbsentCopyError, DamageError, OrchestratorError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What a run did for one copy.

    Attributes:
        copy: Name.
        role: `local`, `offline` or `immutable`.
        state: The copy's state after the run.
        files_sent: Repository files written in this run.
        bytes_sent: Their total length.
        error: Why it is not up to date; None if it is, or if it is simply absent.
        detail: Why it is absent, or what is notable.
    """

    copy: str
    role: str
    state: CopyState
    files_sent: int = 0
    bytes_sent: int = 0
    error: OrchestratorError | None = None
    detail: str | None = None


class Replicas:
    """The replicas of one repository during one run; a context manager.

    Args:
        run: The run, which holds the store's lock.
        repository: The repository.
        names: Copies to bring up to date, the primary not among them.
    """

    def __init__(self, run: Run, repository: RepositoryRow, names: Iterable[str]) -> None:
        self._run = run
        self._site = run.site
        self._repository = repository
        self._names = list(names)
        self._stack = ExitStack()
        self._open: dict[str, OpenCopy] = {}
        self._results: dict[str, CopyResult] = {}
        self._replication: Replication | None = None
        self._obsolete: set[FileKey] = set()
        self.sent: set[FileKey] = set()
        self.refused: set[FileKey] = set()
        self.damage: DamageError | None = None

    def __enter__(self) -> Replicas:
        for name in self._names:
            try:
                self._open[name] = self._stack.enter_context(
                    open_copy(
                        self._site,
                        name,
                        self._repository,
                        versions=observe.versions(self._site, name, self._repository.id),
                    )
                )
                noting.before_writing(self._site, name)
            except AbsentCopyError as absence:
                self._absent(name, absence)
            except OrchestratorError as error:
                self._failed(name, error)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._replication is not None:
            self._replication.abandon()
        self._stack.close()

    @property
    def source(self) -> DirectoryPlace:
        """The primary's place."""
        return DirectoryPlace(
            self._site.config.primary.name, self._site.primary_root(self._repository.name)
        )

    def start(self) -> None:
        """Begin to send what the primary has finished."""
        self._obsolete = set(observe.removed_from_primary(self._site, self._repository.id))
        targets: dict[str, Place] = {name: opened.place for name, opened in self._open.items()}
        if not targets:
            targets[self._site.config.primary.name] = self._witness()
        self._replication = Replication(
            self.source,
            self._site.primary_root(self._repository.name),
            targets,
            config_sha256=self._repository.config_sha256,
            stop=self._site.stop,
            distrusted={
                name: observe.distrusted(self._site, (name, opened.medium, self._repository.id))
                - self._obsolete
                for name, opened in self._open.items()
            },
            permit=self._permit,
        )
        self._replication.start()

    @contextmanager
    def _permit(self, _target: str, snapshots: frozenset[str]) -> Iterator[str | None]:
        """Let nothing go from a copy that has a held snapshot which the primary gave up.

        Which of its files that one needs nobody can tell without the primary.
        """
        with guard.guarded(self._site) as session:
            held = guard.held_among(self._site, session, self._repository.id, snapshots)
            ids = {one for holds in held.values() for one in holds}
            yield f"what the primary gave up stays: {guard.in_words(ids)}" if ids else None

    def _witness(self) -> Witness:
        """Make a target that proves the primary's bytes where no replica is there to do so."""
        key = (self._site.config.primary.name, "", self._repository.id)
        with self._site.catalog.reading() as session:
            proven = [
                StoredFile(RepositoryFile(cast("Kind", row.kind), row.name, row.size_bytes))
                for row in copies.inventory(session, key)
                if row.verified_at is not None
            ]
        return Witness(self._site.config.primary.name, proven)

    def settle(self, final: list[RepositoryFile]) -> list[CopyResult]:
        """Send the rest, remove what a recorded prune took out, and record every copy's state.

        Args:
            final: The primary's files, listed after its last writer ended.

        Returns:
            One result per copy asked for, in the order of the site file.
        """
        if self._replication is None:
            self.start()
        if self._replication is not None:
            # It stays ours until it has ended: whoever cuts this off must still end its threads.
            results = self._send_the_rest(self._replication, final)
            self._replication = None
            for name, result in results.items():
                if name in self._open:
                    self._record(name, result)
                else:
                    self._take_over(result)
        try:
            self._stack.close()
        except OrchestratorError as error:
            # Everything is sent and recorded; that a medium could not be let go is said, no more.
            self._run.fell_short(error.message)
        order = list(self._site.config.copies)
        return sorted(self._results.values(), key=lambda result: order.index(result.copy))

    def _send_the_rest(
        self, replication: Replication, final: list[RepositoryFile]
    ) -> dict[str, TargetResult]:
        obsolete = self._obsolete
        if not obsolete:
            return replication.settle(final)
        with removing(self._site.lock_dir, self._repository.store) as alone:
            # While a check or restore reads, what the primary gave up stays until next time.
            return replication.settle(final, obsolete=obsolete if alone else ())

    def _record(self, name: str, result: TargetResult) -> None:
        opened = self._open[name]
        site, repository = self._site, self._repository
        now = site.clock.now()
        key = (name, opened.medium, repository.id)
        self._take_over(result)
        with site.catalog.transaction() as session:
            copies.record_stored(session, key, result.receipts, now=now, verified=True)
            copies.record_listed(session, key, result.present.values(), now=now)
            copies.mark_removed(session, key, [file.key for file in result.removed], now=now)
            lost: set[FileKey] = {
                (row.kind, row.name)
                for row in copies.inventory(session, key, states=("good", *copy_facts.BAD))
                if result.listed and (row.kind, row.name) not in result.present
            }
            # A run that was cut off, or a bucket's own rule, took them and told nobody.
            copies.mark_removed(session, key, lost & self._obsolete, now=now)
            copies.mark_missing(session, key, lost - self._obsolete)
        complete = result.error is None
        if complete:
            prove_unrecorded(site, opened, repository, result.present)
        state = observe.record(
            site,
            opened,
            repository.id,
            replicated=complete,
            trouble=observe.suspicion(len(result.suspicious)),
            seen=result.listed,
        )
        self._results[name] = CopyResult(
            name,
            opened.copy.role,
            state,
            result.files_sent,
            result.bytes_sent,
            result.error,
            observe.suspicion(len(result.suspicious)) or result.kept or opened.detail,
        )
        if result.error is not None:
            self._run.fell_short(f"copy {name}: {result.error.message}")
        elif result.suspicious:
            self._run.fell_short(f"copy {name}: {observe.suspicion(len(result.suspicious))}")

    def _take_over(self, result: TargetResult) -> None:
        """Note what a target has proved of the primary's bytes, or found damaged."""
        self.sent.update(receipt.file.key for receipt in result.receipts)
        self.refused.update(file.key for file in result.refused)
        if isinstance(result.error, DamageError):
            self.damage = self.damage or result.error

    def _absent(self, name: str, absence: AbsentCopyError) -> None:
        observe.record_absence(self._site, name, self._repository.id, absence.message)
        role = self._site.copy_config(name).role
        self._results[name] = CopyResult(name, role, "absent", detail=absence.message)
        if role != "offline":
            self._run.fell_short(absence.message)

    def _failed(self, name: str, error: OrchestratorError) -> None:
        observe.record_absence(self._site, name, self._repository.id, error.message)
        role = self._site.copy_config(name).role
        self._results[name] = CopyResult(name, role, "unknown", error=error)
        self._run.fell_short(f"copy {name}: {error.message}")
