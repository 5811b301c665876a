from __future__ import annotations

import base64
import contextlib
import json
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.manifest import (
    FileStat,
    ManifestEntry,
    ManifestHeader,
    ManifestTotals,
    decode_entry,
    decode_header,
    decode_totals,
    encode_entry,
    encode_header,
    encode_totals,
    good_file_size,
    good_file_start,
    tree_key,
)

NAMES = st.binary(min_size=1, max_size=12).filter(lambda n: b"/" not in n and b"\0" not in n)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
COUNTS = st.integers(0, 2**63)
STATS = st.builds(FileStat, COUNTS, st.integers(-(2**62), 2**62), COUNTS, COUNTS)
ENTRIES = st.builds(
    ManifestEntry,
    path=PATHS,
    kind=st.sampled_from(("file", "symlink", "other")),
    state=st.sampled_from(("good", "changed", "unreadable", "vanished")),
    stat=st.none() | STATS,
    sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    target=st.none() | st.binary(max_size=30),
    links=st.integers(1, 1000),
    dicom=st.none() | st.dictionaries(st.text(string.ascii_lowercase + "_", min_size=1), TEXTS),
    note=st.none() | TEXTS,
    since=TEXTS,
)
HEADERS = st.builds(
    ManifestHeader, store=TEXTS, repository=TEXTS, root=PATHS, run=TEXTS, taken_at=TEXTS
)


@given(ENTRIES)
def test_an_entry_survives_the_round_trip_as_one_line(entry: ManifestEntry) -> None:
    line = encode_entry(entry)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_entry(line) == entry
    assert decode_totals(line) is None
    assert encode_entry(decode_entry(line)) == line


@given(HEADERS)
def test_a_header_survives_the_round_trip_as_one_line(header: ManifestHeader) -> None:
    line = encode_header(header)
    assert line.count(b"\n") == 1
    assert decode_header(line) == header


@given(st.lists(ENTRIES, max_size=20))
def test_totals_count_entries_and_survive_the_round_trip(entries: list[ManifestEntry]) -> None:
    totals = ManifestTotals()
    for entry in entries:
        totals.add(entry)
    assert totals.entries == len(entries) == sum(totals.states.values())
    hashed = [e for e in entries if e.kind == "file" and e.state in ("good", "changed") and e.stat]
    assert totals.files == len(hashed)
    assert totals.bytes == sum(e.stat.size_bytes for e in hashed if e.stat)
    assert decode_totals(encode_totals(totals)) == totals


@given(st.binary(min_size=1, max_size=30).filter(lambda n: b"\0" not in n))
def test_a_name_is_text_where_it_is_utf8_and_base64_elsewhere(path: bytes) -> None:
    body = json.loads(encode_entry(ManifestEntry(path, "file", "good", None)))
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        assert "path" not in body
        assert base64.b64decode(body["path_b64"]) == path
    else:
        assert body["path"] == text
        assert "path_b64" not in body


@given(st.lists(PATHS, max_size=20))
def test_tree_order_is_depth_first_with_names_in_byte_order(paths: list[bytes]) -> None:
    def walk(tree: dict[bytes, dict[bytes, dict[bytes, object]]], below: bytes) -> list[bytes]:
        found = []
        for name in sorted(tree):
            if b"" in tree[name]:
                found.append(below + name)
            children = {k: v for k, v in tree[name].items() if k}
            found += walk(children, below + name + b"/")  # type: ignore[arg-type]
        return found

    tree: dict[bytes, dict[bytes, dict[bytes, object]]] = {}
    for path in paths:
        level = tree
        for name in path.split(b"/"):
            level = level.setdefault(name, {})  # type: ignore[assignment]
        level[b""] = {}
    assert sorted(set(paths), key=tree_key) == walk(tree, b"")


@given(PATHS, NAMES)
def test_a_folders_content_comes_before_longer_names_of_its_siblings(
    folder: bytes, name: bytes
) -> None:
    assert tree_key(folder) < tree_key(folder + b"/" + name) < tree_key(folder + name)


@given(st.binary(max_size=60) | st.from_regex(r'\{"(manifest|path|totals)":.*\}').map(str.encode))
def test_damaged_lines_raise_value_error_and_nothing_else(line: bytes) -> None:
    for decode in (decode_header, decode_entry, decode_totals):
        with contextlib.suppress(ValueError):
            decode(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"5",
        b"{}",
        b"null",
        b'{"manifest":2}',
        b'{"manifest":1}',
        b'{"manifest":1,"store":"x"',
    ],
)
def test_an_unknown_or_cut_header_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one too
        decode_header(line)


@given(ENTRIES, STATS)
def test_a_line_tells_undecoded_what_its_entry_says(entry: ManifestEntry, facts: FileStat) -> None:
    line = encode_entry(entry)
    good_file = entry.kind == "file" and entry.state == "good" and entry.stat is not None
    assert good_file_size(line) == (entry.stat.size_bytes if good_file else None)
    if entry.stat is not None:
        assert line.startswith(good_file_start(entry.path, entry.stat)) == good_file
    same = good_file and facts == entry.stat
    assert line.startswith(good_file_start(entry.path, facts)) == same
    assert not line.startswith(good_file_start(entry.path + b"x", facts))


def test_a_name_made_to_look_like_facts_is_only_a_name() -> None:
    path = b'a","kind":"file","state":"good","size":7,"mtime_ns":1'
    entry = ManifestEntry(path, "file", "changed", FileStat(5, 1, 1, 1), sha256="ab" * 32)
    assert good_file_size(encode_entry(entry)) is None
    assert good_file_size(encode_entry(replace(entry, state="good"))) == 5


def test_a_cut_footer_is_refused() -> None:
    line = encode_totals(ManifestTotals(3, 2, 100, {"good": 3}))
    for length in range(len(b'{"totals":'), len(line) - 1):
        with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one too
            decode_totals(line[:length])


def test_the_format_is_the_documented_one() -> None:
    entry = ManifestEntry(
        path=b"patients/p1/im1.dcm",
        kind="file",
        state="good",
        stat=FileStat(39_206, 1_735_689_600_000_000_000, 1_735_689_600_000_000_001, 42),
        sha256="ab" * 32,
        dicom={"modality": "CT"},
        since="r1",
    )
    assert encode_entry(entry) == (
        b'{"path":"patients/p1/im1.dcm","kind":"file","state":"good","size":39206,'
        b'"mtime_ns":1735689600000000000,"ctime_ns":1735689600000000001,"inode":42,'
        b'"sha256":"' + b"ab" * 32 + b'","dicom":{"modality":"CT"},"since":"r1"}\n'
    )
