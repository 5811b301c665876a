"""Tiles and entry bundles: which files a tree of a given size consists of, and their bytes.

Pure. Level 0 tiles hold leaf hashes, a tile of level L+1 the roots of full tiles of level L;
bundles hold the entries themselves. 256 to a file; only the last file of a level may hold fewer,
and says so in its name, so that no file ever changes once it has been written.

Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.ledger.tree import HASH_SIZE

WIDTH = 256
"""Hashes in a full tile, entries in a full bundle."""

LARGEST_ENTRY = 65_535
"""In bytes: the length stands in 16 bits."""

HIGHEST_LEVEL = 63

ENTRIES = -1
"""The level that stands for bundles in a `Place`."""

_PATH = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One tile or bundle.

    Attributes:
        level: 0 to 63, or `ENTRIES`.
        index: Its number within the level, from 0.
        width: How many hashes or entries it holds, 1 to 256.
    """

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its path below the log's folder, with slashes."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{name}{partial}"

    @property
    def end(self) -> int:
        """How many leaves the tree has at least if this file belongs to it."""
        return (self.index * WIDTH + self.width) << (8 * max(self.level, 0))


def parse_path(path: str) -> Place | None:
    """Return what a path below the log's folder names; None if it is no tile's."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level, groups, last, width = match.groups()
    place = Place(
        ENTRIES if level == "entries" else int(level),
        int(groups.replace("x", "").replace("/", "") + last),
        int(width) if width else WIDTH,
    )
    # One name for each file: no needless x000, no width of 256 or more.
    return place if place.path == path and (width is None or place.width < WIDTH) else None


def right_edge(size: int) -> list[Place]:
    """Return the partial tiles of a tree, level 0 first; full ones are not among them."""
    found = []
    for level in range(HIGHEST_LEVEL + 1):
        count = size >> (8 * level)
        if count == 0:
            break
        if count % WIDTH:
            found.append(Place(level, count // WIDTH, count % WIDTH))
    return found


def places(size: int) -> Iterator[Place]:
    """Return every file of a tree: per level in order, bundles first."""
    for level in (ENTRIES, *range(HIGHEST_LEVEL + 1)):
        count = size >> (8 * max(level, 0))
        if count == 0:
            return
        for index in range(count // WIDTH):
            yield Place(level, index)
        if count % WIDTH:
            yield Place(level, count // WIDTH, count % WIDTH)


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return a bundle of entries, each of at most 65,535 bytes."""
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in entries])


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle.

    Args:
        data: The file's bytes.
        width: How many entries it must hold.

    Raises:
        ValueError: It holds fewer or more, or ends in the middle of one.
    """
    found = []
    at, end = 0, len(data)
    while at < end:
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        found.append(data[begin:at])
    if at != end or len(found) != width:
        raise ValueError(f"does not hold {width} entries, whole")
    return found


def encode_tile(hashes: Sequence[bytes]) -> bytes:
    """Return a tile of hashes."""
    return b"".join(hashes)


def decode_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile.

    Args:
        data: The file's bytes.
        width: How many hashes it must hold.

    Raises:
        ValueError: It holds fewer or more.
    """
    if len(data) != width * HASH_SIZE:
        raise ValueError(f"does not hold {width} hashes")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]
