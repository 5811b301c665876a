"""The folder that a drill restores into, and its safe end.

Restored images are PHI: the folder is private, lies in no store or copy, is known by a marker that
is locked as long as anything may still write to it, and is emptied by overwriting wherever the file
system lets that mean something. What a killed drill left behind is removed by the next one. Knows
nothing of drills, snapshots or restic.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.folder_tree import FolderTree, sync_file_system
from orchestrator.errors import OrchestratorError, RefusedError

if TYPE_CHECKING:
    from orchestrator.actions.site import Site
    from orchestrator.engines.mounts import Mount

MARKER = ".imaging-orchestrator-drill.json"
"""Only a folder that holds this file is ever emptied."""

PREFIX = "drill-"
FILES = "files"

_MARGIN_BYTES = 16 * 1024 * 1024
_MARGIN_SHARE = 0.02
_BLOCK_BYTES = 4096
_ZEROS = bytes(1024 * 1024)
_IN_PLACE = ("ext2", "ext3", "ext4", "xfs", "vfat", "exfat", "msdos")
"""File systems that write a block again where it was."""


@dataclass(slots=True)
class Sandbox:
    """A private folder to restore into.

    Attributes:
        root: The folder itself; free for scratch files beside `files`.
        lock_fd: Descriptor of the marker's lock: programs that write here inherit it.
        overwrite: Whether to overwrite before removing.
        removed: What became of the data, in one sentence; empty until it is closed.
    """

    root: Path
    lock_fd: int
    overwrite: bool
    removed: str = field(default="")

    @property
    def files(self) -> Path:
        """Where to restore to; not made yet."""
        return self.root / FILES

    def spool(self) -> Path:
        """Return a folder for what is fetched on the way; made if it is not there."""
        folder = self.root / "spool"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def require_room(self, size_bytes: int, files: int) -> None:
        """Make sure that what is to be restored fits.

        Args:
            size_bytes: Length of all files together.
            files: How many there are.

        Raises:
            OrchestratorError: It does not.
        """
        needed = int(size_bytes * (1 + _MARGIN_SHARE)) + files * _BLOCK_BYTES + _MARGIN_BYTES
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise OrchestratorError(
                f"the drill needs {_mib(needed)} MiB to restore to, and its folder has "
                f"{_mib(free)} MiB: nothing was restored",
                hint='free some space, or name a larger disk in site.toml: [drills] sandbox = "…"',
            )


def sandbox_folder(site: Site) -> Path:
    """Return the folder in which drills make theirs."""
    return site.config.drills.sandbox or site.state_dir / "drills"


def check_apart(site: Site, folder: Path) -> None:
    """Refuse a folder that lies in a store or a copy, or around one, links followed.

    Raises:
        RefusedError: It does.
    """
    places = [store.path for store in site.config.stores.values()]
    places += [copy.path for copy in site.local_copies()]
    real = folder.resolve()
    for place in (place.resolve() for place in places):
        if real.is_relative_to(place) or place.is_relative_to(real):
            raise RefusedError(
                "the folder for drills lies in a store or a copy, or holds one: what is restored "
                "there would be backed up, or the drill's end would remove it",
                hint='choose another one in site.toml: [drills] sandbox = "…"',
            )


@contextmanager
def sandbox(site: Site, name: str) -> Iterator[Sandbox]:
    """Make a sandbox, and remove it and all it holds afterwards.

    Args:
        site: The site.
        name: Part of the folder's name, such as the drill's id.

    Raises:
        RefusedError: The site names a folder in or around a store or copy.
        OrchestratorError: The folder cannot be made, or not be removed.
    """
    parent = sandbox_folder(site)
    check_apart(site, parent)
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = parent / f"{PREFIX}{name}"
        root.mkdir(mode=0o700)
        lock_fd = _mark(root)
    except OSError as error:
        raise OrchestratorError(
            f"the folder for drills cannot be used: {(error.strerror or 'unknown').lower()}",
            hint='name another one in site.toml: [drills] sandbox = "…"',
        ) from None
    made = Sandbox(root, lock_fd, site.config.drills.overwrite)
    try:
        yield made
    finally:
        try:
            made.removed = _remove(root, overwrite=made.overwrite)
        finally:
            os.close(lock_fd)


def leftovers(site: Site) -> list[Path]:
    """Return the folders that dead drills left behind."""
    parent = sandbox_folder(site)
    found = []
    for root in sorted(parent.glob(f"{PREFIX}*")) if parent.is_dir() else ():
        if not root.is_symlink() and (root / MARKER).is_file() and _is_free(root / MARKER):
            found.append(root)
    return found


def remove_leftovers(site: Site) -> int:
    """Remove what dead drills left behind.

    Returns:
        How many folders were removed.

    Raises:
        RefusedError: The site names a folder in or around a store or copy.
        OrchestratorError: One of them cannot be removed.
    """
    found = leftovers(site)
    if found:
        check_apart(site, sandbox_folder(site))
    for root in found:
        fd = os.open(root / MARKER, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # somebody else is at it
        finally:
            os.close(fd)
        _remove(root, overwrite=site.config.drills.overwrite)
    return len(found)


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


def _mark(root: Path) -> int:
    fd = os.open(root / MARKER, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(fd, json.dumps({"pid": os.getpid()}).encode())
    os.fsync(fd)
    return fd


def _is_free(marker: Path) -> bool:
    try:
        fd = os.open(marker, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _remove(root: Path, *, overwrite: bool) -> str:
    """Remove a marked folder; the marker goes last, so that a second attempt finds it."""
    if not (root / MARKER).is_file():
        raise RefusedError("a folder without the drill's marker is not removed")
    held = (root / FILES).is_dir() and any((root / FILES).iterdir())
    why_not = why_not_overwritten(root) if overwrite else "the site file says so"
    try:
        for name in os.listdir(root):
            if name != MARKER:
                _remove_tree(root / name, overwrite=why_not is None)
        (root / MARKER).unlink()
        root.rmdir()
    except OSError as error:
        raise OrchestratorError(
            "what a drill restored could not be removed, and it is PHI: "
            f"{(error.strerror or 'unknown').lower()}",
            hint="orchestrator doctor; remove the folder by hand",
        ) from None
    if not held:
        return "Nothing was restored, so there was nothing to remove."
    if why_not is None:
        return "The restored data was overwritten with zeros and removed."
    return f"The restored data was removed, but not overwritten: {why_not}."


def _remove_tree(path: Path, *, overwrite: bool) -> None:
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


def _mib(size_bytes: int) -> str:
    return f"{-(-size_bytes // 2**20):,}"
