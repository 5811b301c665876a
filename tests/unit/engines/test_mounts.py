"""Reading the kernel's mount table."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.mounts import mount_at, parse_mountinfo

TABLE = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
60 27 8:17 / /media/it/My\040Disk\0112 rw,nosuid shared:30 master:1 - ext4 /dev/sdb1 rw
61 27 8:33 /sub /mnt/bind ro,relatime shared:31 - xfs /dev/sdc1 rw
62 27 8:33 / /mnt/dirty rw,relatime - xfs /dev/sdc1 ro,norecovery
70 60 7:0 / /media/it/My\040Disk\0112 rw - ext4 /dev/loop0 rw
not a line
1 2 x:y / /z rw - a b c
"""


def test_every_line_of_the_table_is_read_and_nothing_else() -> None:
    mounts = parse_mountinfo(TABLE)
    assert [m.mount_id for m in mounts] == [22, 27, 60, 61, 62, 70]
    disk = mounts[2]
    assert disk.path == Path("/media/it/My Disk\t2")
    assert disk.device == os.makedev(8, 17)
    assert (disk.file_system, disk.source, disk.parent_id) == ("ext4", "/dev/sdb1", 27)


def test_a_mount_is_read_only_by_its_own_or_its_file_systems_option() -> None:
    read_only = {m.mount_id: m.read_only for m in parse_mountinfo(TABLE)}
    assert read_only == {22: False, 27: False, 60: False, 61: True, 62: True, 70: False}


def test_the_root_of_a_bind_mount_is_told() -> None:
    assert {m.mount_id: m.root for m in parse_mountinfo(TABLE)}[61] == "/sub"


def test_of_several_mounts_at_one_path_the_topmost_counts() -> None:
    mount = mount_at(Path("/media/it/My Disk\t2"), parse_mountinfo(TABLE))
    assert mount is not None
    assert mount.mount_id == 70
    assert mount_at(Path("/media/it"), parse_mountinfo(TABLE)) is None


@given(st.text())
def test_no_text_whatever_breaks_the_parser(text: str) -> None:
    parse_mountinfo(text)
