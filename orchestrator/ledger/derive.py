"""Derives tiles from the stored entries, and says where the stored tiles differ.

The part of a verification that costs time, by runs of bundles, so that several processes can
share it. Knows the files of a log and nothing of its signatures.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

from orchestrator.ledger import tiles, tree
from orchestrator.ledger.files import Files
from orchestrator.ledger.tiles import ENTRIES, WIDTH, Place

RUN = 64
"""Bundles that a process is handed at once."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What the entries of one bundle say.

    Attributes:
        root: Root over the bundle's leaves if it is full; empty otherwise.
        leaves: The leaf hashes, joined, where they were asked for or the bundle is not full.
        problems: What is wrong, in sentences.
    """

    root: bytes
    leaves: bytes
    problems: tuple[str, ...] = ()


Wanted = tuple[int, int, bool]
"""A bundle's index, its width, and whether its leaf hashes are asked for."""


def derive(files: Files, wanted: Wanted) -> Derived:
    """Derive one tile of level 0.

    Where the entries cannot be read, the stored tile stands in, so that what follows can still be
    looked at; the problem is reported all the same.
    """
    index, width, want_leaves = wanted
    problems: list[str] = []
    entries = _entries(files, Place(ENTRIES, index, width), problems)
    place = Place(0, index, width)
    stored = read(files, place.path, problems)
    leaves = stored or b""
    if entries is not None:
        sha256 = hashlib.sha256
        leaves = b"".join([sha256(b"\0" + entry).digest() for entry in entries])
        if stored is not None and stored != leaves:
            problems.append(_difference(place, leaves, stored))
    if len(leaves) != width * tree.HASH_SIZE:
        return Derived(b"", b"", tuple(problems))
    is_full = width == WIDTH
    root = tree.perfect_root(tiles.decode_tile(leaves, width)) if is_full else b""
    return Derived(root, leaves if want_leaves or not is_full else b"", tuple(problems))


def derive_all(files: Files, wanted: Iterator[Wanted], *, workers: int) -> Generator[Derived]:
    """Derive many tiles, in order.

    Closing the iterator ends the processes.

    Args:
        files: Where to read; must be fit to be handed to another process if `workers` is not 0.
        wanted: Which ones.
        workers: Processes to use; 0 for none but this one.
    """
    if not workers:
        for one in wanted:
            yield derive(files, one)
        return
    # Spawned, never forked: this process may run threads.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        pending: deque[Future[list[Derived]]] = deque()
        while run := list(islice(wanted, RUN)):
            pending.append(pool.submit(_derive_run, files, run))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def read(files: Files, path: str, problems: list[str]) -> bytes | None:
    """Return a file's bytes; None, and a problem, if there is none or it cannot be read."""
    try:
        data = files.read(path)
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror or type(error).__name__}")
        return None
    if data is None:
        problems.append(f"{path} is missing")
    return data


def _derive_run(files: Files, run: Sequence[Wanted]) -> list[Derived]:
    return [derive(files, one) for one in run]


def _entries(files: Files, place: Place, problems: list[str]) -> list[bytes] | None:
    data = read(files, place.path, problems)
    if data is None:
        return None
    try:
        return tiles.decode_bundle(data, place.width)
    except ValueError as error:
        problems.append(f"{place.path} {error}")
        return None


def _difference(place: Place, derived: bytes, stored: bytes) -> str:
    size = tree.HASH_SIZE
    if len(stored) != len(derived):
        return f"{place.path} does not hold {place.width} hashes"
    differing = [
        place.index * WIDTH + at // size
        for at in range(0, len(derived), size)
        if derived[at : at + size] != stored[at : at + size]
    ]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"{place.path}: entry {differing[0]}{more} and its hash do not fit together"
