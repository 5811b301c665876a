"""Sending the files of a primary to its replicas, while the primary is still being written.

Finished packs of a restic repository never change, so they are sent as soon as they appear; the
index and the snapshots follow once the backup is done. The order is `layout.WRITE_ORDER`, so that
a replica is a valid repository at every instant. Knows nothing of keys, stores or the catalog.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.engines.interface import Place, Receipt, StoredFile
from orchestrator.engines.layout import REMOVE_ORDER, WRITE_ORDER, FileKey, Kind, RepositoryFile
from orchestrator.errors import DamageError, OrchestratorError, StoppedError

_log = logging.getLogger(__name__)

Permit = Callable[[str, frozenset[str]], AbstractContextManager[str | None]]
"""Asked before anything is removed from a target: its name, and the snapshots there that the
primary no longer has. Gives why nothing may go, or None. Snapshots go while it is open: what they
alone needed goes after them."""

POLL_S = 0.25
"""How often a primary that is still being written is looked at for finished packs."""


@dataclass(slots=True)
class TargetResult:
    """What replication to one place came to.

    Attributes:
        files_sent: Files stored and read back in this run.
        bytes_sent: Their total length.
        receipts: One per file sent.
        present: Every file the place holds now, by kind and name.
        removed: Files removed because the primary gave them up.
        kept: Why what the primary gave up stays; None if it went, or there was nothing.
        extra: Files the place holds that the primary neither has nor is known to have given up.
        suspicious: Names with more than one version, or hidden by a marker.
        listed: Whether the place could be listed to the end; without it `present` is a part.
        refused: Files of the primary whose bytes do not match their name.
        error: Why the place is not up to date; None if it is.
    """

    files_sent: int = 0
    bytes_sent: int = 0
    receipts: list[Receipt] = field(default_factory=list)
    present: dict[FileKey, StoredFile] = field(default_factory=dict)
    removed: list[RepositoryFile] = field(default_factory=list)
    kept: str | None = None
    extra: list[RepositoryFile] = field(default_factory=list)
    suspicious: list[StoredFile] = field(default_factory=list)
    listed: bool = False
    refused: list[RepositoryFile] = field(default_factory=list)
    error: OrchestratorError | None = None


class _Target:
    """One place and the thread that feeds it."""

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        self.place = place
        self.result = TargetResult()
        self.thread: threading.Thread | None = None


class Replication:
    """Replicates one repository to several places at once.

    Args:
        source: The primary's place.
        root: The primary's folder.
        targets: Place of each replica by name.
        config_sha256: Recorded SHA-256 of ``config``, which is not named by its content.
        distrusted: Files by target that are known to be damaged there and are sent anew.
        permit: Whether a target may lose what the primary gave up; None for always.
        stop: Set to end early; every target then reports `StoppedError`.
    """

    def __init__(
        self,
        source: Place,
        root: Path,
        targets: Mapping[str, Place],
        *,
        config_sha256: str,
        stop: threading.Event,
        distrusted: Mapping[str, Collection[FileKey]] | None = None,
        permit: Permit | None = None,
    ) -> None:
        self._source = source
        self._root = root
        self._targets = [_Target(name, place) for name, place in targets.items()]
        self._config_sha256 = config_sha256
        self._distrusted = distrusted or {}
        self._permit = permit or _always
        self._stop = stop
        self._final: list[RepositoryFile] | None = None
        self._obsolete: frozenset[FileKey] = frozenset()
        self._settled = threading.Event()
        self._abandoned = False

    def start(self) -> None:
        """Begin to send what is finished already; `settle` or `abandon` MUST follow."""
        for target in self._targets:
            target.thread = threading.Thread(
                target=self._feed, args=(target,), name=f"replicate-{target.name}", daemon=True
            )
            target.thread.start()

    def settle(
        self, final: Iterable[RepositoryFile], *, obsolete: Iterable[FileKey] = ()
    ) -> dict[str, TargetResult]:
        """Send the rest, remove what the primary gave up, and wait for every target.

        Args:
            final: The primary's files, listed after its last writer ended.
            obsolete: Files that a recorded prune took out of the primary. Nothing else is ever
                removed from a replica: a file that is merely missing in the primary is damage.
        """
        self._final = list(final)
        self._obsolete = frozenset(obsolete)
        self._settled.set()
        self._join()
        return {target.name: target.result for target in self._targets}

    def abandon(self) -> dict[str, TargetResult]:
        """End without the index and snapshots: replicas keep their former, valid state.

        Also ends a `settle` that was cut off; after one that returned it does nothing.
        """
        self._abandoned = True
        self._settled.set()
        self._join()
        return {target.name: target.result for target in self._targets}

    def _join(self) -> None:
        for target in self._targets:
            if target.thread is not None:
                target.thread.join()

    def _feed(self, target: _Target) -> None:
        try:
            for stored in target.place.list():
                if stored.file.key not in self._distrusted.get(target.name, ()):
                    target.result.present[stored.file.key] = stored
                if stored.versions > 1 or stored.hidden:
                    target.result.suspicious.append(stored)
            target.result.listed = True
            with ThreadPoolExecutor(target.place.workers, f"put-{target.name}") as pool:
                self._send_while_open(target, pool)
                if not self._abandoned:
                    self._send_rest(target, pool)
        except OrchestratorError as error:
            target.result.error = error
        except Exception as error:  # noqa: BLE001 - a thread must hand its failure over
            _log.exception("replication to %s failed", target.name)
            target.result.error = OrchestratorError(
                f"copy {target.name}: unexpected {type(error).__name__}",
                hint="run the command again with --debug and report what it prints",
            )

    def _send_while_open(self, target: _Target, pool: ThreadPoolExecutor) -> None:
        while not self._settled.wait(POLL_S):
            self._check_stop()
            finished = [s.file for s in self._source.list() if s.file.kind in _EARLY]
            for kind in _EARLY:
                self._send(target, pool, [f for f in finished if f.kind == kind])

    def _send_rest(self, target: _Target, pool: ThreadPoolExecutor) -> None:
        assert self._final is not None  # noqa: S101 - set before the event
        for kind in WRITE_ORDER:
            self._send(target, pool, [f for f in self._final if f.kind == kind])
        wanted = {file.key for file in self._final}
        present = target.result.present
        left = [key for kind in REMOVE_ORDER for key in present if key[0] == kind]
        left = [key for key in left if key not in wanted]
        target.result.extra += [present[key].file for key in left if key not in self._obsolete]
        doomed = [key for key in left if key in self._obsolete]
        if doomed and target.place.removes_at_once:
            snapshots = frozenset(name for kind, name in left if kind == "snapshots")
            self._remove(target, doomed, snapshots)
        target.place.flush()

    def _remove(self, target: _Target, doomed: list[FileKey], snapshots: frozenset[str]) -> None:
        with self._permit(target.name, snapshots) as objection:
            target.result.kept = objection
            if objection is not None:
                return
            self._remove_files(target, [key for key in doomed if key[0] == "snapshots"])
        self._remove_files(target, [key for key in doomed if key[0] != "snapshots"])

    @staticmethod
    def _remove_files(target: _Target, doomed: list[FileKey]) -> None:
        present = target.result.present
        for key in doomed:
            target.place.remove(present[key])
            target.result.removed.append(present.pop(key).file)
        target.place.flush()

    def _send(
        self,
        target: _Target,
        pool: ThreadPoolExecutor,
        files: list[RepositoryFile],
    ) -> None:
        missing = [f for f in files if not self._holds(target, f)]
        batch = max(target.place.workers * 2, 2)
        for start in range(0, len(missing), batch):
            self._check_stop()
            futures = {
                pool.submit(self._put, target.place, file): file
                for file in missing[start : start + batch]
            }
            failure: BaseException | None = None
            for future in as_completed(futures):
                if (error := future.exception()) is None:
                    self._note(target.result, future.result())
                else:
                    failure = failure or error
                    if isinstance(error, DamageError):
                        target.result.refused.append(futures[future])
            if failure is not None:
                raise failure
        target.place.flush()

    def _holds(self, target: _Target, file: RepositoryFile) -> bool:
        stored = target.result.present.get(file.key)
        return (
            stored is not None and stored.file.size_bytes == file.size_bytes and not stored.hidden
        )

    def _put(self, place: Place, file: RepositoryFile) -> Receipt:
        digest = self._config_sha256 if file.kind == "config" else file.name
        return place.put(file, self._root / file.path, digest)

    @staticmethod
    def _note(result: TargetResult, receipt: Receipt) -> None:
        result.files_sent += 1
        result.bytes_sent += receipt.file.size_bytes
        result.receipts.append(receipt)
        result.present[receipt.file.key] = StoredFile(receipt.file, receipt.version_id)

    def _check_stop(self) -> None:
        if self._stop.is_set() or self._abandoned:
            raise StoppedError("replication was stopped", hint="the next run goes on from here")


@contextmanager
def _always(_target: str, _snapshots: frozenset[str]) -> Iterator[str | None]:
    yield None


_EARLY: tuple[Kind, ...] = ("config", "keys", "data")
