"""Writes private files whole or not at all.

Knows nothing of what is in them. A file appears under its name only when its bytes are on the
disk; a writer that is killed leaves a partial file behind that the next writer takes over.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from orchestrator.errors import EngineError, LockedError


class PrivateFile:
    """A file of mode 0600 in the making; a context manager.

    Leaving the context without an exception publishes the file: its bytes and its name MUST be
    on the disk then. With an exception nothing is left and an earlier file stays as it was.

    Args:
        path: Where the file is to appear; its folder must exist.

    Raises:
        LockedError: Another process is writing this file.
        EngineError: The disk refuses (full, read-only, folder missing).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._stream: BinaryIO | None = None

    def __enter__(self) -> PrivateFile:
        while True:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(self._partial, flags, 0o600)
            except OSError as error:
                raise self._failed(error) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its last writer may have published it just before the lock was free.
                if os.path.samestat(os.fstat(descriptor), os.stat(self._partial)):
                    os.ftruncate(descriptor, 0)
                    os.fchmod(descriptor, 0o600)
                    self._stream = os.fdopen(descriptor, "wb")
                    return self
            except BlockingIOError:
                os.close(descriptor)
                raise LockedError(f"{self._path.name} is being written by another run") from None
            except FileNotFoundError:
                pass
            os.close(descriptor)

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            EngineError: The disk refuses.
        """
        try:
            self._open_stream.write(data)
        except OSError as error:
            raise self._failed(error) from error

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._drop()
            return
        try:
            stream = self._open_stream
            stream.flush()
            os.fsync(stream.fileno())
            self._partial.replace(self._path)
            stream.close()
            sync_folder(self._path.parent)
        except OSError as error:
            self._drop()
            raise self._failed(error) from error

    @property
    def _open_stream(self) -> BinaryIO:
        if self._stream is None:
            raise ValueError("not inside its context")
        return self._stream

    def _drop(self) -> None:
        # Removed before the lock is released by closing, so that nobody else's file is removed.
        with suppress(OSError):
            self._partial.unlink()
        with suppress(OSError):  # closing may write what is left, onto a full disk
            self._open_stream.close()

    def _failed(self, error: OSError) -> EngineError:
        why = (error.strerror or "unknown error").lower()
        return EngineError(f"{self._path.name} in {self._path.parent} cannot be written: {why}")


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk.

    Raises:
        OSError: The folder cannot be opened or synchronised.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
