"""One run per store at a time, by a file lock that the engine's processes inherit.

The lock lives as long as anything that may still write to the store's repositories: a restic
process that outlives a killed orchestrator holds it too.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.clock import Clock
from orchestrator.errors import LockedError

_POLL_S = 0.5


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
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self.holder() or "an unnamed run"
            os.close(fd)
            raise LockedError(
                f"store {self._store}: locked by run {holder}",
                hint="wait for it to end; `orchestrator job list` shows what is running",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"run": run, "pid": os.getpid()}).encode(), 0)
        self._fd = fd

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
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True


@contextmanager
def locked(
    folder: Path, stores: list[str], run: str, *, clock: Clock, wait_s: float = 0
) -> Iterator[dict[str, StoreLock]]:
    """Hold the locks of several stores.

    Args:
        folder: Where lock files are.
        stores: Store names; taken in sorted order so that two runs never wait for each other.
        run: Id of the run that takes them.
        clock: Measures the waiting.
        wait_s: How long to wait for each before giving up, in seconds; 0 gives up at once.

    Raises:
        LockedError: One of them is still held after `wait_s`.
    """
    held: dict[str, StoreLock] = {}
    with ExitStack() as stack:
        for store in sorted(stores):
            lock = StoreLock(folder, store)
            deadline = clock.monotonic() + wait_s
            while True:
                try:
                    lock.acquire(run)
                    break
                except LockedError:
                    if clock.monotonic() >= deadline:
                        raise
                    time.sleep(_POLL_S)
            stack.callback(lock.release)
            held[store] = lock
        yield held
