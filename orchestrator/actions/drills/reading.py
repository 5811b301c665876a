"""Reading files while restic is still restoring others.

restic says when a file's content is whole; it is then read at once, while it is in memory. What
was found is kept as a fingerprint by path. Judges nothing: a file that was missed here, or found
different, is read again when the restore has ended.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

from orchestrator.actions.drills.expected import fingerprint_of, identity_of
from orchestrator.drills.table import DigestTable
from orchestrator.stores.folder import FolderStore
from orchestrator.stores.interface import Listed


def path_key(path: bytes) -> bytes:
    """Return the key of a path in a table of what was read."""
    return blake2b(path, digest_size=8).digest()


class ReadingAlong:
    """Reads files in the background while its ``with`` block runs; leaving it waits for the rest.

    Args:
        folder: The folder that is being restored to.
        expected: How many files will come.
        on_read: Called with the number of files read so far.
    """

    def __init__(self, folder: Path, *, expected: int, on_read: Callable[[int], None]) -> None:
        self.seen = DigestTable(expected)
        self.files = 0
        # Worker processes would wait for a batch, and large files come one by one.
        self._store = FolderStore("restored", folder, workers=1)
        self._on_read = on_read
        self._paths: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="drill-reading")

    def take(self, path: bytes) -> None:
        """Read this file soon."""
        self._paths.put(path)

    def __enter__(self) -> ReadingAlong:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._paths.put(None)
        self._thread.join()
        if kind is None and self._failure is not None:
            raise self._failure

    def _listed(self) -> Iterator[Listed]:
        while (path := self._paths.get()) is not None:
            yield Listed(path, "file", None)

    def _work(self) -> None:
        try:
            for read in self._store.read(self._listed()):
                if read.sha256 is not None:
                    found = fingerprint_of(bytes.fromhex(read.sha256), identity_of(read.dicom))
                    self.seen.put(path_key(read.listed.path), found)
                    self.files += 1
                    self._on_read(self.files)
        except BaseException as error:  # noqa: BLE001 - raised where the restore is waited for
            self._failure = error
