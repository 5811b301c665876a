"""Reading what a disk really holds: past the cache, hashed, in several threads.

Knows descriptors and bytes only.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from orchestrator.engines.interface import StoredFile

PIECE_BYTES = 1 << 20
"""How much is held in memory of one file at a time."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Checked(NamedTuple):
    """What verifying one file came to.

    Attributes:
        stored: The file.
        ok: Its bytes are what they must be.
        problem: What is wrong, as a clause without the file's name; None if nothing is.
    """

    stored: StoredFile
    ok: bool
    problem: str | None


def hash_descriptor(descriptor: int) -> tuple[str, int]:
    """Return SHA-256 in hex and length in bytes of an open file, from its start.

    The descriptor's position does not matter and is not changed.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    size = os.fstat(descriptor).st_size
    buffer = memoryview(bytearray(min(PIECE_BYTES, size + 1)))
    offset = 0
    while count := os.preadv(descriptor, [buffer], offset):
        digest.update(buffer[:count])
        offset += count
    return digest.hexdigest(), offset


def drop_cached(descriptor: int) -> None:
    """Make the next read of an open file come from the device, not from memory.

    Pages that were not written yet stay: `os.fsync` first.

    Raises:
        OSError: The descriptor is not a file's.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int
) -> Iterator[_Result]:
    """Yield the results of `work` in the order of `items`, working a little ahead.

    An error of `work` is raised in its turn; what is waiting then is given up.

    Args:
        work: Called in a thread for each item.
        items: Taken only a few ahead of what was yielded.
        threads: 1 or more.
    """
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(threads, "verify")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= threads * 4:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
