"""Carrying one file into a folder: under a temporary name, read back, verified, then renamed.

Knows descriptors and digests; which folder and why is the place's affair.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.engines.disk_errors import explain
from orchestrator.engines.disk_reading import PIECE_BYTES, drop_cached, hash_descriptor
from orchestrator.engines.folder_tree import open_regular
from orchestrator.engines.layout import RepositoryFile
from orchestrator.errors import DamageError, EngineError, NotFoundError, OrchestratorError

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o400  # as restic's own files
_PROCESS = secrets.token_hex(8)
_LEFT_OVER = re.compile(r"(?:config|[0-9a-f]{64})\.(?P<process>[0-9a-f]{16})-[0-9]+\.part")
_serial = itertools.count()


class Transfer:
    """Carries files into the folders of one copy.

    Args:
        copy: Name of the copy, for messages.
        durable: Make each file durable and read it back from the device, not from memory.
    """

    def __init__(self, copy: str, *, durable: bool) -> None:
        self._copy = copy
        self._durable = durable

    def store(self, file: RepositoryFile, origin: int, *, folder: int, digest: str) -> int:
        """Store an open file in an open folder and return its length in bytes.

        Its bytes are durable then if asked for; its name is once the folder is.

        Args:
            file: What it is; an existing file of that name is replaced.
            origin: Descriptor of the source.
            folder: Descriptor of the folder.
            digest: SHA-256 in hex that both the source and what is read back must have.

        Raises:
            DamageError: The source is damaged; nothing was stored.
            EngineError: What was read back differs though the source is good.
            OSError: The disk failed.
        """
        part = f"{file.name}.{_PROCESS}-{next(_serial)}.part"
        target = os.open(part, _CREATE, _MODE, dir_fd=folder)
        try:
            try:
                size = self._write(file, origin, target=target, digest=digest)
            finally:
                os.close(target)
            os.rename(part, file.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
            raise
        return size

    def _write(self, file: RepositoryFile, origin: int, *, target: int, digest: str) -> int:
        try:
            _copy_bytes(origin, target)
            if self._durable:
                os.fsync(target)
                drop_cached(target)
            found, size = hash_descriptor(target)
        except OSError as error:
            if error.errno == errno.EIO:
                _blame_source(file, origin, digest)  # either side may have reported it
            raise
        if found != digest:
            _blame_source(file, origin, digest)
            raise EngineError(
                f"copy {self._copy}: {file.path} was not read back as it was written",
                hint="the disk, its cable or the memory is failing: replace it, then `check`",
            )
        return size


def is_left_over(name: str) -> bool:
    """Say whether a file name is one that a transfer of another process has left behind."""
    match = _LEFT_OVER.fullmatch(name)
    return match is not None and match["process"] != _PROCESS


@contextmanager
def opened_source(file: RepositoryFile, source: Path) -> Iterator[int]:
    """Open a file of the primary for the length of the block.

    Raises:
        NotFoundError: The primary no longer has it.
        DamageError: It cannot be read.
        CredentialError: Access is refused.
        EngineError: Any other failure of the primary's disk.
    """
    try:
        descriptor = open_regular(source)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"primary: {file.path} is gone", hint="run `orchestrator replicate` again"
        ) from error
    except OSError as error:
        raise _source_error(file, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _copy_bytes(origin: int, target: int) -> None:
    # Not copy_file_range: on btrfs and XFS the copy would share the primary's blocks, and one
    # bad sector would damage both.
    buffer = memoryview(bytearray(PIECE_BYTES))
    offset = 0
    while count := os.preadv(origin, [buffer], offset):
        offset += count
        piece = buffer[:count]
        while piece:
            piece = piece[os.write(target, piece) :]


def _blame_source(file: RepositoryFile, origin: int, digest: str) -> None:
    """Raise if it is the source that is wrong."""
    try:
        found, _ = hash_descriptor(origin)
    except OSError as error:
        raise _source_error(file, error) from error
    if found != digest:
        raise DamageError(
            f"primary: {file.path} does not have the bytes it must have; it was not stored",
            hint="`orchestrator check` names all damage; another copy may hold good bytes",
        )


def _source_error(file: RepositoryFile, error: OSError) -> OrchestratorError:
    if error.errno in (errno.EIO, errno.ELOOP, errno.EISDIR):
        return DamageError(
            f"primary: {file.path} cannot be read ({os.strerror(error.errno)})",
            hint="look at the primary's disk; `orchestrator check` names all damage",
        )
    return explain("primary", f"reading a {file.kind} file", error)
