"""The backup of a store: look, survey, read once, store, compare, commit, replicate.

restic writes the images while this reads each new or changed file once for its hash and header;
finished packs go to the replicas meanwhile. Nothing is committed to the catalog before restic's
counts and a second look at the store agree with the manifest.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.actions import commit, primary
from orchestrator.actions.manifests import ManifestWork
from orchestrator.actions.replicas import CopyResult, Replicas
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.actions.state import state_chunks
from orchestrator.actions.survey import Survey
from orchestrator.errors import OrchestratorError, StoppedError, StoreUnavailableError
from orchestrator.manifest import ManifestEntry

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.engines.restic.values import BackupSummary, Progress

DEFAULT_MAX_LOSS = 0.25
"""Largest share of files or bytes that may vanish in one night where the site sets none."""

SMALL_STORE = 20
"""Below so many files a share says little, and the default does not apply."""

PROBLEMS_LISTED = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One file that is not good in the snapshot, without its name.

    Attributes:
        file: Pseudonym of its path.
        state: `changed`, `unreadable` or `vanished`.
        note: Why, in words.
    """

    file: str
    state: str
    note: str


@dataclass(slots=True)
class StoreBackup:
    """What the backup of one store came to.

    Attributes:
        store: Name.
        run: Run id; empty if it never began.
        outcome: As recorded.
        snapshot: Id in full of the data snapshot; None if there is none.
        files: Files in the snapshot.
        files_new: Files that were not in the last one.
        files_changed: Files whose content was read again.
        files_gone: Files of the last manifest that are no longer in the store.
        bytes_added: Bytes the primary grew by before compression.
        copies: The primary first, then every replica.
        problems: Files that are not good, at most `PROBLEMS_LISTED`.
        problem_count: How many there are in all.
        error: Why it failed; None if it did not.
    """

    store: str
    run: str = ""
    outcome: str = "failed"
    snapshot: str | None = None
    files: int = 0
    files_new: int = 0
    files_changed: int = 0
    files_gone: int = 0
    bytes_added: int = 0
    copies: list[CopyResult] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    error: OrchestratorError | None = None


def back_up(
    site: Site,
    stores: list[str],
    *,
    copies: list[str] | None = None,
    accept_loss: bool = False,
    occasion: Occasion = BY_HAND,
) -> list[StoreBackup]:
    """Back up stores one after the other and replicate to every copy that is there.

    Args:
        site: The site.
        stores: Store names.
        copies: Copies to bring up to date; None for all. The primary is always written.
        accept_loss: A person says that many files really are gone.
        occasion: Why it happens.

    Returns:
        One result per store; an error in one does not keep the others from their turn.

    Raises:
        StoppedError: The work was told to stop.
        OrchestratorError: There is one store only, and its backup failed.
    """
    results = []
    for store in stores:
        result = StoreBackup(store)
        results.append(result)
        try:
            with run(site, "backup", store=store, occasion=occasion) as current:
                result.run = current.id
                StoreBackupWork(current, store, result, accept_loss=accept_loss).perform(copies)
            result.outcome = current.outcome
        except StoppedError:
            raise
        except OrchestratorError as error:
            if len(stores) == 1:
                raise
            result.error = error
    return results


class StoreBackupWork:
    """The backup of one store within its run.

    Args:
        current: The run, which holds the store's lock.
        store: Store name.
        result: Filled in as facts become known.
        accept_loss: A person says that many files really are gone.
    """

    def __init__(self, current: Run, store: str, result: StoreBackup, *, accept_loss: bool) -> None:
        self._run = current
        self._site = current.site
        self._name = store
        self._store = current.site.store(store)
        self._result = result
        self._accept_loss = accept_loss

    def perform(self, copies: list[str] | None) -> None:
        """Do the whole backup.

        Args:
            copies: Names of the copies to bring up to date; None for all.

        Raises:
            StoreUnavailableError: A guard says that the store is not really there.
            DamageError: The primary is damaged.
            OrchestratorError: Anything else that keeps the backup from being made.
        """
        site, name = self._site, self._name
        repository = site.repository(name)
        if self._run.lock is None:
            raise OrchestratorError(f"store {name}: a backup needs the store's lock")
        engine = site.primary_engine(name, repository.name, lock_fd=self._run.lock.fd)
        with self._run.step("look"):
            self._store.check_present()
            primary.make_ready(self._run, repository, engine)
        with ManifestWork(self._run, self._store, repository) as work:
            with self._run.step("survey"):
                survey = work.survey()
                self._guard(survey)
            others = self._replica_names(copies)
            with Replicas(self._run, repository, others) as replicas:
                snapshot = self._store_everything(work, engine, repository, replicas)
                final = commit.primary(self._run, repository, snapshot, work)
                with self._run.step("replicate"):
                    self._result.copies = replicas.settle([stored.file for stored in final])
                if replicas.damage is not None:
                    commit.refuse_damage(self._run, repository, replicas.refused, replicas.damage)
                own = commit.verify_primary(self._run, repository, final, replicas.sent)
        self._result.copies.insert(0, own)
        self._report(survey, snapshot)

    def _replica_names(self, copies: list[str] | None) -> list[str]:
        first = self._site.config.primary.name
        wanted = set(self._site.config.copies if copies is None else copies)
        return [name for name in self._site.config.copies if name != first and name in wanted]

    def _guard(self, survey: Survey) -> None:
        """Refuse to take an unmounted, emptied or half-lost store for the truth."""
        name = self._name
        if survey.files == 0:
            raise StoreUnavailableError(
                f"store {name}: the folder holds no files"
                + (f", the last backup had {survey.before}" if survey.before else ""),
                hint="check that the share is mounted; nothing was changed",
            )
        configured = self._site.store_config(name).max_loss
        is_small = configured is None and survey.before < SMALL_STORE
        if self._accept_loss or is_small or not survey.before:
            return
        limit = DEFAULT_MAX_LOSS if configured is None else configured
        lost_files = survey.gone / survey.before
        lost_bytes = 1 - survey.size_bytes / survey.before_bytes if survey.before_bytes else 0.0
        if max(lost_files, lost_bytes) > limit:
            raise StoreUnavailableError(
                f"store {name}: {survey.gone} of {survey.before} files are gone "
                f"({lost_files:.0%} of the files, {max(lost_bytes, 0):.0%} of the bytes); "
                f"at most {limit:.0%} may go between two backups",
                hint="check the share; if they really are gone: orchestrator backup "
                f"{name} --accept-loss",
            )

    def _store_everything(
        self,
        work: ManifestWork,
        engine: Repository,
        repository: RepositoryRow,
        replicas: Replicas,
    ) -> commit.Stored:
        """Let restic write images, manifest and state while files are read and packs are sent."""
        tags = [f"store={self._name}", f"run={self._run.id}"]
        pool = ThreadPoolExecutor(3, "engine")
        try:
            with self._run.step("store"):
                images = pool.submit(
                    engine.backup,
                    self._store.root,
                    tags=["data", *tags],
                    on_progress=self._progress,
                )
                state = pool.submit(
                    engine.backup_stream,
                    "state.tar",
                    state_chunks(self._site),
                    tags=["state", *tags],
                )
                replicas.start()
                work.read(self._problem, alive=lambda: _raise_if_failed(images))
                manifest = pool.submit(
                    engine.backup_stream, "manifest.jsonl", work.chunks(), tags=["manifest", *tags]
                )
                done = commit.Stored(images.result(), manifest.result(), state.result())
            with self._run.step("compare"):
                return self._compare(work, engine, done, tags)
        except BaseException as error:
            was_stopped = self._site.stop.is_set() or isinstance(error, StoppedError)
            self._site.stop.set()
            pool.shutdown(wait=True)
            if not was_stopped:
                self._site.stop.clear()
            raise
        finally:
            pool.shutdown(wait=True)

    def _compare(
        self, work: ManifestWork, engine: Repository, done: commit.Stored, tags: list[str]
    ) -> commit.Stored:
        """Hold the manifest against the store as it is now, and against restic's counts."""
        if work.amend(self._problem):
            manifest = engine.backup_stream(
                "manifest.jsonl", work.chunks(), tags=["manifest", *tags]
            )
            engine.forget([done.manifest.snapshot_id])
            done = commit.Stored(done.images, manifest, done.state)
        images: BackupSummary = done.images
        done.complete = not images.partial and not work.totals.states.get("unreadable")
        if images.partial and not work.problem_count:
            self._run.fell_short("the engine could not read some items")
        if work.problem_count:
            self._run.fell_short(f"{work.problem_count} files are not good in the snapshot")
        elif images.files != work.engine_files:
            done.complete = False
            self._run.fell_short(
                f"the engine stored {images.files} files, the manifest has {work.engine_files}"
            )
        return done

    def _progress(self, progress: Progress) -> None:
        self._site.progress.advance("files stored", progress.files_done, None)

    def _problem(self, entry: ManifestEntry) -> None:
        self._result.problem_count += 1
        if len(self._result.problems) < PROBLEMS_LISTED:
            key = self._site.catalog.keys.pseudonyms.path(self._name, entry.path)
            self._result.problems.append(Problem(key[:16], entry.state, entry.note or ""))

    def _report(self, survey: Survey, stored: commit.Stored) -> None:
        result = self._result
        result.snapshot = stored.images.snapshot_id
        result.files = survey.files
        result.files_new = survey.new
        result.files_changed = survey.changed
        result.files_gone = survey.gone
        result.bytes_added = stored.images.bytes_added
        self._run.metrics.update(
            files=survey.files,
            files_new=survey.new,
            files_changed=survey.changed,
            files_gone=survey.gone,
            problems=result.problem_count,
            bytes_added=result.bytes_added,
            copies={copy.copy: copy.state for copy in result.copies},
        )


def _raise_if_failed(future: Future[BackupSummary]) -> None:
    """Do not go on reading for an hour after the engine has failed."""
    if future.done() and (error := future.exception()) is not None:
        raise error
