"""How the ledger's files reach the disk, and what its errors mean to a person.

Knows files and folders, nothing of trees. Nothing here is trusted to be there because it was
written: it is there once `Writes.sync` has returned.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator import disk_faults
from orchestrator.disk_faults import Kind, Words
from orchestrator.errors import LockedError

_POLL_S = 0.01
_MOST_OPEN = 128
_FEW = 8
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_WORDS: dict[Kind, Words] = {
    "full": Words(
        "no space left", "free space in the state folder; nothing is recorded until then"
    ),
    "read-only": Words(
        "the file system is read-only",
        "the kernel may have found errors: run fsck, mount it again",
    ),
    "refused": Words(
        "access is refused",
        "the ledger belongs to the account that runs orchestrator: run it as that one",
    ),
    "gone": Words("the disk went away ({reason})", "connect and mount it again"),
}


class Writes:
    """Files being written below one folder, made durable together.

    Files are written under their own names: what is not yet covered by a checkpoint is trusted by
    nobody, and what is covered is never written again.

    Args:
        folder: The log's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: list[int] = []
        self._unsynced: set[Path] = set()
        self._settled: set[Path] = {folder}

    def write(self, path: Path, data: bytes) -> None:
        """Write a file, making its folders.

        Raises:
            OSError: The disk refuses.
        """
        self._settle(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        self._open.append(descriptor)
        _write_all(descriptor, data)
        self._unsynced.add(path.parent)
        if len(self._open) >= _MOST_OPEN:
            self._sync_files()

    def sync(self) -> None:
        """Put everything on the disk: contents, then names.

        Raises:
            OSError: The disk refuses; then nothing may be believed to be there.
        """
        self._sync_files()
        while self._unsynced:
            sync_folder(self._unsynced.pop())

    def drop(self) -> None:
        """Give up what was not synced."""
        for descriptor in self._open:
            with suppress(OSError):
                os.close(descriptor)
        self._open.clear()
        self._unsynced.clear()
        # Folders made meanwhile may not be on the disk.
        self._settled = {self._folder}

    def _sync_files(self) -> None:
        if len(self._open) > _FEW and hasattr(os, "posix_fadvise"):
            # Starts writing all of them, so that one commit of the file system serves many.
            for descriptor in self._open:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for descriptor in self._open:
            os.fsync(descriptor)
        while self._open:
            os.close(self._open.pop())

    def _settle(self, folder: Path) -> None:
        # A folder that exists may have been made by a process that died before syncing its name.
        if folder in self._settled:
            return
        self._settle(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._unsynced.add(folder.parent)
        self._settled.add(folder)


def replace(path: Path, data: bytes) -> None:
    """Put a file in place of another, whole or not at all, durably.

    Raises:
        OSError: The disk refuses.
    """
    partial = path.with_name(f".{path.name}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o600)
    try:
        _write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(partial, path)
    sync_folder(path.parent)


def keep(path: Path, source: Path) -> None:
    """Give a durable file a second name that stays when the first is replaced.

    The name itself is not waited for: a power failure may lose it, but never what it names. The
    newest one is given again when the log is next opened; earlier ones can be proved without.

    Raises:
        OSError: The disk refuses.
    """
    try:
        os.link(source, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        replace(path, source.read_bytes())


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk.

    Raises:
        OSError: The disk refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_below(folder: Path, start: str = "") -> Iterator[str]:
    """Yield the paths of all files below a folder, with slashes, in no order.

    Args:
        folder: Where to start.
        start: Put before each path.

    Raises:
        OSError: A folder cannot be read.
    """
    with os.scandir(folder) as found:
        for one in found:
            if one.is_dir(follow_symlinks=False):
                yield from files_below(folder / one.name, f"{start}{one.name}/")
            else:
                yield start + one.name


@contextmanager
def writing(path: Path, *, wait_s: float) -> Iterator[int]:
    """Hold a lock file as the one writer; yields its descriptor.

    Args:
        path: The lock file; made if missing.
        wait_s: How long to wait for another writer, in seconds.

    Raises:
        LockedError: Another process is still writing after that time.
        OSError: The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, wait_s)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, wait_s: float) -> None:
    never = threading.Event()
    for attempt in range(int(wait_s / _POLL_S) + 1):
        if attempt:
            never.wait(_POLL_S)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return
    raise LockedError(
        f"the ledger is being written by another process, for more than {wait_s:g} seconds",
        hint="wait for it to end, then try again",
    )


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn every `OSError` of the block into an error a person can act on.

    Args:
        doing: What was being done, as a clause: ``writing an entry``.

    Raises:
        UnreachableError: The disk or share went away.
        CredentialError: Access is refused.
        EngineError: Any other failure of the disk.
    """
    try:
        yield
    except OSError as error:
        raise disk_faults.explain(f"ledger: {doing}", error, _WORDS) from error


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
