"""Removing the files of a study from a real folder."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.stores import disposal
from orchestrator.stores.disposal import Doomed, Examined

STUDY = ("p1/s1/a/1.dcm", "p1/s1/a/2.dcm", "p1/s1/b/3.dcm")


def _put(root: Path, name: str, content: bytes | None = None) -> Doomed:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = name.encode() if content is None else content
    path.write_bytes(content)
    return Doomed(name.encode(), hashlib.sha256(content).hexdigest())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name in (*STUDY, "p1/s2/1.dcm", ".mounted"):
        _put(folder, name)
    return folder


def _study() -> list[Doomed]:
    return [Doomed(name.encode(), hashlib.sha256(name.encode()).hexdigest()) for name in STUDY]


def _known(root: Path) -> dict[bytes, set[bytes]]:
    return {
        os.path.relpath(folder, root).encode(): {os.fsencode(name) for name in files}
        for folder, _, files in os.walk(root)
    }


def _examined(root: Path, files: list[Doomed] | None = None) -> Examined:
    return disposal.examine(root, files or _study(), _known(root))


def _left(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_a_study_goes_with_its_empty_folders_and_nothing_else(root: Path) -> None:
    done = disposal.remove(_examined(root))
    assert (done.files, done.folders, done.vanished, done.obstacle) == (3, 3, 0, None)
    assert _left(root) == {".mounted", "p1", "p1/s2", "p1/s2/1.dcm"}
    assert not disposal.is_there(root, b"p1/s1/a/1.dcm")
    assert disposal.is_there(root, b"p1/s2/1.dcm")


def test_the_root_stays_when_all_is_gone(tmp_path: Path) -> None:
    root = tmp_path / "images"
    only = _put(root, "1.dcm")
    found = disposal.examine(root, [only], {b"": {b"1.dcm"}})
    assert disposal.remove(found).files == 1
    assert root.is_dir()
    assert _left(root) == set()


def test_what_other_people_keep_in_a_folder_keeps_the_folder(root: Path) -> None:
    _put(root, "p1/s1/report.txt")
    disposal.remove(_examined(root))
    assert _left(root) == {".mounted", "p1", "p1/s1", "p1/s1/report.txt", "p1/s2", "p1/s2/1.dcm"}


def test_looking_changes_nothing(root: Path) -> None:
    before = _left(root)
    found = _examined(root)
    assert found.obstacle is None
    assert len(found.files) == 3
    assert _left(root) == before


def _change(root: Path) -> None:
    (root / STUDY[2]).write_bytes(b"edited since")


def _same_length(root: Path) -> None:
    (root / STUDY[2]).write_bytes(b"x" * len(STUDY[2]))


def _link_instead(root: Path) -> None:
    (root / STUDY[2]).unlink()
    (root / STUDY[2]).symlink_to(root / "p1/s2/1.dcm")


def _fifo_instead(root: Path) -> None:
    (root / STUDY[2]).unlink()
    os.mkfifo(root / STUDY[2])


def _folder_by_link(root: Path) -> None:
    outside = root.parent / "outside"
    (root / "p1/s1/b").rename(outside)
    (root / "p1/s1/b").symlink_to(outside)


def _upper_folder_by_link(root: Path) -> None:
    outside = root.parent / "outside"
    (root / "p1").rename(outside)
    (root / "p1").symlink_to(outside)


@pytest.mark.parametrize(
    "change",
    [_change, _same_length, _link_instead, _fifo_instead, _folder_by_link, _upper_folder_by_link],
)
def test_one_changed_file_keeps_the_whole_study(root: Path, change: Callable[[Path], None]) -> None:
    known = _known(root)
    change(root)
    before = _left(root)
    found = disposal.examine(root, _study(), known)
    assert found.obstacle == "changed"
    with pytest.raises(ValueError, match="not removed"):
        disposal.remove(found)
    assert _left(root) == before


@pytest.mark.parametrize("change", [_change, _link_instead, _folder_by_link, _upper_folder_by_link])
def test_a_swap_after_the_comparison_keeps_the_whole_study(
    root: Path, change: Callable[[Path], None]
) -> None:
    found = _examined(root)
    assert found.obstacle is None
    change(root)
    outside = root.parent / "outside"
    before = _left(root), _left(outside)
    done = disposal.remove(found)
    assert (done.obstacle, done.files) == ("changed", 0)
    assert (_left(root), _left(outside)) == before


def test_another_folder_of_the_same_name_with_the_same_files_is_not_the_one_compared(
    root: Path,
) -> None:
    found = _examined(root)
    (root / "p1/s1/b").rename(root / "moved")
    _put(root, STUDY[2])
    done = disposal.remove(found)
    assert (done.obstacle, done.files) == ("changed", 0)


def test_a_file_with_a_further_name_stops_it(root: Path) -> None:
    os.link(root / STUDY[0], root.parent / "kept elsewhere")
    assert _examined(root).obstacle == "linked"


def test_a_further_name_given_after_the_comparison_stops_it(root: Path) -> None:
    found = _examined(root)
    os.link(root / STUDY[0], root.parent / "kept elsewhere")
    done = disposal.remove(found)
    assert (done.obstacle, done.files) == ("changed", 0)


def test_a_file_that_no_backup_has_seen_beside_them_stops_it(root: Path) -> None:
    known = _known(root)
    _put(root, "p1/s1/a/new.dcm")
    assert disposal.examine(root, _study(), known).obstacle == "unknown_file"
    assert disposal.examine(root, _study(), _known(root)).obstacle is None


def test_files_that_vanished_are_no_obstacle(root: Path) -> None:
    (root / STUDY[0]).unlink()
    (root / STUDY[2]).unlink()
    (root / "p1/s1/b").rmdir()
    found = _examined(root)
    (root / STUDY[1]).unlink()
    done = disposal.remove(found)
    assert (done.files, done.vanished, done.obstacle) == (0, 3, None)
    assert "p1/s1" not in _left(root)


def test_a_removal_that_fails_half_way_is_tried_again_and_keeps_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, real, calls = _examined(root), os.unlink, itertools.count(1)

    def unlink(name: bytes, *, dir_fd: int) -> None:
        if next(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        done = disposal.remove(found)
    assert (done.files, done.obstacle) == (1, "unwritable")
    again = disposal.remove(_examined(root))
    assert (again.files, again.vanished, again.obstacle) == (2, 1, None)


def test_a_second_time_finds_nothing_left_to_do(root: Path) -> None:
    disposal.remove(_examined(root))
    again = disposal.remove(_examined(root))
    assert (again.files, again.vanished, again.obstacle) == (0, 3, None)


def test_nothing_in_the_result_names_a_file(root: Path) -> None:
    (root / STUDY[0]).unlink()
    os.mkfifo(root / STUDY[0])
    told = repr(_study()) + repr(_examined(root)).replace(str(root), "")
    assert "p1" not in told
    assert "dcm" not in told
