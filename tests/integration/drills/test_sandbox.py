"""The folder a drill restores into: private, guarded by its marker, emptied for good."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.actions.drills.erasing import why_not_overwritten
from orchestrator.actions.drills.sandbox import MARKER, leftovers, remove_leftovers, sandbox
from orchestrator.errors import RefusedError
from tests.support.loop import LoopFileSystem
from tests.support.site import LabSite, MakeSite

SECRET = b"a patient's name that nobody may find again " * 100


def at(site: LabSite, folder: Path, more: str = "") -> None:
    site.write(more=f"[drills]\nsandbox = {str(folder)!r}\n{more}")


def fill(files: Path) -> None:
    files.mkdir()
    (files / "image").write_bytes(SECRET)
    (files / "closed").mkdir()
    (files / "closed" / "image").write_bytes(SECRET)
    (files / "closed").chmod(0)
    (files / "link").symlink_to("/etc/hostname")
    with (files / "sparse").open("wb") as stream:
        stream.truncate(1 << 30)
        stream.write(SECRET)


def test_what_was_restored_is_on_the_disk_no_more(
    make_site: MakeSite, make_loop: Callable[..., LoopFileSystem]
) -> None:
    site, loop = make_site(), make_loop(size_mib=16)
    at(site, loop.mount_point / "drills")
    with site.opened() as opened, sandbox(opened, "x") as box:
        assert box.root.stat().st_mode & 0o777 == 0o700
        fill(box.files)
        os.sync()
        assert SECRET in loop.image.read_bytes()
    os.sync()
    assert SECRET not in loop.image.read_bytes()
    assert not list((loop.mount_point / "drills").iterdir())
    assert box.removed == "The restored data was overwritten with zeros and removed."


def test_what_is_not_overwritten_is_said_not_to_be(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site()
    at(site, tmp_path / "drills", "overwrite = false\n")
    with site.opened() as opened, sandbox(opened, "x") as box:
        fill(box.files)
    assert "not overwritten" in box.removed
    assert not box.root.exists()
    assert why_not_overwritten(Path("/dev/shm")) == "it was only in memory"


def test_only_a_marked_folder_of_a_dead_drill_is_removed(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site()
    folder = tmp_path / "drills"
    at(site, folder)
    for name in ("drill-dead", "drill-foreign", "other"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_bytes(b"x")
    (folder / "drill-dead" / MARKER).write_text("{}")
    (folder / "other" / MARKER).write_text("{}")
    (folder / "drill-link").symlink_to(folder / "other")
    with site.opened() as opened, sandbox(opened, "alive") as box:
        assert [path.name for path in leftovers(opened)] == ["drill-dead"]
        assert remove_leftovers(opened) == 1
        assert box.root.exists()
    left = {"drill-foreign", "drill-link", "other"}
    assert {path.name for path in folder.iterdir()} == left
    assert (folder / "other" / "file").exists()


@pytest.mark.parametrize("place", ["images", "copies/disk", "copies", "."])
def test_a_sandbox_in_or_around_a_store_or_copy_is_refused(
    make_site: MakeSite, tmp_path: Path, place: str
) -> None:
    site = make_site()
    link = tmp_path / "link"
    link.symlink_to(site.folder / place)
    at(site, link)
    with site.opened() as opened, pytest.raises(RefusedError), sandbox(opened, "x"):
        pass
