"""Paths and bytes of tiles and bundles."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.ledger import tiles, tree
from orchestrator.ledger.edge import Edge
from orchestrator.ledger.standalone.verify_ledger import split_bundle, tile_name
from orchestrator.ledger.tiles import ENTRIES, Place, parse_path


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (Place(0, 0), "tile/0/000"),
        (Place(0, 1_234_067), "tile/0/x001/x234/067"),
        (Place(3, 999, 255), "tile/3/999.p/255"),
        (Place(63, 1000, 1), "tile/63/x001/000.p/1"),
        (Place(ENTRIES, 273, 112), "tile/entries/273.p/112"),
    ],
)
def test_paths_are_the_standards(place: Place, path: str) -> None:
    assert place.path == path
    assert parse_path(path) == place
    level = "entries" if place.level == ENTRIES else place.level
    assert tile_name(level, place.index, place.width) == path


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/00/001",
        "tile/64/000",
        "tile/0/001.p/0",
        "tile/0/001.p/01",
        "tile/0/001.p/256",
        "tile/0/001.p/",
        "tile/0/001.p",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/٠٠١",
        "tile/entries/001\n",
        "/tile/0/001",
        "tile/0/../0/001",
    ],
)
def test_no_file_has_a_second_name(path: str) -> None:
    assert parse_path(path) is None


def test_a_log_of_70000_consists_of_the_files_that_the_standard_names() -> None:
    found = [place.path for place in tiles.places(70_000)]
    tiles_only = [path for path in found if "entries" not in path]
    assert len(tiles_only) == 273 + 1 + 1 + 1 + 1
    assert {"tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"} <= set(found)
    assert [place.path for place in tiles.places(256)] == [
        "tile/entries/000",
        "tile/0/000",
        "tile/1/000.p/1",
    ]
    assert list(tiles.places(0)) == []


@given(st.lists(st.binary(max_size=300), max_size=40))
@settings(max_examples=100, deadline=None)
def test_bundles_come_back_as_they_were(entries: list[bytes]) -> None:
    data = tiles.encode_bundle(entries)
    assert tiles.decode_bundle(data, len(entries)) == entries == split_bundle(data)
    for wrong in (len(entries) + 1, len(entries) - 1):
        with pytest.raises(ValueError, match="does not hold"):
            tiles.decode_bundle(data, wrong)


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_bundle_that_ends_in_an_entry_is_refused(cut: int) -> None:
    data = tiles.encode_bundle([b"abc", b"de"])
    with pytest.raises(ValueError, match="does not hold"):
        tiles.decode_bundle(data[:-cut], 2)


@pytest.mark.parametrize("data", [b"\0", b"\0\1", b"\0\0\0"])
def test_half_a_length_is_no_bundle(data: bytes) -> None:
    assert split_bundle(data) is None
    with pytest.raises(ValueError, match="does not hold"):
        tiles.decode_bundle(data, 1)


@pytest.mark.parametrize("sizes", [[1] * 700, [255, 1, 256, 1], [600], [256, 256, 300], [65_800]])
def test_a_tree_is_the_same_however_it_grew(sizes: list[int]) -> None:
    entries = [b"%d" % number for number in range(sum(sizes))]
    edge, files = Edge(), {}
    at = 0
    for size in sizes:
        for place, data in [*edge.grow(entries[at : at + size]), *edge.partial()]:
            assert files.setdefault(place.path, data) == data
        at += size
    assert edge.size == len(entries)
    assert edge.root() == tree.root_of([tree.leaf_hash(entry) for entry in entries])
    assert {place.path for place in tiles.places(edge.size)} <= set(files)


@pytest.mark.parametrize("length", [0, 65_536])
def test_entries_that_no_bundle_can_hold_are_refused(length: int) -> None:
    edge = Edge()
    with pytest.raises(ValueError, match="1 to 65535"):
        list(edge.grow([b"x" * length]))


def test_the_largest_entry_fits() -> None:
    edge = Edge()
    list(edge.grow([b"x" * 65_535]))
    [(_, data), _] = edge.partial()
    assert tiles.decode_bundle(data, 1) == [b"x" * 65_535]
