"""A store that is a folder: DICOM files and whatever else lies beside them.

It says whether the folder is really there, lists it in manifest order and reads its files. It
knows nothing of restic, of copies or of the catalog.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from orchestrator.errors import StoreUnavailableError
from orchestrator.manifest import FileStat
from orchestrator.stores.interface import Listed, ReadResult
from orchestrator.stores.reading import (
    PIECE_BYTES,
    describe,
    file_stat,
    is_readable,
    not_read,
    read_content,
    result_of,
)

FEW_FILES = 256
FEW_BYTES = 64 * 1024 * 1024
"""Up to so many files and bytes, starting worker processes would cost more than it saves."""

_MOST_WORKERS = 8


class FolderStore:
    """A folder of images.

    Args:
        name: The store's name in the site file, for messages.
        root: The folder; absolute, and not itself a symbolic link.
        sentinel: Path below the root of a file that must be there, the sign that a share is
            mounted; None for no such guard.
        workers: Processes that read many files, 1 or more; None for one per two usable cores,
            at most 8: the engine that stores the files needs the others.
    """

    def __init__(
        self, name: str, root: Path, *, sentinel: str | None = None, workers: int | None = None
    ) -> None:
        self._name = name
        self._root = root
        self._root_bytes = os.fsencode(root)
        self._sentinel = sentinel
        self._workers = workers or max(1, min(_usable_cores() // 2, _MOST_WORKERS))

    @property
    def root(self) -> Path:
        """The absolute folder that is backed up."""
        return self._root

    def check_present(self) -> None:
        """Check that the store is really there.

        A root that is a symbolic link is refused too: restic would store the link alone.

        Raises:
            StoreUnavailableError: The folder is missing, is no folder, cannot be listed, or its
                sentinel file is not there.
        """
        try:
            mode = os.lstat(self._root_bytes).st_mode
            if stat.S_ISLNK(mode):
                raise self._unavailable(
                    "its folder is a symbolic link", hint="name the folder it points to"
                )
            if not stat.S_ISDIR(mode):
                raise self._unavailable("its path is not a folder")
            with os.scandir(self._root_bytes):
                pass
        except OSError as error:
            raise self._cannot_list(error) from error
        if self._sentinel is not None and not self._has_sentinel(self._sentinel):
            raise self._unavailable(
                f"its sentinel file {self._sentinel!r} is not there",
                hint="is the share mounted? If it is, create the sentinel file on it",
            )

    def walk(self) -> Iterator[Listed]:
        """List every file, symlink and special file in manifest order (`manifest.tree_key`).

        Memory: the names not yet visited of one directory per level.

        Raises:
            StoreUnavailableError: The root itself cannot be listed.
        """
        try:
            names = _names(self._root_bytes)
        except OSError as error:
            raise self._cannot_list(error) from error
        levels = [(b"", names)]
        while levels:
            below, names = levels[-1]
            if not names:
                levels.pop()
                continue
            path = below + names.pop()
            listed = self._examine(path)
            if listed is not None:
                yield listed
                continue
            try:
                levels.append((path + b"/", _names(self._absolute(path))))
            except OSError as error:
                yield Listed(path, "other", None, problem=describe(error))

    def read(self, wanted: Iterable[Listed]) -> Iterator[ReadResult]:
        """Read files once each, in the order given, for SHA-256 and DICOM header.

        Only regular files are opened; anything else comes back with a problem. Closing the
        iterator ends the worker processes.

        Raises:
            EngineError: A worker process died.
        """
        if self._workers == 1:
            # Nothing is asked for ahead: a drill names files as they are restored.
            yield from self._read_here(wanted)
            return
        entries = iter(wanted)
        first = _take_few(entries)
        rest = next(entries, None)
        if rest is None:
            yield from self._read_here(first)
            return
        from orchestrator.stores.workers import read_in_processes

        yield from read_in_processes(
            itertools.chain(first, [rest], entries),
            root=self._root_bytes,
            workers=self._workers,
            store=self._name,
        )

    def examine(self, path: bytes) -> FileStat | None:
        """Return a file's facts as they are now, or None if it is gone or cannot be examined."""
        try:
            return file_stat(os.lstat(self._absolute(path)))
        except OSError:
            return None

    def _absolute(self, path: bytes) -> bytes:
        return os.path.join(self._root_bytes, path)

    def _examine(self, path: bytes) -> Listed | None:
        """Return the entry, or None for a directory."""
        try:
            facts = os.lstat(self._absolute(path))
            if stat.S_ISREG(facts.st_mode):
                return Listed(path, "file", file_stat(facts), facts.st_nlink)
            if stat.S_ISDIR(facts.st_mode):
                return None
            if stat.S_ISLNK(facts.st_mode):
                target = os.readlink(self._absolute(path))
                return Listed(path, "symlink", file_stat(facts), facts.st_nlink, target)
            return Listed(path, "other", file_stat(facts), facts.st_nlink)
        except OSError as error:
            return Listed(path, "other", None, problem=describe(error))

    def _read_here(self, wanted: Iterable[Listed]) -> Iterator[ReadResult]:
        buffer = bytearray(PIECE_BYTES)
        for listed in wanted:
            if is_readable(listed):
                yield result_of(listed, read_content(self._absolute(listed.path), buffer))
            else:
                yield not_read(listed)

    def _has_sentinel(self, sentinel: str) -> bool:
        try:
            return stat.S_ISREG(os.lstat(self._root / sentinel).st_mode)
        except OSError:
            return False

    def _cannot_list(self, error: OSError) -> StoreUnavailableError:
        reason = describe(error)
        if reason == "vanished":
            return self._unavailable("its folder does not exist", hint="is the share mounted?")
        return self._unavailable(f"its folder cannot be listed: {reason}")

    def _unavailable(self, why: str, *, hint: str | None = None) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"store {self._name}: {why}; nothing was read", hint=hint or "orchestrator doctor"
        )


def _names(directory: bytes) -> list[bytes]:
    """List a directory, last name first, so that names leave memory as they are visited."""
    names = os.listdir(directory)
    names.sort(reverse=True)
    return names


def _take_few(entries: Iterator[Listed]) -> list[Listed]:
    """Take as much as is not worth a worker process."""
    taken = []
    size_bytes = 0
    for listed in entries:
        taken.append(listed)
        size_bytes += listed.stat.size_bytes if listed.stat else 0
        if len(taken) >= FEW_FILES or size_bytes >= FEW_BYTES:
            break
    return taken


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
