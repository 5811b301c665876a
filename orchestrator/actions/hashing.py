"""Hashing what a copy holds: which files belong to a slice, and whether their bytes are right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.interface import Place, StoredFile
from orchestrator.errors import NotFoundError


def in_slice(stored: StoredFile, part: tuple[int, int]) -> bool:
    """Say whether a file belongs to a slice; names are hashes, so slices are even.

    Args:
        stored: The file.
        part: Slice n of t.
    """
    number, total = part
    if stored.file.kind == "config":
        return True
    return int(stored.file.name[:12], 16) % total == number - 1


def hashed(
    place: Place, files: Iterable[StoredFile], *, config_sha256: str
) -> Iterator[tuple[StoredFile, str | None]]:
    """Hash files of any place and say what is wrong with each; None where nothing is."""
    if isinstance(place, DirectoryPlace):
        for checked in place.verify(files, config_sha256=config_sha256):
            yield checked.stored, checked.problem
        return

    def one(stored: StoredFile) -> tuple[StoredFile, str | None]:
        digest = hashlib.sha256()
        try:
            for piece in place.read(stored):
                digest.update(piece)
        except NotFoundError:
            return stored, "it is missing"
        expected = config_sha256 if stored.file.kind == "config" else stored.file.name
        if digest.hexdigest() != expected:
            return stored, "its bytes are not what they must be"
        return stored, None

    waiting = iter(files)
    with ThreadPoolExecutor(place.workers, "hash") as pool:
        while batch := list(islice(waiting, place.workers * 2)):
            yield from pool.map(one, batch)
