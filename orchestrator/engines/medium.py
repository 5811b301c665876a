"""Offline media: how one is added, opened, guarded while it is written, and released.

Everything is opened relative to a folder that is held open, so that what is written lands on the
medium or nowhere, and an unmounted mount point gets not one byte. Knows nothing of stores, the
catalog or keys.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType

from orchestrator.engines import medium_identity
from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.disk_errors import disk_errors
from orchestrator.engines.folder_tree import sync_file_system
from orchestrator.engines.medium_identity import FOLDER, Identity
from orchestrator.engines.medium_search import MountedMedium, describe, held, why_not_separate
from orchestrator.engines.mounts import file_system_uuid, mount_at, mount_id_of, read_mounts
from orchestrator.errors import RefusedError, UnreachableError

_HARMLESS = frozenset({"lost+found", "System Volume Information"})
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SEPARATE_HINT = "use a mounted file system on a disk that holds neither the store nor the primary"


@dataclass(frozen=True, slots=True)
class NewMedium:
    """What is to be written on a medium.

    Attributes:
        copy: Name of the copy.
        site: Id of the site.
        label: What people call it.
    """

    copy: str
    site: str
    label: str


def add(
    mount_point: Path,
    new: NewMedium,
    *,
    now: datetime,
    apart_from: Sequence[Path] = (),
    allow_folder: bool = False,
) -> MountedMedium:
    """Make a mounted, empty file system a medium; one that is ours already keeps its id.

    Args:
        mount_point: Where it is mounted.
        new: What to write on it.
        now: The current instant.
        apart_from: Paths of the store and the primary, whose disks it may not be on.
        allow_folder: Take a folder that is no separate medium; it will never count as one.

    Raises:
        RefusedError: It is not separate, not empty, or another site's or copy's medium.
        UnreachableError: It went away.
        CredentialError: Access is refused.
        EngineError: The disk fails, or is read-only.
    """
    what = f"copy {new.copy}: making {mount_point} a medium"
    with disk_errors(new.copy, "making a medium"), held(mount_point.resolve()) as folder:
        mounts = read_mounts()
        path = mount_point.resolve()
        reason = why_not_separate(path, folder, mounts=mounts, apart_from=apart_from)
        if reason is not None and not allow_folder:
            raise RefusedError(f"{what} is refused: it {reason}", hint=_SEPARATE_HINT)
        mount = mount_at(path, mounts)
        identity = Identity(
            medium=secrets.token_hex(16),
            copy=new.copy,
            site=new.site,
            label=new.label,
            created_at=now,
            fs_uuid=None if mount is None else file_system_uuid(mount),
        )
        identity = _settle_identity(folder, identity, what)
        if mount is not None and mount_id_of(folder) != mount.mount_id:
            raise UnreachableError(f"{what}: it was unmounted meanwhile", hint="mount it again")
        medium_identity.write(folder, identity)
        return describe(path, folder, identity, mounts=mounts, reason=reason)


def open_medium(mounted: MountedMedium, *, site: str, allow_folder: bool = False) -> MediumHandle:
    """Open a medium for writing or checking; the handle MUST be closed or released.

    Args:
        mounted: As `find` or `add` gave it.
        site: Id of this site.
        allow_folder: Open it even if it is not separate.

    Raises:
        RefusedError: It is another site's, not separate, or on another file system than it was
            made on.
        UnreachableError: It went away.
        CredentialError: Access is refused.
        EngineError: Any other failure of the disk.
    """
    identity = mounted.identity
    what = f"copy {identity.copy}: medium {identity.label}"
    if identity.site != site:
        raise RefusedError(f"{what} belongs to another site", hint="connect a medium of this site")
    if not mounted.separate and not allow_folder:
        raise RefusedError(f"{what} {mounted.reason}", hint=_SEPARATE_HINT)
    with disk_errors(identity.copy, "opening the medium"):
        handle = MediumHandle(mounted, os.open(mounted.mount_point, _OPEN_FOLDER))
    try:
        handle.guard()
        # Asked again now that the mount is held: between `find` and here it may have changed.
        mount = mount_at(mounted.mount_point, read_mounts())
        if identity.fs_uuid != (None if mount is None else file_system_uuid(mount)):
            raise RefusedError(
                f"{what} is not on the file system it was made on: its files were copied, or "
                "the UUID cannot be read",
                hint="connect the original; reading a UUID without udev needs root",
            )
    except BaseException:
        handle.close()
        raise
    return handle


class MediumHandle:
    """An open medium; a context manager that closes it.

    As long as it is open the file system cannot be unmounted but lazily, and then `guard`
    raises. Whatever is written through `place` lands on the medium or nowhere.
    """

    def __init__(self, mounted: MountedMedium, folder: int) -> None:
        self.mounted = mounted
        self._folder = folder

    def __enter__(self) -> MediumHandle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """Our own folder on the medium, for programs that only read, such as restic."""
        return self.mounted.mount_point / FOLDER

    @property
    def free_bytes(self) -> int:
        """How much more fits, in bytes.

        Raises:
            UnreachableError: The medium went away.
            EngineError: Any other failure of the disk.
        """
        with disk_errors(self.mounted.identity.copy, "asking for its free space"):
            facts = os.statvfs(self._folder)
        return facts.f_bavail * facts.f_frsize

    def place(self, repository: str, *, durable: bool = True) -> DirectoryPlace:
        """Return the place of one repository on this medium, usable while the handle is open.

        Args:
            repository: Name of its folder below `path`.
            durable: As `DirectoryPlace`.
        """
        return DirectoryPlace(
            self.mounted.identity.copy,
            Path(FOLDER, repository),
            durable=durable,
            guard=self.guard,
            within=self._folder,
        )

    def guard(self) -> None:
        """Make sure that this very medium is still mounted where it was.

        While the folder is held open the kernel gives its mount id to nobody else, so an equal
        id means the same mount and the same file system, hence the same UUID.

        Raises:
            UnreachableError: It is not mounted there any more.
            RefusedError: Its identity file is gone or says something else.
            EngineError: It cannot be read.
        """
        identity = self.mounted.identity
        what = f"copy {identity.copy}: medium {identity.label}"
        with disk_errors(identity.copy, "looking at the medium"):
            if not self._is_there():
                raise UnreachableError(
                    f"{what} is no longer mounted: it was pulled out or unmounted",
                    hint="connect and mount it again; the next run goes on from here",
                )
            content = medium_identity.read(self._folder)
        if content is None or _read_identity(content) != identity:
            raise RefusedError(
                f"{what} no longer says that it is this medium",
                hint="look at what was changed on it; `orchestrator medium list` shows the rest",
            )

    def _is_there(self) -> bool:
        expected = (self.mounted.mount_id, self.mounted.device)
        try:
            with held(self.mounted.mount_point) as fresh:
                return expected == _facts(fresh) == _facts(self._folder)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def sync(self) -> None:
        """Write out everything that is pending on the medium.

        Raises:
            UnreachableError: It went away.
            EngineError: Something could not be written.
        """
        with disk_errors(self.mounted.identity.copy, "writing out what is pending"):
            sync_file_system(self._folder)

    def close(self) -> None:
        """Let go of the medium; closing twice is no error."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def _settle_identity(folder: int, identity: Identity, what: str) -> Identity:
    """Keep the id of a medium that is ours; refuse another's, and whatever is not empty."""
    content = medium_identity.read(folder)
    if content is None:
        others = sorted(set(os.listdir(folder)) - _HARMLESS)
        if others:
            raise RefusedError(
                f"{what} is refused: it is not empty ({len(others)} entries)",
                hint="use an empty file system, or make one; nothing was changed on this one",
            )
        return identity
    old = _read_identity(content)
    if old is None:
        raise RefusedError(
            f"{what} is refused: it has an identity file that cannot be read",
            hint="make a new file system on it if nothing on it is needed",
        )
    if (old.site, old.copy) != (identity.site, identity.copy):
        raise RefusedError(
            f"{what} is refused: it is a medium of another site or copy",
            hint="make a new file system on it if nothing on it is needed",
        )
    return replace(identity, medium=old.medium, created_at=old.created_at)


def _read_identity(content: bytes) -> Identity | None:
    try:
        return medium_identity.decode(content)
    except ValueError:
        return None


def _facts(folder: int) -> tuple[int, int]:
    return mount_id_of(folder), os.fstat(folder).st_dev
