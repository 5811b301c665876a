"""The folder that a drill restores into, and its safe end.

Restored images are PHI: the folder is private, lies in no store or copy, is known by a marker that
is locked as long as anything may still write to it, and is emptied as `erasing` says. What a killed
drill left behind is removed by the next one. Knows nothing of drills, snapshots or restic.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.drills.erasing import remove_tree, why_not_overwritten
from orchestrator.errors import OrchestratorError, RefusedError

if TYPE_CHECKING:
    from orchestrator.actions.site import Site

MARKER = ".imaging-orchestrator-drill.json"
"""Only a folder that holds this file is ever emptied."""

PREFIX = "drill-"
FILES = "files"

_MARGIN_BYTES = 16 * 1024 * 1024
_MARGIN_SHARE = 0.02
_BLOCK_BYTES = 4096


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
                remove_tree(root / name, overwrite=why_not is None)
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


def _mib(size_bytes: int) -> str:
    return f"{-(-size_bytes // 2**20):,}"
