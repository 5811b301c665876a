"""The Merkle tree: hashes, roots, proofs and their verification, for any size.

Pure arithmetic on hashes; where they are stored is not known here. Proofs are planned as ranges of
leaves (`inclusion_ranges`, `consistency_ranges`); whoever has the leaves turns a range into its
hash.

Source: RFC 6962 section 2.1; verification as in RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_SIZE = 32

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

Range = tuple[int, int]
"""Leaves from the first number up to, not including, the second."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\1" + left + right).digest()


def parents_of(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes one level up; `hashes` must be even in number."""
    sha256 = hashlib.sha256
    pairs = iter(hashes)
    return [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over hashes whose number is a power of two."""
    level = list(hashes)
    while len(level) > 1:
        level = parents_of(level)
    return level[0]


def pyramid(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Return hashes and what lies above them, level by level, perfect subtrees only."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append(parents_of(below[: len(below) & ~1]))
    return levels


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over any number of leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    return fold(perfect_root(leaves[start:end]) for start, end in perfect_ranges((0, len(leaves))))


def fold(peaks: Iterable[bytes]) -> bytes:
    """Return the root over the roots of perfect subtrees, given from large to small; one or more.

    Raises:
        ValueError: There are none.
    """
    rest = list(peaks)
    if not rest:
        raise ValueError("no subtree, no root")
    root = rest.pop()
    while rest:
        root = node_hash(rest.pop(), root)
    return root


def peaks_of_levels(levels: Sequence[Sequence[bytes]]) -> list[bytes]:
    """Return the roots of the perfect subtrees, large first, that tiles' right edges stand for.

    Args:
        levels: Per tile level the hashes of its last, not full tile; empty where there is none.
    """
    return [
        perfect_root(hashes[start:end])
        for hashes in reversed(levels)
        for start, end in perfect_ranges((0, len(hashes)))
    ]


def fold_levels(levels: Sequence[Sequence[bytes]]) -> bytes:
    """Return the root of a tree of which the tiles' right edges are given, as above."""
    peaks = peaks_of_levels(levels)
    return fold(peaks) if peaks else EMPTY_ROOT


def perfect_ranges(leaves: Range) -> list[Range]:
    """Split a range that starts on its own size's boundary into perfect subtrees, large first.

    Args:
        leaves: A range that is a node of some tree: its start is a multiple of the smallest power
            of two that is not below its length.
    """
    start, end = leaves
    found = []
    while start < end:
        width = 1 << ((end - start).bit_length() - 1)
        found.append((start, start + width))
        start += width
    return found


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return which subtrees prove a leaf, from its sibling up.

    Args:
        index: The leaf's place, from 0.
        size: The tree's number of leaves.

    Raises:
        ValueError: The tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    start, end = 0, size
    found = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return which subtrees prove that a tree is the start of a larger one.

    Args:
        old: Leaves of the smaller tree.
        new: Leaves of the larger tree.

    Raises:
        ValueError: `old` is negative or larger than `new`.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is not the start of one of {new}")
    if old in (0, new):
        return []
    start, end = 0, new
    found = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    if start:  # otherwise the verifier has this very hash: it is the old root
        found.append((start, end))
    return found[::-1]


def _split(size: int) -> int:
    # The largest power of two that is smaller than the size.
    return 1 << ((size - 1).bit_length() - 1)


def proves_inclusion(
    leaf: bytes, *, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether a proof shows that a leaf stands at a place of a tree.

    Args:
        leaf: The leaf's hash.
        index: Its place, from 0.
        size: The tree's number of leaves.
        root: The tree's root.
        proof: Hashes from the leaf's sibling up.
    """
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and found == root


def proves_consistency(
    *, old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether a proof shows that the leaves of one tree are the first of another.

    A tree without leaves is the start of every tree, but only with the root that it has.

    Args:
        old: Leaves of the smaller tree.
        old_root: Its root.
        new: Leaves of the larger tree.
        new_root: Its root.
        proof: As `consistency_ranges` orders it.
    """
    if not 0 <= old <= new or not _are_hashes(old_root, new_root, *proof):
        return False
    if (old == 0 and old_root != EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
        return False
    if old in (0, new):
        return not proof and (old == 0 or old_root == new_root)
    return _consistent(old, old_root, new, new_root, list(proof))


def _consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    if old & (old - 1) == 0:
        proof.insert(0, old_root)
    if not proof:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at >>= 1
        last >>= 1
    before = after = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before = node_hash(sibling, before)
            after = node_hash(sibling, after)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            after = node_hash(after, sibling)
        at >>= 1
        last >>= 1
    return last == 0 and before == old_root and after == new_root


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_SIZE for value in values)
