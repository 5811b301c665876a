"""The port every kind of store implements.

A store knows how to say whether it is really there, to list what it holds and to read it. It
knows nothing of restic, of copies or of the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.manifest import EntryKind, FileStat


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a store as the walk found it.

    Attributes:
        path: Path below the root, raw bytes with forward slashes.
        kind: What it is.
        stat: Its facts; None if it could not be examined.
        links: Hard-link count, 1 or more.
        target: A symlink's target; None otherwise.
        problem: Why it could not be examined (``permission denied``, ``vanished`` …), in words
            without the path; None if it could. A directory that cannot be listed is one entry of
            kind `other` with a problem.
    """

    path: bytes
    kind: EntryKind
    stat: FileStat | None
    links: int = 1
    target: bytes | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What reading one file gave.

    Attributes:
        listed: The entry that was asked for.
        stat: The file's facts after it was read; None if it vanished.
        sha256: SHA-256 of the content in hex; None if it could not be read whole.
        dicom: Header fields, or None if it is not readable DICOM.
        changed: The facts before and after the reading differ.
        problem: Why it could not be read, in words without the path; None if it could.
    """

    listed: Listed
    stat: FileStat | None
    sha256: str | None
    dicom: dict[str, str] | None
    changed: bool = False
    problem: str | None = None


class Store(Protocol):
    """A place where images live."""

    @property
    def root(self) -> Path:
        """The absolute folder that is backed up."""
        ...

    def check_present(self) -> None:
        """Check that the store is really there.

        Raises:
            StoreUnavailableError: The folder is missing, is no folder, cannot be listed, or its
                sentinel file is not there (an unmounted share).
        """
        ...

    def walk(self) -> Iterator[Listed]:
        """List every file, symlink and special file in manifest order (`manifest.tree_key`).

        Symlinks are not followed. Problems are entries, never exceptions, except for the root.

        Raises:
            StoreUnavailableError: The root itself cannot be listed.
        """
        ...

    def read(self, wanted: Iterable[Listed]) -> Iterator[ReadResult]:
        """Read files once each, in the order given, for SHA-256 and DICOM header.

        Memory stays bounded whatever the number and size of the files. Many files are read by
        several processes.
        """
        ...

    def examine(self, path: bytes) -> FileStat | None:
        """Return a file's facts as they are now, or None if it is gone or cannot be examined."""
        ...
