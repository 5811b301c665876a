"""The kernel's tables for a real file system on a loop device."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.engines.mounts import (
    device_facts,
    disks_under,
    file_system_uuid,
    mount_at,
    mount_id_of,
    read_mounts,
)
from tests.support.loop import LoopFileSystem, loop_medium

__all__ = ["loop_medium"]


def test_a_mounted_image_is_told_by_uuid_device_and_backing_file(
    loop_medium: LoopFileSystem,
) -> None:
    mount = mount_at(loop_medium.mount_point, read_mounts())
    assert mount is not None
    assert mount.file_system == "ext4"
    assert mount.device == os.stat(loop_medium.mount_point).st_dev
    assert file_system_uuid(mount) == loop_medium.uuid
    facts = device_facts(mount)
    assert facts.backing_file == loop_medium.image
    assert facts.disk == Path(loop_medium.device).name


def test_disks_tell_a_medium_from_the_disk_its_mount_point_lies_on(
    loop_medium: LoopFileSystem, tmp_path: Path
) -> None:
    mounts = read_mounts()
    assert not disks_under(loop_medium.mount_point, mounts) & disks_under(tmp_path, mounts)
    assert disks_under(loop_medium.image, mounts) == disks_under(tmp_path, mounts)


def test_the_mount_id_of_an_open_folder_is_that_of_the_table(loop_medium: LoopFileSystem) -> None:
    mount = mount_at(loop_medium.mount_point, read_mounts())
    assert mount is not None
    descriptor = os.open(loop_medium.mount_point, os.O_RDONLY)
    try:
        assert mount_id_of(descriptor) == mount.mount_id
        loop_medium.unmount(lazily=True)
        assert mount_id_of(descriptor) == mount.mount_id
        assert mount_at(loop_medium.mount_point, read_mounts()) is None
    finally:
        os.close(descriptor)


def test_what_has_no_device_has_no_uuid() -> None:
    proc = mount_at(Path("/proc"), read_mounts())
    assert proc is not None
    assert file_system_uuid(proc) is None
    assert device_facts(proc).disk is None
