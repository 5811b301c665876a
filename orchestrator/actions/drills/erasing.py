"""Removing what a drill has restored, overwritten first wherever that means something.

Knows files and file systems, nothing of sandboxes.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.folder_tree import FolderTree, sync_file_system
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.engines.mounts import Mount

_ZEROS = bytes(1024 * 1024)
_IN_PLACE = ("ext2", "ext3", "ext4", "xfs", "vfat", "exfat", "msdos")
"""File systems that write a block again where it was."""


def why_not_overwritten(folder: Path) -> str | None:
    """Say why overwriting files in a folder would destroy nothing; None where it does.

    Copy-on-write file systems and flash write elsewhere and leave the old blocks; memory is gone
    anyway.

    Source: NIST SP 800-88 Rev. 1, section 2.4 and Appendix A (flash and overwriting).
    """
    from orchestrator.engines import mounts

    try:
        table = mounts.read_mounts()
        mount = _mount_of(folder, table)
    except (OSError, OrchestratorError):
        mount = None
    if mount is None:
        return "its disk could not be told"
    if mount.file_system in ("tmpfs", "ramfs"):
        return "it was only in memory"
    if mount.file_system not in _IN_PLACE:
        return f"{mount.file_system} writes new blocks and leaves the old ones"
    facts = mounts.device_facts(mount)
    if facts.backing_file is not None:
        return None  # a loop device: as far as this machine can see, blocks stay where they are
    if facts.rotational is None:
        return "its disk could not be told"
    return None if facts.rotational else "a solid-state disk keeps old blocks where nobody can say"


def _mount_of(folder: Path, table: list[Mount]) -> Mount | None:
    device = os.stat(folder).st_dev
    same = [mount for mount in table if mount.device == device]
    if same:
        return same[-1]
    real = folder.resolve()
    around = [mount for mount in table if real.is_relative_to(mount.path)]
    return max(around, key=lambda mount: len(mount.path.parts), default=None)


def remove_tree(path: Path, *, overwrite: bool) -> None:
    """Remove a file or folder without following a link."""
    if path.is_symlink() or not path.is_dir():
        if overwrite:
            _overwrite(path)
        path.unlink()
        return
    for folder, names, files in os.walk(path):
        for name in names:
            below = os.path.join(folder, name)
            if not os.path.islink(below):
                os.chmod(below, stat.S_IRWXU)  # a restored folder may be closed to its owner
        for name in files if overwrite else ():
            _overwrite(Path(folder, name))
    if overwrite:
        with FolderTree(path).folder() as root:
            sync_file_system(root)  # zeros that never reach the disk destroy nothing
    shutil.rmtree(path)


def _overwrite(path: Path) -> None:
    """Write zeros over what a regular file holds; holes stay holes."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return
    with suppress(PermissionError):
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size, end = os.fstat(fd).st_size, 0
        while end < size:
            try:
                start = os.lseek(fd, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return  # nothing but a hole is left
                raise
            end = os.lseek(fd, start, os.SEEK_HOLE)
            os.lseek(fd, start, os.SEEK_SET)
            for at in range(start, end, len(_ZEROS)):
                _write_all(fd, _ZEROS[: end - at])
    finally:
        os.close(fd)


def _write_all(fd: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]
