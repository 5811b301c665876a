"""Reading a log: entries and proofs, each compared with a checkpoint that is trusted.

Knows the log's folder. A proof is made from tiles and checked against the root before it is given
out, so that no wrong proof leaves the house.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import DamageError, NotFoundError
from orchestrator.ledger import checkpoint as checkpoints
from orchestrator.ledger import tiles, tree
from orchestrator.ledger.checkpoint import Checkpoint
from orchestrator.ledger.disk import explained
from orchestrator.ledger.edge import Edge
from orchestrator.ledger.files import read_file
from orchestrator.ledger.note import Verifier
from orchestrator.ledger.tiles import ENTRIES, WIDTH, Place
from orchestrator.ledger.tree import Range

CHECKPOINT = "checkpoint"
"""The file of the newest checkpoint, below the log's folder."""

CHECKPOINTS = "checkpoints"
"""The folder that keeps every checkpoint, by size."""

KEY = "keys/log.vkey"
"""The file of the log's public key."""

PROOF_HEADER = "c2sp.org/tlog-proof@v1"

DAMAGED_HINT = "what is damaged: orchestrator ledger verify; restore it from a copy"


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry and where it stands.

    Attributes:
        index: Its place, from 0.
        data: Its very bytes.
    """

    index: int
    data: bytes


def read_checkpoint(folder: Path, known: list[Verifier]) -> Checkpoint:
    """Return the newest checkpoint in a folder.

    Raises:
        DamageError: It is missing, or not signed by a known key.
        EngineError: The disk refuses.
    """
    with explained("reading the checkpoint"):
        data = read_file(folder / CHECKPOINT)
    if data is None:
        raise DamageError("ledger: its checkpoint is missing", hint=DAMAGED_HINT)
    try:
        return checkpoints.verify(data, known)
    except ValueError as error:
        raise DamageError(f"ledger: its checkpoint {error}", hint=DAMAGED_HINT) from None


class Reader:
    """A log as of one checkpoint.

    Args:
        folder: The log's folder.
        checkpoint: A checkpoint whose signature was verified.
    """

    def __init__(self, folder: Path, checkpoint: Checkpoint) -> None:
        self._folder = folder
        self.checkpoint = checkpoint

    def entries(self, first: int = 0, end: int | None = None) -> Iterator[StoredEntry]:
        """Yield entries in order, each compared with its tile.

        Args:
            first: The first one's index.
            end: Where to stop, not included; at the checkpoint's size if not given.

        Raises:
            DamageError: A file is missing, or an entry is not what its tile says.
            EngineError: The disk refuses.
        """
        size = self.checkpoint.size
        end = size if end is None else min(end, size)
        for index in range(first // WIDTH, -(-end // WIDTH)):
            start = index * WIDTH
            found = self._bundle(index)
            for place in range(max(first, start), min(end, start + len(found))):
                yield StoredEntry(place, found[place - start])

    def entry(self, index: int) -> bytes:
        """Return one entry's bytes.

        Raises:
            NotFoundError: The log has no such entry.
            DamageError: It is not what its tile says, or missing.
            EngineError: The disk refuses.
        """
        self._demand(index)
        return next(self.entries(index, index + 1)).data

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Return the hashes that prove an entry, from its sibling up; checked.

        Raises:
            NotFoundError: The log has no such entry.
            DamageError: The tiles do not lead to the checkpoint's root.
            EngineError: The disk refuses.
        """
        self._demand(index)
        size = self.checkpoint.size
        proof = [self.subtree(leaves) for leaves in tree.inclusion_ranges(index, size)]
        leaf = self.subtree((index, index + 1))
        if not tree.proves_inclusion(
            leaf, index=index, size=size, root=self.checkpoint.root, proof=proof
        ):
            raise _damaged(f"the tiles of entry {index} do not lead to the checkpoint's root")
        return proof

    def consistency_proof(self, old: int) -> list[bytes]:
        """Return the hashes that prove that this log began as a smaller one; not checked.

        Whoever asks has the smaller one's root and checks them: `tree.proves_consistency`.

        Args:
            old: The smaller one's size.

        Raises:
            NotFoundError: The log never had this size.
            DamageError: A tile is missing or malformed.
            EngineError: The disk refuses.
        """
        if not 0 <= old <= self.checkpoint.size:
            raise NotFoundError(
                f"ledger: it has {self.checkpoint.size} entries, so it cannot be compared "
                f"with one of {old}"
            )
        return [
            self.subtree(leaves) for leaves in tree.consistency_ranges(old, self.checkpoint.size)
        ]

    def is_continuation_of(self, old: Checkpoint) -> bool:
        """Say whether this log began as an earlier checkpoint says, by a proof from its tiles.

        Raises:
            DamageError: A tile is missing or malformed.
            EngineError: The disk refuses.
        """
        if old.origin != self.checkpoint.origin or old.size > self.checkpoint.size:
            return False
        return tree.proves_consistency(
            old=old.size,
            old_root=old.root,
            new=self.checkpoint.size,
            new_root=self.checkpoint.root,
            proof=self.consistency_proof(old.size),
        )

    def proof_text(self, index: int) -> bytes:
        """Return an entry's proof as a ``.tlog-proof`` file.

        Source: C2SP tlog-proof.

        Raises:
            NotFoundError: The log has no such entry.
            DamageError: The tiles do not lead to the checkpoint's root.
            EngineError: The disk refuses.
        """
        lines = [PROOF_HEADER, f"index {index}"]
        lines += [b64encode(hashed).decode() for hashed in self.inclusion_proof(index)]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint.data

    def subtree(self, leaves: Range) -> bytes:
        """Return the root over a range of leaves that is a node of some tree.

        Args:
            leaves: As `tree.inclusion_ranges` gives them, within the checkpoint's size.

        Raises:
            DamageError: A tile is missing or malformed.
            EngineError: The disk refuses.
        """
        return tree.fold(self._perfect(part) for part in tree.perfect_ranges(leaves))

    def file(self, place: Place) -> bytes:
        """Return a tile or bundle as it was at this checkpoint.

        Args:
            place: One of `tiles.places` of the checkpoint's size.

        Raises:
            DamageError: It is missing.
            EngineError: The disk refuses.
        """
        return self._read(place)

    def edge(self) -> Edge:
        """Return the right edge, to append to.

        Raises:
            DamageError: It does not lead to the checkpoint's root, or an entry of the last bundle
                is not what its tile says.
            EngineError: The disk refuses.
        """
        size = self.checkpoint.size
        levels: list[list[bytes]] = []
        while size >> 8 * len(levels):
            level = len(levels)
            count = size >> 8 * level
            full = count % WIDTH == 0
            levels.append([] if full else self._tile(level, count // WIDTH))
        entries = self._bundle(size // WIDTH) if size % WIDTH else []
        edge = Edge(size, entries, levels)
        if edge.root() != self.checkpoint.root:
            raise _damaged("its newest tiles do not lead to the checkpoint's root")
        return edge

    def _demand(self, index: int) -> None:
        if not 0 <= index < self.checkpoint.size:
            raise NotFoundError(
                f"ledger: it has no entry {index}, only {self.checkpoint.size} from 0",
                hint="orchestrator ledger list",
            )

    def _bundle(self, index: int) -> list[bytes]:
        place = self._place(ENTRIES, index)
        data = self._read(place)
        try:
            found = tiles.decode_bundle(data, place.width)
        except ValueError as error:
            raise _damaged(f"{place.path} {error}") from None
        for at, (entry, hashed) in enumerate(zip(found, self._tile(0, index), strict=True)):
            if tree.leaf_hash(entry) != hashed:
                raise _damaged(f"entry {index * WIDTH + at} is not what its tile says")
        return found

    def _perfect(self, leaves: Range) -> bytes:
        start, end = leaves
        level = ((end - start).bit_length() - 1) // 8
        first, count = start >> 8 * level, (end - start) >> 8 * level
        hashes = self._tile(level, first // WIDTH)
        at = first % WIDTH
        return tree.perfect_root(hashes[at : at + count])

    def _tile(self, level: int, index: int) -> list[bytes]:
        place = self._place(level, index)
        try:
            return tiles.decode_tile(self._read(place), place.width)
        except ValueError as error:
            raise _damaged(f"{place.path} {error}") from None

    def _place(self, level: int, index: int) -> Place:
        count = self.checkpoint.size >> 8 * max(level, 0)
        return Place(level, index, min(WIDTH, count - index * WIDTH))

    def _read(self, place: Place) -> bytes:
        with explained("reading a tile"):
            data = read_file(self._folder / place.path)
        if data is None and place.width < WIDTH:
            # Another process may have filled the tile since this checkpoint was read.
            data = self._first_of_full(place)
        if data is None:
            raise _damaged(f"{place.path} is missing")
        return data

    def _first_of_full(self, place: Place) -> bytes | None:
        with explained("reading a tile"):
            data = read_file(self._folder / Place(place.level, place.index).path)
        if data is None:
            return None
        if place.level != ENTRIES:
            return data[: place.width * tree.HASH_SIZE]
        try:
            return tiles.encode_bundle(tiles.decode_bundle(data, WIDTH)[: place.width])
        except ValueError as error:
            raise _damaged(f"{place.path} {error}") from None


def _damaged(what: str) -> DamageError:
    return DamageError(f"ledger: {what}", hint=DAMAGED_HINT)
