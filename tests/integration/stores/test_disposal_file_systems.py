"""Removing a study's files where the file system does not let us."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.stores import disposal
from orchestrator.stores.disposal import Doomed
from tests.support.loop import LoopFileSystem, make_loop

__all__ = ["make_loop"]

NAMES = (b"p/s/1.dcm", b"p/s/2.dcm")
KNOWN = {b"p/s": {b"1.dcm", b"2.dcm"}}


def _store(root: Path) -> list[Doomed]:
    (root / "p/s").mkdir(parents=True)
    for name in NAMES:
        (root / os.fsdecode(name)).write_bytes(name)
    return [Doomed(name, hashlib.sha256(name).hexdigest()) for name in NAMES]


def test_a_read_only_file_system_is_told_and_nothing_is_removed(
    make_loop: Callable[..., LoopFileSystem],
) -> None:
    mounted = make_loop().mount_point
    files = _store(mounted / "images")
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    found = disposal.examine(mounted / "images", files, KNOWN)
    assert (found.obstacle, found.problem) == ("unwritable", "the file system is read-only")


def test_a_file_system_that_turns_read_only_in_between_is_told(
    make_loop: Callable[..., LoopFileSystem],
) -> None:
    mounted = make_loop().mount_point
    files = _store(mounted / "images")
    found = disposal.examine(mounted / "images", files, KNOWN)
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    done = disposal.remove(found)
    assert (done.obstacle, done.files) == ("unwritable", 0)
    assert done.problem is not None
    assert "read-only" in done.problem
    subprocess.run(["mount", "-o", "remount,rw", str(mounted)], check=True)
    assert disposal.remove(disposal.examine(mounted / "images", files, KNOWN)).files == 2


def test_a_file_that_the_file_system_protects_stops_it_and_the_rest_is_told(
    make_loop: Callable[..., LoopFileSystem],
) -> None:
    mounted = make_loop().mount_point
    files = _store(mounted / "images")
    guarded = mounted / "images/p/s/2.dcm"
    subprocess.run(["chattr", "+i", str(guarded)], check=True)
    try:
        done = disposal.remove(disposal.examine(mounted / "images", files, KNOWN))
        assert (done.obstacle, done.files) == ("unwritable", 1)
        assert guarded.exists()
    finally:
        subprocess.run(["chattr", "-i", str(guarded)], check=True)
    done = disposal.remove(disposal.examine(mounted / "images", files, KNOWN))
    assert (done.files, done.vanished, done.obstacle) == (1, 1, None)


@pytest.mark.parametrize("above", ["p", "p/s"])
def test_a_file_system_mounted_over_the_folder_hides_it_and_nothing_is_removed(
    make_loop: Callable[..., LoopFileSystem], tmp_path: Path, above: str
) -> None:
    files = _store(tmp_path / "images")
    found = disposal.examine(tmp_path / "images", files, KNOWN)
    over = make_loop()
    (over.mount_point / "s").mkdir()
    target = tmp_path / "images" / above
    subprocess.run(["mount", "--bind", str(over.mount_point), str(target)], check=True)
    try:
        done = disposal.remove(found)
        assert (done.obstacle, done.files) == ("changed", 0)
    finally:
        subprocess.run(["umount", str(target)], check=True)
    assert disposal.remove(found).files == 2
