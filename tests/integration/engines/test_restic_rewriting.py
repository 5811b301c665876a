"""Taking files out of snapshots and proving that they are gone, on both versions of restic."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from pathlib import Path

import pytest

from orchestrator.engines.restic.binary import Binary
from orchestrator.errors import NotFoundError, RefusedError, UsageError
from tests.integration.engines.test_restic_repository import ODD_NAMES
from tests.support.restic import MakeRepository, open_repository, tree

SMALL, LARGE = 90_000, 2_000_000


def _images(root: Path) -> Path:
    folder = root / "images"
    for name, size in (
        ("p1/gone/1.dcm", SMALL),
        ("p1/gone/2.dcm", LARGE),
        ("p1/kept/1.dcm", SMALL),
        ("p2/kept/1.dcm", LARGE),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    (folder / "link").symlink_to("p1")
    return folder


def test_a_rewritten_snapshot_keeps_all_but_what_was_left_out(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), _images(tmp_path)
    first = repository.backup(folder, tags=["data", "run=1"]).snapshot_id
    (folder / "p3").mkdir()
    (folder / "p3" / "late.dcm").write_bytes(os.urandom(SMALL))
    second = repository.backup(folder, tags=["data", "run=2"]).snapshot_id
    third_folder = tmp_path / "other"
    third_folder.mkdir()
    (third_folder / "x").write_bytes(b"x")
    third = repository.backup(third_folder, tags=["data", "run=3"]).snapshot_id

    repository.rewrite([first, second, third], exclude=[b"p1/gone"])

    before = {one.id: one for one in repository.snapshots()}
    new = {one.original: one for one in before.values() if one.original is not None}
    assert set(new) == {first, second}, "what has none of the paths is left as it is"
    for old in (first, second):
        was, became = before[old], new[old]
        assert (became.time, became.hostname, became.paths) == (was.time, was.hostname, was.paths)
        assert became.tags == (*was.tags, "rewrite")
        assert became.files == (was.files or 0) - 2
        assert became.bytes == (was.bytes or 0) - SMALL - LARGE
        found = repository.difference(old, became.id)
        assert set(found.removed) == {"p1/gone/1.dcm", "p1/gone/2.dcm"}
        assert found.folders == ("p1/gone",)
        assert found.others == 0

    repository.forget([first, second])
    # A second disposal takes more out of what was rewritten; the tag stays one.
    again = new[second].id
    repository.rewrite([again], exclude=[b"p3/late.dcm"])
    (newest,) = (one for one in repository.snapshots() if one.original == again)
    assert newest.tags == ("data", "run=2", "rewrite")
    repository.restore(newest.id, tmp_path / "target")
    kept = tree(folder)
    assert tree(tmp_path / "target") == {
        path: content
        for path, content in kept.items()
        if not path.startswith(b"p1/gone") and path != b"p3/late.dcm"
    }


def test_a_difference_tells_what_changed_beyond_what_was_taken_out(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), _images(tmp_path)
    first = repository.backup(folder, tags=["data"]).snapshot_id
    (folder / "p1/kept/1.dcm").write_bytes(os.urandom(SMALL))
    (folder / "p2/kept/1.dcm").unlink()
    (folder / "p2/new").write_bytes(b"new")
    os.utime(folder / "p1/gone/1.dcm", (1, 1))
    second = repository.backup(folder, tags=["data"]).snapshot_id
    found = repository.difference(first, second)
    assert found.removed == ("p2/kept/1.dcm",)
    assert found.others == 3, "content, a new file and a file's time"
    assert repository.difference(first, first).others == 0
    with pytest.raises(NotFoundError):
        repository.difference(first, "a" * 64)


def test_nothing_of_what_was_left_out_stays_after_forget_and_prune(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), _images(tmp_path)
    gone = hashlib.sha256((folder / "p1/gone/1.dcm").read_bytes()).hexdigest()
    kept = hashlib.sha256((folder / "p1/kept/1.dcm").read_bytes()).hexdigest()
    first = repository.backup(folder, tags=["data"]).snapshot_id
    packs = set(tree(tmp_path / "repository" / "data"))
    repository.rewrite([first], exclude=[b"p1/gone"])

    contents = repository.contents([gone, kept])
    assert contents.found == {gone, kept}
    assert contents.blobs == contents.used, "the old snapshot still needs all of it"
    repository.forget([first])
    contents = repository.contents([gone, kept])
    assert contents.blobs > contents.used, "readable until it is pruned"
    repository.prune(max_unused="0")
    contents = repository.contents([gone, kept])
    assert contents.found == {kept}
    assert contents.blobs == contents.used > 0

    there = {os.path.basename(path).decode() for path in tree(tmp_path / "repository" / "data")}
    assert repository.indexed_packs() == {name for name in there if len(name) == 64}
    assert set(tree(tmp_path / "repository" / "data")) != packs
    assert repository.check(read_data=True).errors == 0


def test_odd_names_are_left_out_one_by_one_and_nothing_else(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    base = os.fsencode(folder)
    decoys = [b"starX", b"questionX", b"bra", b"dollar", b"lineXfeed", b"blank after", b"$", b"a"]
    for name in [*ODD_NAMES, *decoys]:
        with open(os.path.join(base, name), "wb") as file:
            file.write(name)
    inside = os.path.join(base, b"sub")
    os.mkdir(inside)
    with open(os.path.join(inside, ODD_NAMES[0]), "wb") as file:
        file.write(b"the same name elsewhere")
    repository = make_repository(restic)
    old = repository.backup(folder, tags=["data"]).snapshot_id
    repository.rewrite([old], exclude=ODD_NAMES)
    (new,) = (one.id for one in repository.snapshots() if one.original == old)
    repository.restore(new, tmp_path / "target")
    expected: dict[bytes, bytes | None] = {name: name for name in decoys}
    expected |= {b"sub": None, b"sub/" + ODD_NAMES[0]: b"the same name elsewhere"}
    assert tree(tmp_path / "target") == expected
    found = repository.difference(old, new)
    assert len(found.removed) == len(ODD_NAMES)
    assert found.others == 0


def test_a_snapshot_of_which_nothing_is_left_is_an_empty_one(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    folder = tmp_path / "all"
    (folder / "p1").mkdir(parents=True)
    (folder / "p1" / "1.dcm").write_bytes(b"the only one")
    repository = make_repository(restic)
    old = repository.backup(folder, tags=["data"]).snapshot_id
    repository.rewrite([old], exclude=[b"p1"])
    assert {one.original for one in repository.snapshots()} == {None, old}, "the old one stays"
    (new,) = (one for one in repository.snapshots() if one.original == old)
    assert new.files == 0
    repository.restore(new.id, tmp_path / "target")
    assert tree(tmp_path / "target") == {}


def test_a_stream_can_bear_the_time_of_what_it_replaces(
    restic: Binary, make_repository: MakeRepository
) -> None:
    repository = make_repository(restic)
    at = dt.datetime(2024, 2, 29, 23, 59, 58, 123456, tzinfo=dt.timezone(dt.timedelta(hours=-6)))
    made = repository.backup_stream("manifest.jsonl", [b"lines"], tags=["manifest"], at=at)
    assert repository.snapshot(made.snapshot_id).time == at.replace(microsecond=0)


def test_a_rewrite_of_everything_or_of_a_replica_is_refused(
    current_restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(current_restic)
    for ids, exclude in (
        ([], [b"a"]),
        (["a" * 64], []),
        (["a" * 64], [b"/"]),
        (["latest"], [b"a"]),
    ):
        with pytest.raises(UsageError):
            repository.rewrite(ids, exclude=exclude)
    replica = open_repository(current_restic, tmp_path / "repository", tmp_path, read_only=True)
    with pytest.raises(RefusedError):
        replica.rewrite(["a" * 64], exclude=[b"a"])
