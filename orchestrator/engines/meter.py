"""Counts what goes through a lens.

Knows nothing of sockets, places or restic.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from orchestrator.engines.interface import StoredFile


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through a lens.

    Attributes:
        requests: Requests answered, listings and refusals included.
        reads: Requests for (parts of) files' contents.
        sent_bytes: Bytes of contents sent.
        files: Different files whose contents were asked for.
    """

    requests: int
    reads: int
    sent_bytes: int
    files: int


class Meter:
    """Counts what goes through a lens; safe to use from several threads.

    A cap is a meter whose `sent` raises an `OrchestratorError`: the lens then fails with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._reads = self._sent_bytes = 0
        self._files: set[tuple[str, str]] = set()

    def request(self) -> None:
        """Count a request."""
        with self._lock:
            self._requests += 1

    def read(self, stored: StoredFile) -> None:
        """Count a request for a file's content."""
        with self._lock:
            self._reads += 1
            self._files.add(stored.file.key)

    def sent(self, size_bytes: int) -> None:
        """Count bytes that are about to be sent."""
        with self._lock:
            self._sent_bytes += size_bytes

    def traffic(self) -> Traffic:
        """Return the counts so far."""
        with self._lock:
            return Traffic(self._requests, self._reads, self._sent_bytes, len(self._files))
