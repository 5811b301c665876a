"""Reading one file of a store once: SHA-256 and DICOM header from the same bytes.

Runs in the main process and in worker processes, so it imports little. It knows nothing of
walks, workers or snapshots.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from functools import partial

from orchestrator.dicom.header import read_header
from orchestrator.manifest import FileStat
from orchestrator.stores.interface import Listed, ReadResult

PIECE_BYTES = 1024 * 1024
_HEAD_BYTES = 64 * 1024

_GONE = (errno.ENOENT, errno.ENOTDIR)
_NOT_REGULAR = "not a regular file"


@dataclass(frozen=True, slots=True)
class FileContent:
    """What one reading gave; the fields are those of `interface.ReadResult`."""

    stat: FileStat | None
    sha256: str | None = None
    dicom: dict[str, str] | None = None
    changed: bool = False
    problem: str | None = None


def file_stat(facts: os.stat_result) -> FileStat:
    """Take from a stat what tells an unchanged file."""
    return FileStat(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)


def describe(error: OSError) -> str:
    """Say in words, without any path, why the system refused."""
    if error.errno in _GONE:
        return "vanished"
    if error.errno == errno.ELOOP:
        return _NOT_REGULAR
    return os.strerror(error.errno).lower() if error.errno else "could not be read"


def is_readable(listed: Listed) -> bool:
    """Say whether an entry is one to open: a regular file that could be examined."""
    return listed.kind == "file" and listed.problem is None


def not_read(listed: Listed) -> ReadResult:
    """Return the result for an entry that is not opened."""
    return ReadResult(listed, listed.stat, None, None, problem=listed.problem or _NOT_REGULAR)


def result_of(listed: Listed, content: FileContent) -> ReadResult:
    """Put together what was asked for and what was read."""
    return ReadResult(
        listed,
        content.stat,
        content.sha256,
        content.dicom,
        changed=content.changed,
        problem=content.problem,
    )


def read_content(path: bytes, buffer: bytearray) -> FileContent:
    """Read one file to its end, once.

    A symlink, device or fifo that took the file's place since the walk is not opened for
    reading. Nothing is raised for what is wrong with the file: it is told in `problem`.

    Args:
        path: Absolute path, raw bytes.
        buffer: Working memory of `PIECE_BYTES`, used again for every file.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        return FileContent(_stat_after(path, error), problem=describe(error))
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return FileContent(file_stat(before), problem=_NOT_REGULAR)
        digest, header = _digest_and_header(descriptor, buffer)
        facts = file_stat(os.fstat(descriptor))
        return FileContent(facts, digest, header, changed=facts != file_stat(before))
    except OSError as error:
        return FileContent(_stat_after(path, error), problem=describe(error))
    finally:
        os.close(descriptor)


def _open(path: bytes) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.ELOOP, _NOT_REGULAR)
    try:
        # Not to be held up by a fifo that takes the file's place between lstat and open.
        return os.open(path, flags | os.O_NONBLOCK)
    except BlockingIOError:
        # A file server holds a lease (an SMB client has the file open): the kernel has asked
        # for it back, and an ordinary open waits for that, at most fs.lease-break-time.
        return os.open(path, flags)


def _stat_after(path: bytes, error: OSError) -> FileStat | None:
    if error.errno in _GONE:
        return None
    try:
        return file_stat(os.lstat(path))
    except OSError:
        return None


def _digest_and_header(descriptor: int, buffer: bytearray) -> tuple[str, dict[str, str] | None]:
    digest = hashlib.sha256()
    header = None
    is_first = True
    with memoryview(buffer) as view:
        while count := os.readv(descriptor, [buffer]):
            digest.update(view[:count])
            if is_first:
                header = _header(bytes(view[: min(count, _HEAD_BYTES)]), descriptor)
                is_first = False
    return digest.hexdigest(), header


def _header(head: bytes, descriptor: int) -> dict[str, str] | None:
    try:
        return read_header(head, partial(os.pread, descriptor))
    except (KeyboardInterrupt, SystemExit, OSError):
        raise
    except BaseException:  # noqa: BLE001 - decoders written in Rust panic with a BaseException
        return None
