"""The folders below one root: opened without following links, made durable in order.

Every folder is opened from its parent's descriptor with ``O_NOFOLLOW``, so that nothing written
here can land outside the root, whatever happens to the path meanwhile. Raises `OSError` only.
"""

from __future__ import annotations

import ctypes
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Below = tuple[str, ...]
"""A folder below the root, by its names; empty for the root itself."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderTree:
    """One root and the folders below it.

    Args:
        root: The root's path.
        within: Open folder that a relative `root` is looked up in, never through a symbolic
            link; None to take `root` as it stands.
    """

    def __init__(self, root: Path, *, within: int | None = None) -> None:
        if within is not None and (root.is_absolute() or ".." in root.parts):
            raise ValueError("a root within a folder is relative and has no ..")
        self._root = root
        self._within = within

    @contextmanager
    def folder(self, below: Below = ()) -> Iterator[int]:
        """Open a folder for the length of the block.

        Raises:
            OSError: It is not there, not a folder, or a symbolic link.
        """
        descriptor = _walk(self._open_root(), below)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def file(self, below: Below, name: str) -> Iterator[int]:
        """Open a regular file for reading for the length of the block.

        Raises:
            OSError: It is not there, not a regular file, or a symbolic link.
        """
        with self.folder(below) as folder:
            descriptor = open_regular(name, within=folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def make(self, below: Below) -> None:
        """Make a folder and those above it durably, each with mode 0700.

        A root that is not within an open folder is made only if its parent exists.

        Raises:
            OSError: A folder cannot be made.
        """
        if self._within is None:
            self._make_lone_root()
            descriptor, names = self._open_root(), below
        else:
            descriptor = os.open(".", _FOLDER, dir_fd=self._within)
            names = self._root.parts + below
        os.close(_walk(descriptor, names, make=True))

    def subfolders(self, below: Below) -> list[Below]:
        """Return the folders in a folder, sorted; none if the folder is not there.

        Raises:
            OSError: The folder cannot be read.
        """
        return [(*below, name) for name, mode, _ in self._entries(below) if stat.S_ISDIR(mode)]

    def files(self, below: Below) -> list[tuple[str, int]]:
        """Return name and size in bytes of the regular files in a folder, sorted.

        A folder that is not there has none; a file that vanishes meanwhile is left out.

        Raises:
            OSError: The folder cannot be read.
        """
        return [(name, size) for name, mode, size in self._entries(below) if stat.S_ISREG(mode)]

    def _entries(self, below: Below) -> list[tuple[str, int, int]]:
        found = []
        with suppress(FileNotFoundError), self.folder(below) as folder:
            for name in os.listdir(folder):
                with suppress(FileNotFoundError):
                    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    found.append((name, facts.st_mode, facts.st_size))
        return sorted(found)

    def _make_lone_root(self) -> None:
        with suppress(FileExistsError):
            self._root.mkdir(mode=0o700)
            parent = os.open(self._root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)

    def _open_root(self) -> int:
        if self._within is None:
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return _walk(os.open(".", _FOLDER, dir_fd=self._within), self._root.parts)


class PendingSync:
    """Which folders have changes that a power cut could still undo.

    Changes of one kind are made durable before the first change of the next kind, so that a
    power cut leaves what the order of writing promises. Safe to use from several threads.

    Args:
        tree: Where the folders are.
        whole: Write out the whole file system rather than folder by folder; needed where the
            files themselves were not made durable one by one.
    """

    def __init__(self, tree: FolderTree, *, whole: bool) -> None:
        self._tree = tree
        self._whole = whole
        self._lock = threading.Lock()
        self._folders: set[Below] = set()
        self._kind: str | None = None

    def begin(self, kind: str) -> None:
        """Make all changes of other kinds durable before one of `kind`.

        Raises:
            OSError: A folder cannot be made durable.
        """
        with self._lock:
            if self._kind not in (None, kind):
                self._sync()
            self._kind = kind

    def note(self, below: Below) -> None:
        """Remember that a folder has changed."""
        with self._lock:
            self._folders.add(below)

    def sync(self) -> None:
        """Make all changes durable.

        Raises:
            OSError: A folder cannot be made durable; all of them are still pending.
        """
        with self._lock:
            self._sync()

    def _sync(self) -> None:
        if self._folders and self._whole:
            with self._tree.folder() as root:
                sync_file_system(root)
        elif self._folders:
            for below in sorted(self._folders):
                with suppress(FileNotFoundError), self._tree.folder(below) as folder:
                    os.fsync(folder)
        self._folders.clear()


def open_regular(name: str | Path, *, within: int | None = None) -> int:
    """Open a regular file for reading; a symbolic link or device is refused.

    Raises:
        OSError: It is not there, or not a regular file.
    """
    descriptor = os.open(name, _FILE, dir_fd=within)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise IsADirectoryError(21, os.strerror(21))


def sync_file_system(descriptor: int) -> None:
    """Write out everything pending on the file system of an open file or folder.

    Raises:
        OSError: Something could not be written.
    """
    if _libc().syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _walk(descriptor: int, names: Below, *, make: bool = False) -> int:
    """Go down by names from an open folder, which is closed whatever happens."""
    for name in names:
        try:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=descriptor)
                    os.fsync(descriptor)
            below = os.open(name, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor
