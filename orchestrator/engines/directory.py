"""A copy that is a folder: on a local disk, or on a mounted medium.

Every file is written under a temporary name, made durable, read back from the device, and
renamed only if what was read has the right SHA-256. Nothing here follows a symbolic link below
the copy's root, and nothing here knows keys, stores or the catalog.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.engines.disk_errors import disk_errors
from orchestrator.engines.disk_reading import (
    PIECE_BYTES,
    Checked,
    drop_cached,
    hash_descriptor,
    in_threads,
)
from orchestrator.engines.folder_tree import Below, FolderTree, PendingSync
from orchestrator.engines.interface import Receipt, StoredFile
from orchestrator.engines.layout import LIST_ORDER, Kind, RepositoryFile, file_path, parse_path
from orchestrator.engines.transfer import Transfer, is_left_over, opened_source
from orchestrator.errors import EngineError, NotFoundError


class DirectoryPlace:
    """One repository's bytes in one folder; implements `interface.Place`.

    Args:
        copy: Name of the copy, for messages.
        root: The repository's folder. The first `put` makes it, if its parent exists.
        durable: Make each file durable and read it back from the device. False: everything
            becomes durable in `flush`, and files are read back from memory.
        guard: Called before and after each change; MUST raise if this is not the right place.
        within: Open folder that a relative `root` is looked up in, so that what is written can
            only land on that folder's file system; it stays the caller's. All missing folders
            of `root` are made there.
    """

    def __init__(
        self,
        copy: str,
        root: Path,
        *,
        durable: bool = True,
        guard: Callable[[], None] | None = None,
        within: int | None = None,
    ) -> None:
        self._copy = copy
        self._guard = guard or (lambda: None)
        self._tree = FolderTree(root, within=within)
        self._pending = PendingSync(self._tree, whole=not durable)
        self._transfer = Transfer(copy, durable=durable)
        self._preparing = threading.Lock()
        self._prepared = False

    @property
    def workers(self) -> int:
        """How many `put` calls may usefully run at once: one hashes while one writes."""
        return 2

    @property
    def removes_at_once(self) -> bool:
        """A folder lets go of files at once."""
        return True

    def list(self) -> Iterator[StoredFile]:
        """List every file of the repository in `layout.LIST_ORDER`.

        Raises:
            UnreachableError: The disk went away.
            CredentialError: Access is refused.
            EngineError: Any other failure of the disk.
        """
        self._guard()
        for kind in LIST_ORDER:
            for below in self._folders(kind):
                with disk_errors(self._copy, "listing it"):
                    found = self._tree.files(below)
                for name, size in found:
                    if parse_path("/".join((*below, name))) == (kind, name):
                        yield StoredFile(RepositoryFile(kind, name, size))
        self._guard()

    def put(self, file: RepositoryFile, source: Path, digest: str) -> Receipt:
        """Store one file; a reader sees it whole or not at all. Its name is durable after `flush`.

        Files of one kind are durable before the first file of the next kind is stored.

        Args:
            file: What to store.
            source: The file in the primary.
            digest: SHA-256 of the content in hex.

        Raises:
            DamageError: The source's bytes do not have this digest; nothing was stored.
            NotFoundError: The primary no longer has the file: a prune took it.
            UnreachableError: The disk went away.
            CredentialError: Access is refused.
            EngineError: Any other failure (full disk, what is read back differs).
        """
        self._guard()
        storing = disk_errors(self._copy, f"storing a {file.kind} file")
        with opened_source(file, source) as origin, storing:
            self._prepare()
            self._pending.begin(file.kind)
            size = self._store(file, origin, digest)
        self._guard()
        return Receipt(replace(file, size_bytes=size))

    def read(
        self, stored: StoredFile, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Yield the content of one file in pieces of at most 1 MiB, from `offset` on.

        Raises:
            NotFoundError: The file is not there.
            UnreachableError: The disk went away.
            CredentialError: Access is refused.
            EngineError: Any other failure of the disk.
        """
        left = PIECE_BYTES if length is None else length
        with self.opened(stored) as descriptor:
            while left > 0 and (piece := os.pread(descriptor, min(PIECE_BYTES, left), offset)):
                offset += len(piece)
                if length is not None:
                    left -= len(piece)
                yield piece

    def remove(self, stored: StoredFile) -> None:
        """Remove one file that the primary no longer needs; one that is gone is no error.

        Files of one kind are gone for good before the first file of the next kind goes.

        Raises:
            UnreachableError: The disk went away.
            CredentialError: Access is refused.
            EngineError: Any other failure of the disk.
        """
        file = stored.file
        self._guard()
        with disk_errors(self._copy, f"removing a {file.kind} file"):
            self._pending.begin(file.kind)
            with suppress(FileNotFoundError), self._tree.folder(_below(file)) as folder:
                os.unlink(file.name, dir_fd=folder)
                self._pending.note(_below(file))
        self._guard()

    def flush(self) -> None:
        """Make every earlier `put` and `remove` durable.

        Raises:
            UnreachableError: The disk went away.
            EngineError: Any other failure of the disk.
        """
        self._guard()
        with disk_errors(self._copy, "making it durable"):
            self._pending.sync()
        self._guard()

    def hash_file(self, stored: StoredFile, *, cached: bool = False) -> str:
        """Return the SHA-256 in hex of one file as the device holds it.

        Args:
            stored: Which file.
            cached: Bytes that are still in memory will do.

        Raises:
            NotFoundError: The file is not there.
            UnreachableError: The disk went away.
            CredentialError: Access is refused.
            EngineError: Any other failure of the disk.
        """
        self._guard()
        with self.opened(stored) as descriptor:
            if not cached:
                drop_cached(descriptor)
            return hash_descriptor(descriptor)[0]

    def verify(
        self,
        files: Iterable[StoredFile],
        *,
        config_sha256: str | None = None,
        threads: int = 2,
        cached: bool = False,
    ) -> Iterator[Checked]:
        """Hash files in several threads and compare; results come in the order of `files`.

        Args:
            files: What to verify, as `list` gives it.
            config_sha256: Recorded SHA-256 of ``config``, which is not named by its content.
                Without it ``config`` cannot be verified and is reported as a problem.
            threads: 1 or more.
            cached: Bytes that are still in memory will do.

        Raises:
            UnreachableError: The disk went away.
            CredentialError: Access is refused.
            EngineError: Any failure of the disk but an unreadable or missing file.
        """

        def check(stored: StoredFile) -> Checked:
            expected = config_sha256 if stored.file.kind == "config" else stored.file.name
            return self._check(stored, expected, cached=cached)

        return in_threads(check, files, threads=threads)

    def _check(self, stored: StoredFile, expected: str | None, *, cached: bool) -> Checked:
        if expected is None:
            return Checked(stored, False, "its SHA-256 was never recorded")
        try:
            found = self.hash_file(stored, cached=cached)
        except NotFoundError:
            return Checked(stored, False, "it is gone")
        except EngineError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO:
                return Checked(stored, False, "it cannot be read: input/output error")
            raise
        if found != expected:
            return Checked(stored, False, "its bytes are not what they must be")
        return Checked(stored, True, None)

    @contextmanager
    def opened(self, stored: StoredFile) -> Iterator[int]:
        """Open one file for reading for the length of the block.

        Raises:
            NotFoundError: The file is not there.
            UnreachableError: The disk went away.
            CredentialError: Access is refused.
            EngineError: Any other failure of the disk, in the block, too.
        """
        file = stored.file
        with disk_errors(self._copy, f"reading a {file.kind} file"):
            try:
                with self._tree.file(_below(file), file.name) as descriptor:
                    yield descriptor
            except FileNotFoundError as error:
                raise NotFoundError(
                    f"copy {self._copy}: {file.path} is not there",
                    hint=f"run `orchestrator check {self._copy}`",
                ) from error

    def _store(self, file: RepositoryFile, origin: int, digest: str) -> int:
        below = _below(file)
        self._make(below)
        with self._tree.folder(below) as folder:
            size = self._transfer.store(file, origin, folder=folder, digest=digest)
        self._pending.note(below)
        return size

    def _prepare(self) -> None:
        """Make the root, and remove what a killed run left there."""
        with self._preparing:
            if self._prepared:
                return
            self._make(())
            for kind in LIST_ORDER:
                for below in self._folders(kind):
                    self._sweep(below)
            self._prepared = True

    def _make(self, below: Below) -> None:
        try:
            with self._tree.folder(below):
                return
        except FileNotFoundError:
            pass
        try:
            self._tree.make(below)
        except FileNotFoundError as error:
            raise EngineError(
                f"copy {self._copy}: the folder above the copy's own is not there",
                hint="mount its disk, or make the folder that site.toml names",
            ) from error

    def _sweep(self, below: Below) -> None:
        for name, _ in self._tree.files(below):
            if is_left_over(name):
                with suppress(FileNotFoundError), self._tree.folder(below) as folder:
                    os.unlink(name, dir_fd=folder)

    def _folders(self, kind: Kind) -> Iterable[Below]:
        if kind == "data":
            with disk_errors(self._copy, "listing it"):
                return self._tree.subfolders(("data",))
        return [() if kind == "config" else (kind,)]


def _below(file: RepositoryFile) -> Below:
    return tuple(file_path(file.kind, file.name).split("/")[:-1])
