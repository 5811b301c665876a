"""The Merkle tree, against a reference that follows the definition word by word."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ledger import tree

LARGEST = 300
ENTRIES = [b"%d" % number for number in range(LARGEST)]


def mth(entries: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, by recursion."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\1" + mth(entries[:k]) + mth(entries[k:])).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], is_whole: bool) -> list[bytes]:
    """RFC 6962 section 2.1.2."""
    if m == len(entries):
        return [] if is_whole else [mth(entries)]
    k = split(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], is_whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def node(leaves: tree.Range, memo: dict[tree.Range, bytes] | None = None) -> bytes:
    memo = NODES if memo is None else memo
    if leaves not in memo:
        memo[leaves] = mth(ENTRIES[slice(*leaves)])
    return memo[leaves]


NODES: dict[tree.Range, bytes] = {}
ROOTS = [mth(ENTRIES[:size]) for size in range(LARGEST + 1)]
LEAVES = [tree.leaf_hash(entry) for entry in ENTRIES]


def test_published_roots_of_rfc_6962_implementations_hold() -> None:
    # The eight leaves that Certificate Transparency's own tests use.
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    leaves.append("606162636465666768696a6b6c6d6e6f")
    roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]
    hashes = [tree.leaf_hash(bytes.fromhex(leaf)) for leaf in leaves]
    assert [tree.root_of(hashes[: n + 1]).hex() for n in range(8)] == roots


def test_every_root_is_the_definitions() -> None:
    assert [tree.root_of(LEAVES[:size]) for size in range(LARGEST + 1)] == ROOTS


def test_every_leaf_of_every_size_is_proved_as_defined() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = [node(leaves) for leaves in tree.inclusion_ranges(index, size)]
            if size <= 40 or index in (0, size // 2, size - 1):
                assert proof == path(index, ENTRIES[:size])
            assert tree.proves_inclusion(
                LEAVES[index], index=index, size=size, root=ROOTS[size], proof=proof
            )


def test_every_pair_of_sizes_is_proved_as_defined() -> None:
    for new in range(LARGEST + 1):
        for old in range(new + 1):
            proof = [node(leaves) for leaves in tree.consistency_ranges(old, new)]
            if old > 0 and (new <= 40 or old in (1, new // 2, new)):
                assert proof == subproof(old, ENTRIES[:new], True)
            assert tree.proves_consistency(
                old=old, old_root=ROOTS[old], new=new, new_root=ROOTS[new], proof=proof
            )


def test_a_proof_for_another_index_or_size_is_refused() -> None:
    for size in range(1, 35):
        for index in range(size):
            proof = [node(leaves) for leaves in tree.inclusion_ranges(index, size)]
            for other_size in range(36):
                for other in range(-1, other_size + 1):
                    if (other, other_size) == (index, size):
                        continue
                    assert not tree.proves_inclusion(
                        LEAVES[index],
                        index=other,
                        size=other_size,
                        root=ROOTS[other_size],
                        proof=proof,
                    )


def test_a_consistency_proof_for_other_sizes_is_refused() -> None:
    for new in range(2, 24):
        for old in range(1, new):
            proof = [node(leaves) for leaves in tree.consistency_ranges(old, new)]
            for other in range(24):
                for other_old in range(other + 1):
                    right = [node(part) for part in tree.consistency_ranges(other_old, other)]
                    assert tree.proves_consistency(
                        old=other_old,
                        old_root=ROOTS[other_old],
                        new=other,
                        new_root=ROOTS[other],
                        proof=proof,
                    ) == (proof == right)


def test_a_fork_of_equal_size_has_no_proof() -> None:
    other = tree.root_of([*LEAVES[:9], tree.leaf_hash(b"another")])
    for proof in ([], [other], [ROOTS[10]], [LEAVES[0]]):
        assert not tree.proves_consistency(
            old=10, old_root=other, new=10, new_root=ROOTS[10], proof=proof
        )


def test_a_rewritten_history_has_no_proof() -> None:
    forged = [*LEAVES[:3], tree.leaf_hash(b"another"), *LEAVES[4:20]]
    for old in range(4, 20):
        proof = [tree.root_of(forged[start:end]) for start, end in tree.consistency_ranges(old, 20)]
        assert not tree.proves_consistency(
            old=old, old_root=ROOTS[old], new=20, new_root=tree.root_of(forged), proof=proof
        )


def test_size_zero_is_proved_only_with_its_own_root() -> None:
    empty, made_up = tree.EMPTY_ROOT, b"\x07" * 32
    assert tree.proves_consistency(old=0, old_root=empty, new=5, new_root=ROOTS[5], proof=[])
    assert not tree.proves_consistency(old=0, old_root=made_up, new=5, new_root=ROOTS[5], proof=[])
    assert not tree.proves_consistency(old=0, old_root=empty, new=0, new_root=made_up, proof=[])
    assert not tree.proves_consistency(
        old=0, old_root=empty, new=5, new_root=ROOTS[5], proof=[ROOTS[5]]
    )
    for leaf in (empty, tree.leaf_hash(b""), made_up):
        assert not tree.proves_inclusion(leaf, index=0, size=0, root=leaf, proof=[])


def test_the_empty_trees_root_is_no_leaf_of_a_tree_of_one() -> None:
    leaf = tree.leaf_hash(b"")
    assert leaf != tree.EMPTY_ROOT
    assert not tree.proves_inclusion(tree.EMPTY_ROOT, index=0, size=1, root=leaf, proof=[])


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hashes_of_another_length_are_refused(length: int) -> None:
    # Otherwise two hashes in a row could stand for one node.
    proof = [node(leaves) for leaves in tree.inclusion_ranges(2, 5)]
    proof[0] = (proof[0] * 2)[:length]
    wide = (ROOTS[1] * 2)[:length]
    assert not tree.proves_inclusion(LEAVES[2], index=2, size=5, root=ROOTS[5], proof=proof)
    assert not tree.proves_inclusion(wide, index=0, size=1, root=wide, proof=[])


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_changed_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, LARGEST))
    old = data.draw(st.integers(1, new - 1))
    proof = [node(leaves) for leaves in tree.consistency_ranges(old, new)]
    how = data.draw(st.sampled_from(["flip", "drop", "double", "add", "swap"]))
    at = data.draw(st.integers(0, len(proof) - 1))
    changed = list(proof)
    if how == "flip":
        bit = data.draw(st.integers(0, 255))
        changed[at] = (int.from_bytes(proof[at], "big") ^ 1 << bit).to_bytes(32, "big")
    elif how == "drop":
        del changed[at]
    elif how == "double":
        changed.insert(at, proof[at])
    elif how == "add":
        changed.append(ROOTS[data.draw(st.integers(0, LARGEST))])
    else:
        changed.reverse()
    assert (changed == proof) == tree.proves_consistency(
        old=old, old_root=ROOTS[old], new=new, new_root=ROOTS[new], proof=changed
    )


@given(st.integers(1, 2**45), st.data())
@settings(max_examples=200, deadline=None)
def test_the_plan_of_a_proof_covers_the_whole_tree(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    parts = sorted([*tree.inclusion_ranges(index, size), (index, index + 1)])
    assert (parts[0][0], parts[-1][1]) == (0, size)
    assert all(left[1] == right[0] for left, right in pairwise(parts))
    assert len(parts) <= size.bit_length() + 1


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (6, 5)])
def test_a_leaf_that_is_not_there_has_no_plan(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="has no leaf"):
        tree.inclusion_ranges(index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_a_larger_tree_is_no_start_of_a_smaller_one(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="is not the start"):
        tree.consistency_ranges(old, new)
    assert not tree.proves_consistency(
        old=old, old_root=ROOTS[4], new=new, new_root=ROOTS[3], proof=[]
    )
