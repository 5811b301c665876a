"""One run per store at a time, by a file lock that the engine's processes inherit.

The lock lives as long as anything that may still write to the store's repositories: a restic
process that outlives a killed orchestrator holds it too.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.clock import Clock
from orchestrator.errors import EngineError, LockedError, StoppedError

_POLL_S = 0.2

ORPHAN_PATIENCE_S = 15.0
"""How long a lock is waited for that only the engine of a dead run can hold, in seconds."""


class StoreLock:
    """The lock of one store.

    Args:
        folder: Where lock files are, mode 0700; made if missing.
        store: Store name.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self._path = folder / f"{store}.lock"
        self._store = store
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The lock's descriptor, to be handed to child processes.

        Raises:
            LockedError: The lock is not held.
        """
        if self._fd is None:
            raise LockedError(f"store {self._store}: the lock is not held")
        return self._fd

    def acquire(self, run: str) -> None:
        """Take the lock for a run.

        Raises:
            LockedError: Another run, or an engine process it left behind, holds it.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = _try_lock(self._path)
        if fd is None:
            raise LockedError(
                f"store {self._store}: locked by run {self.holder() or 'of an unknown name'}",
                hint="wait for it to end; `orchestrator status` shows how far it is",
            )
        self._fd = fd
        self.note_holder(run)

    def note_holder(self, run: str) -> None:
        """Note which run holds the lock.

        Raises:
            LockedError: The lock is not held.
        """
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, json.dumps({"run": run, "pid": os.getpid()}).encode(), 0)

    def release(self) -> None:
        """Let the lock go; does nothing if it is not held."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
        self._fd = None

    def holder(self) -> str | None:
        """Return the id of the run that last took the lock and has not let it go."""
        try:
            return str(json.loads(self._path.read_bytes())["run"])
        except (OSError, ValueError, KeyError):
            return None

    def is_free(self) -> bool:
        """Say whether nobody holds the lock just now."""
        return _is_free(self._path)


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _is_free(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _try_lock(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(
            f"the lock file {path.name} cannot be made: {(error.strerror or 'error').lower()}",
            hint="see to the disk of the state folder; nothing was begun",
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


@contextmanager
def locked(
    folder: Path,
    store: str,
    run: str,
    *,
    clock: Clock,
    end_leftovers: Callable[[], int],
    stop: threading.Event,
    wait_s: float = 0,
) -> Iterator[StoreLock]:
    """Hold the lock of a store.

    Args:
        folder: Where lock files are.
        store: Store name.
        run: Id of the run that takes it.
        clock: Measures the waiting.
        end_leftovers: Ends the engine processes that a dead run of this store left behind and
            says how many.
        stop: Ends the waiting when set.
        wait_s: How long to wait before giving up, in seconds; 0 gives up at once.

    Raises:
        LockedError: It is still held after `wait_s`.
        StoppedError: `stop` was set.
    """
    lock = StoreLock(folder, store)
    started = clock.monotonic()
    while True:
        try:
            lock.acquire(run)
            break
        except LockedError:
            if end_leftovers():
                continue
            holder = lock.holder()
            # A dead run's engine that could not be noted any more ends by itself, and soon.
            is_orphaned = holder is not None and not is_marked(folder, run_mark(holder))
            patience_s = max(wait_s, ORPHAN_PATIENCE_S) if is_orphaned else wait_s
            if clock.monotonic() - started >= patience_s:
                raise
        if stop.wait(_POLL_S):
            raise StoppedError(
                f"store {store}: stopped while it waited for run {lock.holder() or 'unknown'}",
                hint="the next run goes on from here",
            )
    try:
        end_leftovers()  # nobody is left who could hold the lock, but notes of the dead may be
        yield lock
    finally:
        lock.release()


@contextmanager
def marked(folder: Path, name: str) -> Iterator[bool]:
    """Hold a mark that falls with this process, however it ends; False if somebody holds it.

    Process ids are used again, and in a container every daemon has the same one: that a file is
    locked says for certain that whoever locked it lives.

    Args:
        folder: Where lock files are.
        name: What is marked, such as ``run-ID`` or ``job-NAME``.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.mark"
    fd = _try_lock(path)
    while fd is not None and not _is_at(path, fd):
        # Its last holder removed it between our opening and locking it.
        os.close(fd)
        fd = _try_lock(path)
    if fd is None:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):  # a file that nobody has locked marks nothing
            path.unlink()
        os.close(fd)


def run_mark(run: str) -> str:
    """Return the name of the mark that a run holds while it lives."""
    return f"run-{run}"


def is_marked(folder: Path, name: str) -> bool:
    """Say whether anybody alive holds a mark."""
    return not _is_free(folder / f"{name}.mark")


@contextmanager
def reading(folder: Path, store: str) -> Iterator[None]:
    """Keep every file of a store's copies where it is while somebody reads them.

    Any number may read at once, also while a backup adds files; what removes files waits its turn.

    Args:
        folder: Where lock files are.
        store: Store name.

    Raises:
        LockedError: Files are being removed just now.
    """
    with _readers(folder, store, fcntl.LOCK_SH) as held:
        if not held:
            raise LockedError(
                f"store {store}: files are being removed from its copies just now",
                hint="try again when the rotation has ended",
            )
        yield


@contextmanager
def removing(folder: Path, store: str) -> Iterator[bool]:
    """Claim the right to remove files from a store's copies; False while anybody reads them.

    Args:
        folder: Where lock files are.
        store: Store name.
    """
    with _readers(folder, store, fcntl.LOCK_EX) as held:
        yield held


@contextmanager
def _readers(folder: Path, store: str, how: int) -> Iterator[bool]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / f"{store}.readers", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            held = True
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(fd)
