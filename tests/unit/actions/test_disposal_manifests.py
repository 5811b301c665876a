"""A manifest without the studies that go, compared with a plain reading of all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.actions.disposal.manifests import Found, Sieve, common_roots
from orchestrator.errors import DamageError
from orchestrator.manifest import (
    ManifestEntry,
    ManifestHeader,
    ManifestTotals,
    decode_entry,
    decode_totals,
    encode_entry,
    encode_header,
    encode_totals,
    tree_key,
)
from tests.support.catalog_rows import entry, image

HEADER = encode_header(ManifestHeader("xrays", "ab" * 32, b"/images", "r1", "2026-03-04"))
GONE = ("1.2.3.1", 'odd "uid" \\ here')


def _manifest(entries: Iterable[ManifestEntry]) -> list[bytes]:
    ordered = sorted(entries, key=lambda one: tree_key(one.path))
    totals = ManifestTotals()
    for one in ordered:
        totals.add(one)
    return [HEADER, *map(encode_entry, ordered), encode_totals(totals)]


def _sifted(
    lines: list[bytes], paths: Iterable[tuple[bytes, str]] = ()
) -> tuple[list[bytes], Found]:
    sieve, found = Sieve({f"~{uid}" for uid in GONE}, lambda uid: f"~{uid}", paths), Found()
    return b"".join(sieve.sift(lines, found)).splitlines(keepends=True), found


def _of(path: str, uid: str | None, **changes: object) -> ManifestEntry:
    dicom = None if uid is None else {"study_instance_uid": uid, "patient_id": "P"}
    made = entry(path.encode(), sha256="ab" * 32 if uid else None, dicom=dicom)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


_names = st.sampled_from(["a", "b", "a.b", "a b", 'q"', "\u00e9", "s1"])
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join)
_uids = st.sampled_from(
    [None, "1.2.3.1", "1.2.3.2", 'odd "uid" \\ here', '"study_instance_uid":"1']
)


def _tree(given_paths: dict[str, str | None]) -> dict[str, str | None]:
    """Leave out files that would also have to be folders."""
    folders = {path[:at] for path in given_paths for at, char in enumerate(path) if char == "/"}
    return {path: uid for path, uid in given_paths.items() if path not in folders}


@given(st.dictionaries(_paths, _uids, max_size=12).map(_tree))
def test_what_stays_and_what_goes_is_what_a_plain_reading_says(tree: dict[str, str | None]) -> None:
    entries = [_of(path, uid) for path, uid in tree.items()]
    kept, found = _sifted(_manifest(entries))
    assert kept == _manifest(
        e for e in entries if (e.dicom or {}).get("study_instance_uid") not in GONE
    )
    assert set(found.entries) == {path.encode() for path, uid in tree.items() if uid in GONE}

    roots = set(found.roots.values())
    assert found.roots.keys() == found.entries.keys()

    def covered(path: bytes) -> bool:
        return any(path == root or path.startswith(root + b"/") for root in roots)

    for path, uid in tree.items():
        assert covered(path.encode()) == (uid in GONE)
    for root in roots:
        above = root.rpartition(b"/")[0]
        others = [path for path, uid in tree.items() if uid not in GONE]
        assert not above or any(path.encode().startswith(above + b"/") for path in others), (
            "a folder with nothing else in it goes as a whole"
        )


def test_the_new_manifest_is_whole_and_counts_what_stays() -> None:
    entries = [
        image(1, 1),
        image(1, 2),
        image(2, 1),
        _of("link", None, kind="symlink", target=b"x"),
    ]
    kept, found = _sifted(_manifest(entries))
    totals = decode_totals(kept[-1])
    assert totals is not None
    assert (totals.entries, totals.files, totals.bytes) == (2, 1, 1001)
    assert (found.removed.files, found.removed.bytes) == (2, 2003)
    assert kept[0] == HEADER
    assert [decode_entry(line).path for line in kept[1:-1]] == [b"link", b"p/2/1.dcm"]
    assert set(found.roots.values()) == {b"p/1"}
    assert {named.study for named in found.entries.values()} == {"~1.2.3.1"}


def test_an_entry_that_could_not_be_read_goes_where_the_study_lay_in_another_snapshot() -> None:
    entries = [
        _of("p/1.dcm", None, state="unreadable", note="permission denied"),
        _of("p/2.dcm", None, state="changed", note="arrived during the backup"),
        _of("p/3.dcm", None, state="unreadable", note="permission denied"),
        _of("p/4.txt", None),
    ]
    known = [(b"p/1.dcm", "~1.2.3.1"), (b"p/2.dcm", "~1.2.3.1"), (b"p/4.txt", "~1.2.3.1")]
    kept, found = _sifted(_manifest(entries), known)
    assert set(found.entries) == {b"p/1.dcm", b"p/2.dcm"}
    assert found.doubtful == {b"p/3.dcm"}
    assert [decode_entry(line).path for line in kept[1:-1]] == [b"p/3.dcm", b"p/4.txt"]


def test_a_manifest_that_was_cut_is_not_whole() -> None:
    lines = _manifest([image(1, 1), image(2, 1)])
    for cut in (lines[:-1], lines[:1], []):
        with pytest.raises(DamageError, match="not whole"):
            _sifted(cut)


def test_a_folder_is_a_common_root_only_where_no_manifest_shows_anything_else_in_it() -> None:
    first = [image(1, 1), image(2, 1)]
    later = [*first, _of("p/1/report.txt", None), _of("p/1/2.dcm", "1.2.3.1")]
    found = [_sifted(_manifest(entries))[1] for entries in (first, later)]
    assert set(found[0].roots.values()) == {b"p/1"}
    assert common_roots(found) == {b"p/1/1.dcm", b"p/1/2.dcm"}
    assert common_roots(found[:1]) == {b"p/1"}
