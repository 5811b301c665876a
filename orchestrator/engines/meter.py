"""Counts what goes through a lens, and caps it.

Knows nothing of sockets, places or restic.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from orchestrator.engines.interface import StoredFile
from orchestrator.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through a lens.

    Attributes:
        requests: Requests answered, listings and refusals included.
        reads: Requests for (parts of) files' contents.
        sent_bytes: Bytes of contents sent.
        files: Different files whose contents were asked for.
        fetches: Requests for contents made of the place.
        fetched_bytes: Bytes of contents that came from the place.
    """

    requests: int
    reads: int
    sent_bytes: int
    files: int
    fetches: int = 0
    fetched_bytes: int = 0


class Meter:
    """Counts what goes through a lens; safe to use from several threads.

    A cap is a meter whose `sent`, `fetch` or `fetched` raises an `OrchestratorError`: the lens
    then fails with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._reads = self._sent_bytes = 0
        self._fetches = self._fetched_bytes = 0
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

    def fetch(self) -> None:
        """Count a request that is about to be made of the place."""
        with self._lock:
            self._fetches += 1

    def fetched(self, size_bytes: int) -> None:
        """Count bytes that have come from the place."""
        with self._lock:
            self._fetched_bytes += size_bytes

    def traffic(self) -> Traffic:
        """Return the counts so far."""
        with self._lock:
            return Traffic(
                self._requests,
                self._reads,
                self._sent_bytes,
                len(self._files),
                self._fetches,
                self._fetched_bytes,
            )


class CappedMeter(Meter):
    """A meter that ends the lens when more is asked of the place than was allowed.

    Args:
        max_requests: Most requests for contents, 0 or more; None for no cap.
        max_bytes: Most bytes of contents, 0 or more; None for no cap. What is under way when
            the cap is reached can add up to 1 MiB per connection.
    """

    def __init__(self, *, max_requests: int | None = None, max_bytes: int | None = None) -> None:
        super().__init__()
        self._max_requests = max_requests
        self._max_bytes = max_bytes

    def fetch(self) -> None:
        """Count a request that is about to be made of the place.

        Raises:
            RefusedError: It would be one too many.
        """
        super().fetch()
        if self._max_requests is not None and self._fetches > self._max_requests:
            raise RefusedError(
                f"the cap of {self._max_requests} requests to the copy was reached",
                hint="allow more with --max-requests, or ask for less",
            )

    def fetched(self, size_bytes: int) -> None:
        """Count bytes that have come from the place.

        Raises:
            RefusedError: They are too many.
        """
        super().fetched(size_bytes)
        if self._max_bytes is not None and self._fetched_bytes > self._max_bytes:
            raise RefusedError(
                f"the cap of {self._max_bytes} bytes from the copy was reached",
                hint="allow more with --max-bytes, or ask for less",
            )
