"""A target of a replication that stores nothing: it reads back what the primary has written.

Where no replica takes a file and so proves the primary's bytes, this does, and like a replica it
works while the backup is still writing. It must not know keys, stores or the catalog.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from orchestrator.engines.disk_reading import drop_cached, hash_descriptor
from orchestrator.engines.interface import Receipt, StoredFile
from orchestrator.engines.layout import RepositoryFile
from orchestrator.engines.transfer import opened_source
from orchestrator.errors import DamageError, RefusedError


class Witness:
    """Verifies a primary file by file; implements `interface.Place`.

    Args:
        copy: Name of the primary, for messages.
        proven: Files whose bytes were verified before, which it counts as held.
    """

    def __init__(self, copy: str, proven: Collection[StoredFile]) -> None:
        self._copy = copy
        self._proven = proven

    @property
    def workers(self) -> int:
        """One file at a time: the engine wants the disk and the cores."""
        return 1

    @property
    def removes_at_once(self) -> bool:
        """It has nothing to remove."""
        return False

    def list(self) -> Iterator[StoredFile]:
        """List what needs no further proof."""
        yield from self._proven

    def put(self, file: RepositoryFile, source: Path, digest: str) -> Receipt:
        """Hash one file of the primary as the device holds it.

        Raises:
            DamageError: Its bytes do not have this digest.
            NotFoundError: The primary no longer has the file.
            CredentialError: Access is refused.
            EngineError: Any other failure of the disk.
        """
        with opened_source(file, source) as origin:
            drop_cached(origin)
            found, size_bytes = hash_descriptor(origin)
        if found != digest:
            raise DamageError(
                f"copy {self._copy}: {file.path} does not have the bytes it must have",
                hint=f"suspect the disk; orchestrator check {self._copy}",
            )
        return Receipt(RepositoryFile(file.kind, file.name, size_bytes))

    def read(
        self, stored: StoredFile, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Refuse: there are no bytes here.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(f"copy {self._copy}: a witness holds no bytes")

    def remove(self, stored: StoredFile) -> None:
        """Refuse: the primary is restic's.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError(f"copy {self._copy}: a witness removes nothing")

    def flush(self) -> None:
        """Do nothing: nothing was written."""
