"""The port every place that holds a copy of a repository implements.

A place is one repository's bytes in one copy: a directory on a local disk or a mounted medium
(``directory.py``), or a prefix in an Object-Lock bucket (``bucket.py``). It knows nothing of
restic's keys, of stores or of the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from orchestrator.engines.layout import RepositoryFile


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as a place lists it.

    Attributes:
        file: What it is.
        version_id: The bucket's version id; None where there are no versions.
        versions: How many versions of this name exist, delete markers not counted; 1 in a
            directory. More than one for a content-addressed name is an alarm.
        hidden: A delete marker hides the name.
    """

    file: RepositoryFile
    version_id: str | None = None
    versions: int = 1
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a place says of a file it has stored and read back.

    Attributes:
        file: What was stored.
        version_id: The bucket's version id; None in a directory.
        retain_until: Object Lock retain-until as read back, aware UTC; None in a directory.
    """

    file: RepositoryFile
    version_id: str | None = None
    retain_until: datetime | None = None


class Place(Protocol):
    """One repository's bytes in one copy."""

    @property
    def workers(self) -> int:
        """How many `put` calls may usefully run at once, 1 or more."""
        ...

    @property
    def removes_at_once(self) -> bool:
        """Whether a replication may remove files the primary gave up.

        False for a bucket: there a file leaves when its lock has ended, by the sweeper.
        """
        ...

    def list(self) -> Iterator[StoredFile]:
        """List every file of the repository in `layout.LIST_ORDER`.

        Locks and temporary names are left out. An empty place lists nothing.

        Raises:
            UnreachableError: The place cannot be reached.
            CredentialError: Access is refused.
            EngineError: Any other failure of the disk or server.
        """
        ...

    def put(self, file: RepositoryFile, source: Path, digest: str) -> Receipt:
        """Store one file durably; a reader sees it whole or not at all.

        The bytes are verified on the way against `digest`; for all but ``config`` that is the
        file's name. An existing file of the same name and content is replaced by itself.

        Args:
            file: What to store.
            source: The file in the primary.
            digest: SHA-256 of the content in hex.

        Raises:
            DamageError: The source's bytes do not have this digest; nothing was stored.
            UnreachableError: The place went away.
            CredentialError: Access is refused.
            EngineError: Any other failure (full disk, read-back differs, server error).
        """
        ...

    def read(
        self, stored: StoredFile, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Yield the content of one file in pieces of at most 1 MiB, from `offset` on.

        Raises:
            NotFoundError: The file is not there.
            UnreachableError: The place went away.
            CredentialError: Access is refused.
            EngineError: Any other failure.
        """
        ...

    def remove(self, stored: StoredFile) -> None:
        """Remove one file that the primary no longer needs.

        Raises:
            RefusedError: The place does not let it go yet (Object Lock).
            UnreachableError: The place went away.
            EngineError: Any other failure.
        """
        ...

    def flush(self) -> None:
        """Make every earlier `put` and `remove` durable; a no-op where each already is.

        Raises:
            UnreachableError: The place went away.
            EngineError: Any other failure.
        """
        ...


@runtime_checkable
class OpenPlace(Protocol):
    """A place whose files can be had as open files: a folder's."""

    def opened(self, stored: StoredFile) -> AbstractContextManager[int]:
        """Open one file for reading for the length of the block; its descriptor.

        Raises:
            NotFoundError: The file is not there.
            UnreachableError: The place went away.
            CredentialError: Access is refused.
            EngineError: Any other failure, of the block's own reading, too.
        """
        ...
