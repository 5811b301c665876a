"""The right edge of a tree: all that appending needs to know of what is already there.

Pure. Takes entries in and gives out the files that become full; the partial files and the root
follow from what is left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from orchestrator.ledger import tiles
from orchestrator.ledger.tiles import ENTRIES, LARGEST_ENTRY, WIDTH, Place
from orchestrator.ledger.tree import fold_levels, perfect_root

File = tuple[Place, bytes]
"""A tile or bundle and its bytes."""


class Edge:
    """The files of a tree that are not full.

    Args:
        size: The tree's number of leaves.
        entries: The entries of the partial bundle.
        levels: The hashes of the partial tile of each level; empty ones included.
    """

    def __init__(
        self,
        size: int = 0,
        entries: Iterable[bytes] = (),
        levels: Iterable[Iterable[bytes]] = (),
    ) -> None:
        self.size = size
        self._entries = list(entries)
        self._levels = [list(hashes) for hashes in levels] or [[]]
        self._changed: set[int] = set()

    def copy(self) -> Edge:
        """Return another one that grows by itself."""
        return Edge(self.size, self._entries, self._levels)

    def root(self) -> bytes:
        """Return the tree's root."""
        return fold_levels(self._levels)

    def grow(self, entries: Iterable[bytes]) -> Iterator[File]:
        """Take entries in; yields each bundle and tile that becomes full.

        Raises:
            ValueError: An entry is empty or has more than 65,535 bytes.
        """
        self._changed.clear()
        room = self._entries
        for entry in entries:
            if not 0 < len(entry) <= LARGEST_ENTRY:
                raise ValueError(
                    f"an entry has {len(entry)} bytes; 1 to {LARGEST_ENTRY} are possible"
                )
            room.append(entry)
            if len(room) == WIDTH:
                yield from self._fill()
        self._take_rest()

    def partial(self) -> Iterator[File]:
        """Yield the partial files that the last `grow` changed, bundle first."""
        if 0 in self._changed and self._entries:
            place = Place(ENTRIES, self.size // WIDTH, len(self._entries))
            yield place, tiles.encode_bundle(self._entries)
        for level, hashes in enumerate(self._levels):
            if hashes and level in self._changed:
                index = (self.size >> 8 * level) // WIDTH
                yield Place(level, index, len(hashes)), tiles.encode_tile(hashes)

    def _fill(self) -> Iterator[File]:
        index = self.size // WIDTH
        yield Place(ENTRIES, index), tiles.encode_bundle(self._entries)
        hashes = self._levels[0] + self._leaves(len(self._levels[0]))
        self._entries.clear()
        self._levels[0].clear()
        self._changed.discard(0)
        self.size = (index + 1) * WIDTH
        yield from self._rise(index, hashes)

    def _rise(self, index: int, hashes: list[bytes]) -> Iterator[File]:
        # A tile of level 0 is full, and perhaps those above it.
        level = 0
        while True:
            yield Place(level, index), tiles.encode_tile(hashes)
            level += 1
            if level == len(self._levels):
                self._levels.append([])
            above = self._levels[level]
            above.append(perfect_root(hashes))
            if len(above) < WIDTH:
                self._changed.add(level)
                return
            hashes = above[:]
            above.clear()
            self._changed.discard(level)
            index //= WIDTH

    def _take_rest(self) -> None:
        known = self._levels[0]
        more = self._leaves(len(known))
        if more:
            known += more
            self.size += len(more)
            self._changed.add(0)

    def _leaves(self, start: int) -> list[bytes]:
        sha256 = hashlib.sha256
        return [sha256(b"\0" + entry).digest() for entry in self._entries[start:]]
