"""Where a spool's files lie: small ones together in one file, each larger one in its own.

None has a name on the disk. Not safe to use from several threads: the spool takes care of that.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from orchestrator.engines.interface import StoredFile
from orchestrator.errors import DamageError, OrchestratorError

SMALL_BYTES = 64 * 1024
"""Up to this length files share one: snapshots and keys are many, open files are few."""


class SmallFiles:
    """One unnamed file that many small ones share; they stay until it is closed.

    Args:
        folder: Existing folder; the system's temporary folder for None.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0

    def take(self, size_bytes: int) -> tuple[int, int]:
        """Return the descriptor, and the offset at which so many bytes have room.

        Raises:
            OSError: The folder is not there.
        """
        if self._file is None:
            self._file = unnamed(self._folder)
        offset = self._end
        self._end += size_bytes
        return self._file.fileno(), offset

    def close(self) -> None:
        """Let go of all of them."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Arriving:
    """One file on its way from a place, or wholly there.

    Args:
        stored: The version that is asked for.

    Attributes:
        stored: The version that is fetched; the right one once it is settled.
        descriptor: Open file that holds the bytes.
        base: Offset of the first of them.
        arrived: How many may be sent on.
        settled: The whole is there and right.
        error: Why it will not be.
        users: How many read it just now.
    """

    def __init__(self, stored: StoredFile) -> None:
        self.stored = stored
        self.descriptor = -1
        self.base = 0
        self.arrived = 0
        self.settled = False
        self.error: OrchestratorError | None = None
        self.users = 0
        self._file: IO[bytes] | None = None

    @property
    def is_coming(self) -> bool:
        """Whether it is still being fetched."""
        return not self.settled and self.error is None

    @property
    def kept_bytes(self) -> int:
        """What would be free if it went; 0 for a small file."""
        return self.stored.file.size_bytes if self._file is not None else 0

    def begin(self, stored: StoredFile, small: SmallFiles, folder: Path | None) -> None:
        """Make room for a version, in the place of another one.

        Raises:
            OSError: The folder is not there.
        """
        self.close()
        self.stored = stored
        if stored.file.size_bytes <= SMALL_BYTES:
            self.descriptor, self.base = small.take(stored.file.size_bytes)
        else:
            self._file = unnamed(folder)
            self.descriptor, self.base = self._file.fileno(), 0

    def write(self, offset: int, piece: bytes) -> None:
        """Keep bytes that have come.

        Args:
            offset: Where they belong in the file.
            piece: The bytes.

        Raises:
            OSError: There is no room for them.
        """
        left, at = memoryview(piece), self.base + offset
        while left:
            count = os.pwrite(self.descriptor, left, at)
            left, at = left[count:], at + count

    def close(self) -> None:
        """Let go of a file of its own."""
        if self._file is not None:
            self._file.close()
            self._file = None


def unnamed(folder: Path | None) -> IO[bytes]:
    """Open a new file that has no name and is gone when it is closed.

    Raises:
        OSError: The folder is not there, or cannot be written.
    """
    return tempfile.TemporaryFile(dir=folder, buffering=0)


def wrong_bytes(stored: StoredFile) -> DamageError:
    """Return the error for a file whose bytes are wrong."""
    return DamageError(
        f"{stored.file.path}: its bytes are not what they must be",
        hint="restore from another copy, and find out more: orchestrator check",
    )
