"""The files of a log, wherever they are: a folder, an archive, a program's memory.

Knows nothing of what is in them. What is read is bounded, so that a file that was replaced by a
huge one cannot exhaust the memory of whoever verifies it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.ledger import disk, tiles

LARGEST_FILE = (2 + tiles.LARGEST_ENTRY) * tiles.WIDTH
"""No file of a log is larger, in bytes."""


class Files(Protocol):
    """Files by their paths below the log's folder, with slashes."""

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, at most one more than `LARGEST_FILE`; None if there is none.

        Raises:
            OSError: It cannot be read.
        """
        ...

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 in hex of a file of any length; None if there is none.

        Raises:
            OSError: It cannot be read.
        """
        ...

    def below(self, folder: str) -> Iterator[str]:
        """Yield the paths of all files in a folder and those in it, in any order; "" is the top.

        Raises:
            OSError: A folder cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of a log's folder; symbolic links are not followed.

    Attributes:
        root: The log's folder.
    """

    root: Path

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, at most one more than `LARGEST_FILE`; None if there is none.

        Raises:
            OSError: It cannot be read.
        """
        return read_file(self.root / path)

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 in hex of a file of any length; None if there is none.

        Raises:
            OSError: It cannot be read.
        """
        descriptor = _open(self.root / path)
        if descriptor is None:
            return None
        with os.fdopen(descriptor, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def below(self, folder: str) -> Iterator[str]:
        """Yield the paths of all files in a folder and those in it, in any order; "" is the top.

        Raises:
            OSError: A folder cannot be read.
        """
        if (self.root / folder).is_dir():
            yield from disk.files_below(self.root / folder, folder and f"{folder}/")


def read_file(path: Path) -> bytes | None:
    """Return a file's bytes, at most one more than `LARGEST_FILE`; None if there is none.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = _open(path)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(LARGEST_FILE + 1)


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
