"""Disks that are full, and a medium that is pulled out while it is written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.loop import loop_file_system
from tests.support.restic import tree
from tests.support.site import LabSite, MakeSite, wait_for


@contextmanager
def small_disk(at: Path, size_mib: int) -> Iterator[None]:
    """A file system in memory, of this size."""
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def _add_images(site: LabSite, count: int, size: int = 4_000_000) -> None:
    for number in range(count):
        (site.images / f"added{number}.dcm").write_bytes(os.urandom(size))


def test_full_primary_fails_the_run_and_heals_with_space(make_site: MakeSite) -> None:
    site = make_site(medium=True)
    small = site.folder / "small"
    with small_disk(small, 24):
        shutil.copytree(site.folder / "copies/disk", small / "disk")
        site.write(disk="small/disk")
        first = site.ask("backup")
        on_medium = tree(site.on_medium)
        _add_images(site, 10)

        done = site.run("backup", expect=1)

        assert "no space" in done.error["message"]
        assert done.error["hint"]
        assert site.runs("backup")[-1]["outcome"] == "failed"
        assert site.ask("snapshots")["snapshots"][0]["snapshot"] == first["stores"][0]["snapshot"]
        kept = tree(site.on_medium)
        assert {name: kept.get(name) for name in on_medium} == on_medium
        assert site.restic_processes() == []
        for copy in site.ask("check")["copies"]:
            assert (copy["structure"], copy["damaged"]) == ("sound", []), copy
        stand = site.ask("status")["stores"][0]
        assert any("failed" in reason for reason in stand["reasons"])

        subprocess.run(["mount", "-o", "remount,size=120m", small], check=True)
        again = site.ask("backup")
        assert [copy["state"] for copy in again["stores"][0]["copies"]] == ["proven"] * 2
        site.run("check")


def test_full_medium_is_behind_and_a_larger_one_takes_over(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site(medium=True, medium_mib=16)
    assert site.medium is not None
    site.ask("backup")
    _add_images(site, 5)

    done = site.run("backup", expect=3)

    disk, rotation = done.document["stores"][0]["copies"]
    assert disk["state"] == "proven"
    assert rotation["state"] == "behind"
    assert "no space left" in rotation["error"]
    assert site.runs("backup")[-1]["outcome"] == "partial"
    (found,) = site.ask("check", "rotation")["copies"]
    assert (found["state"], found["structure"], found["damaged"]) == ("behind", "sound", [])
    assert site.copies()["rotation"]["counts"] is False

    site.medium.unmount()
    where = site.medium.mount_point.with_name("blue")
    with loop_file_system(tmp_path, size_mib=128, mount_point=where):
        site.ask("--as", "it", "medium", "add", "rotation", where, "--label", "blue")
        (sent,) = site.ask("replicate", "rotation")["copies"]
        assert sent["state"] == "proven"
        assert site.copies()["rotation"]["medium"] == "blue"
        site.run("check", "rotation")


def test_medium_pulled_out_while_writing(make_site: MakeSite) -> None:
    site = make_site(medium=True, medium_mib=256)
    assert site.medium is not None
    site.ask("backup")
    before = set(tree(site.on_medium))
    _add_images(site, 25)
    process = site.start("backup", warm=True)
    wait_for(lambda: set(_names(site.on_medium)) - before, pause_s=0.001)
    site.medium.unmount(lazily=True)
    out, err = process.communicate(timeout=240)

    assert process.returncode == 3, (out, err)
    assert not any(site.medium.mount_point.iterdir()), "the bare mount point was written to"
    row = site.runs("backup")[-1]
    assert row["outcome"] == "partial"
    assert "rotation" in row["reason"]
    stand = site.copies()
    assert stand["disk"]["state"] == "proven"
    assert stand["rotation"]["state"] in ("absent", "unknown")

    site.medium.mount()
    (held,) = site.ask("check", "rotation")["copies"]
    assert (held["structure"], held["damaged"]) == ("sound", []), "valid at every instant"
    (sent,) = site.ask("replicate", "rotation")["copies"]
    assert sent["state"] == "proven"
    left = [name for name in tree(site.on_medium) if b"tmp" in name or b"part" in name]
    assert left == []
    site.run("check")


def _names(root: Path) -> Iterator[bytes]:
    base = os.fsencode(root)
    for folder, _, files in os.walk(base):
        for name in files:
            yield os.path.relpath(os.path.join(folder, name), base)
