"""Looking for offline media among what is mounted, and judging whether one is separate.

A medium is recognised by its own identity file. It counts as separate only if it is a mounted
file system on other disks than the store and the primary. Only reads; knows nothing of stores,
the catalog or keys.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engines import medium_identity
from orchestrator.engines.medium_identity import Identity
from orchestrator.engines.mounts import (
    DeviceFacts,
    Mount,
    device_facts,
    disks_under,
    file_system_uuid,
    mount_at,
    mount_id_of,
    read_mounts,
)
from orchestrator.errors import EngineError

_log = logging.getLogger(__name__)

_DEPTH = 2
_LOOKED_AT = 1000
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class MountedMedium:
    """A medium that can be reached now.

    Attributes:
        identity: What it says of itself.
        mount_point: Where it is, without symbolic links.
        device: `st_dev` of its file system.
        mount_id: The kernel's id of the mount.
        fs_uuid: UUID of the file system as observed now; None if it has none.
        source: The device it is mounted from; None for a plain folder.
        facts: What the kernel tells of the disk.
        separate: It counts as a medium of its own.
        reason: Why it does not; None if it does.
    """

    identity: Identity
    mount_point: Path
    device: int
    mount_id: int
    fs_uuid: str | None
    source: str | None
    facts: DeviceFacts
    separate: bool
    reason: str | None


def find(
    search: Iterable[Path], copy: str, *, apart_from: Sequence[Path] = ()
) -> list[MountedMedium]:
    """Return the media of a copy that can be reached now, whatever site they belong to.

    Looked at are the search paths, mount points up to two levels below and plain folders one
    level below. A plain folder with an identity file is found, but never separate. What cannot
    be read is passed over with a warning in the log.

    Args:
        search: Where to look; paths that are not there are left out.
        copy: Name of the copy.
        apart_from: Paths of the store and the primary, whose disks a medium may not be on.

    Raises:
        EngineError: The mount table cannot be read.
    """
    mounts = read_mounts()
    found: dict[tuple[int, str], MountedMedium] = {}
    for path in _candidates(search, mounts):
        try:
            medium = _look_at(path, mounts, apart_from)
        except (OSError, ValueError, EngineError) as error:
            _log.warning("copy %s: a folder was passed over: %s", copy, type(error).__name__)
            continue
        if medium is not None and medium.identity.copy == copy:
            found.setdefault((medium.device, medium.identity.medium), medium)
    return list(found.values())


def _candidates(search: Iterable[Path], mounts: list[Mount]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in search:
        top = path.resolve()
        for mount in (m.path for m in mounts if m.path.is_relative_to(top)):
            if len(mount.relative_to(top).parts) <= _DEPTH:
                found.setdefault(mount)
        for folder in _folders(top):
            found.setdefault(folder)
    return list(found)


def _folders(top: Path) -> Iterator[Path]:
    """Yield a folder and those right below it, links and all beyond a thousand left out."""
    yield top
    try:
        with os.scandir(top) as entries:
            names = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
    except OSError:
        return
    yield from (Path(name) for name in sorted(names)[:_LOOKED_AT])


def _look_at(path: Path, mounts: list[Mount], apart_from: Sequence[Path]) -> MountedMedium | None:
    if not path.is_dir():
        return None
    with held(path) as folder:
        content = medium_identity.read(folder)
        if content is None:
            return None
        identity = medium_identity.decode(content)
        reason = why_not_separate(path, folder, mounts=mounts, apart_from=apart_from)
        return describe(path, folder, identity, mounts=mounts, reason=reason)


def describe(
    path: Path, folder: int, identity: Identity, *, mounts: list[Mount], reason: str | None
) -> MountedMedium:
    """Return all facts of an open medium.

    Raises:
        OSError: It went away.
        EngineError: The UUID of its file system cannot be asked for in time.
    """
    mount = mount_at(path, mounts)
    if mount is not None and mount.mount_id != mount_id_of(folder):
        mount = None  # hidden by another mount
    return MountedMedium(
        identity=identity,
        mount_point=path,
        device=os.fstat(folder).st_dev,
        mount_id=mount_id_of(folder),
        fs_uuid=None if mount is None else file_system_uuid(mount),
        source=None if mount is None else mount.source,
        facts=DeviceFacts() if mount is None else device_facts(mount),
        separate=reason is None,
        reason=reason,
    )


def why_not_separate(
    path: Path, folder: int, *, mounts: list[Mount], apart_from: Sequence[Path]
) -> str | None:
    """Return why a folder is no medium of its own, as a clause; None if it is one.

    Args:
        path: The folder, without symbolic links.
        folder: Descriptor of the open folder.
        mounts: The mount table, read after the folder was opened.
        apart_from: Paths of the store and the primary; they need not exist yet.

    Raises:
        OSError: A path went away.
        EngineError: The devices cannot be told.
    """
    mount = mount_at(path, mounts)
    if mount is None or mount.mount_id != mount_id_of(folder):
        return "is a plain folder, not a mounted file system"
    if mount.file_system in _IN_MEMORY:
        return "is kept in memory only"
    disks = disks_under(path, mounts)
    for other in apart_from:
        if disks & disks_under(_existing(other), mounts):
            return "lies on the same disk as the store or the primary"
    return None


def _existing(path: Path) -> Path:
    path = path.resolve()
    return next(folder for folder in (path, *path.parents) if folder.exists())


@contextmanager
def held(path: Path) -> Iterator[int]:
    """Hold a folder open for the length of the block.

    Raises:
        OSError: It is not there, or no folder.
    """
    descriptor = os.open(path, _OPEN_FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
