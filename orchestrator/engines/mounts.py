"""What is mounted where, on which device, and what is known of that device.

Reads the kernel's own tables; knows nothing of media, copies or repositories.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engines import process
from orchestrator.errors import EngineError, EngineTimeoutError

_MOUNTINFO = Path("/proc/self/mountinfo")
_BY_UUID = Path("/dev/disk/by-uuid")
_BLOCK = Path("/sys/dev/block")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_BLKID_TIMEOUT_S = 30.0
_TOOLS_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the mount table.

    Attributes:
        mount_id: The kernel's id; used again only after the mount and all its users are gone.
        parent_id: Id of the mount it is mounted on.
        device: Device number (`os.makedev`) of the file system.
        root: Folder of the file system that is mounted; ``/`` unless it is a bind mount.
        path: The mount point.
        read_only: The mount or the file system refuses writes.
        file_system: Its type, such as ``ext4``.
        source: The device's path, or what stands for it.
    """

    mount_id: int
    parent_id: int
    device: int
    root: str
    path: Path
    read_only: bool
    file_system: str
    source: str


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What the kernel tells of the disk under a file system; None where it does not say.

    Attributes:
        disk: Name of the whole disk, such as ``sdb``.
        serial: Serial number of the disk.
        model: Vendor and model of the disk.
        removable: The kernel calls the disk removable.
        rotational: The disk turns.
        backing_file: The image file, if the disk is a loop device.
    """

    disk: str | None = None
    serial: str | None = None
    model: str | None = None
    removable: bool | None = None
    rotational: bool | None = None
    backing_file: Path | None = None


def parse_mountinfo(text: str) -> list[Mount]:
    """Read the text of ``/proc/self/mountinfo``; lines that are none are left out.

    Source: proc_pid_mountinfo(5).
    """
    found = (_parse_line(line) for line in text.splitlines())
    return [mount for mount in found if mount is not None]


def read_mounts() -> list[Mount]:
    """Return everything that is mounted now, in the order it was mounted.

    Raises:
        EngineError: The kernel's table cannot be read.
    """
    try:
        raw = _MOUNTINFO.read_bytes()
    except OSError as error:
        raise EngineError(f"the mount table cannot be read: {error.strerror}") from error
    return parse_mountinfo(os.fsdecode(raw))


def mount_at(path: Path, mounts: list[Mount]) -> Mount | None:
    """Return what is mounted at exactly this path, the topmost if there are several."""
    return next((mount for mount in reversed(mounts) if mount.path == path), None)


def mount_id_of(descriptor: int) -> int:
    """Return the mount that an open file or folder belongs to.

    As long as the descriptor is open the id is not given to another mount.

    Raises:
        OSError: The descriptor is not open.
    """
    for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "mnt_id":
            return int(value)
    raise OSError(f"no mount id is told of descriptor {descriptor}")


def file_system_uuid(mount: Mount) -> str | None:
    """Return the UUID of a mounted file system; None if it has none or nobody can tell.

    Raises:
        EngineError: ``blkid`` hangs.
    """
    device = _source_device(mount)
    if device is None:
        return None
    return _uuid_by_link(device) or _uuid_by_blkid(mount.source)


def disks_under(path: Path, mounts: list[Mount]) -> frozenset[int]:
    """Return the device numbers of the whole disks that a path's file system lies on.

    Partitions and device-mapper volumes are followed down to their disks. Where there is no
    disk (network, memory) the file system's own number stands for it. A loop device counts as
    a disk of its own: see `DeviceFacts.backing_file`.

    Raises:
        OSError: The path is not there.
    """
    device = os.stat(path).st_dev
    mount = next((m for m in reversed(mounts) if m.device == device), None)
    if mount is None:  # btrfs: stat and the mount table give different numbers
        mount = _enclosing(path.resolve(), mounts)
    block = _source_device(mount) if mount is not None else None
    return _whole_disks(block) if block is not None else frozenset({device})


def volume_under(path: Path) -> str | None:
    """Return the UUID of the file system that a folder lies on; None if it has none to tell.

    Asks the links that udev keeps and starts no program: where there are none, nobody can tell.
    """
    try:
        mounts = read_mounts()
        device = os.stat(path).st_dev
        mount = next((m for m in reversed(mounts) if m.device == device), None)
        if mount is None:  # btrfs: stat and the mount table give different numbers
            mount = _enclosing(path.resolve(), mounts)
        block = _source_device(mount) if mount is not None else None
    except (OSError, EngineError):
        return None
    return _uuid_by_link(block) if block is not None else None


def device_facts(mount: Mount) -> DeviceFacts:
    """Return what is known of the disk under a mounted file system."""
    device = _source_device(mount)
    if device is None:
        return DeviceFacts()
    disks = _whole_disks(device)
    folder = _block_folder(min(disks))
    if len(disks) != 1 or folder is None:
        return DeviceFacts()
    backing = _read(folder / "loop/backing_file")
    names = [_read(folder / "device" / part) for part in ("vendor", "model")]
    return DeviceFacts(
        disk=folder.name,
        serial=_serial(folder),
        model=" ".join(name for name in names if name) or None,
        removable=_flag(folder / "removable"),
        rotational=_flag(folder / "queue/rotational"),
        backing_file=Path(backing) if backing else None,
    )


def _parse_line(line: str) -> Mount | None:
    before, _, after = line.partition(" - ")
    left, right = before.split(" "), after.split(" ")
    try:
        major, minor = left[2].split(":")
        options = {*left[5].split(","), *right[2].split(",")}
        return Mount(
            mount_id=int(left[0]),
            parent_id=int(left[1]),
            device=os.makedev(int(major), int(minor)),
            root=_unescape(left[3]),
            path=Path(_unescape(left[4])),
            read_only="ro" in options,
            file_system=right[0],
            source=_unescape(right[1]),
        )
    except (IndexError, ValueError, OverflowError):
        return None


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def _enclosing(path: Path, mounts: list[Mount]) -> Mount | None:
    for folder in (path, *path.parents):
        if (mount := mount_at(folder, mounts)) is not None:
            return mount
    return None


def _source_device(mount: Mount) -> int | None:
    """Return the block device a file system is mounted from."""
    try:
        facts = os.stat(mount.source)
    except OSError:
        return mount.device if (_BLOCK / _number(mount.device)).exists() else None
    return facts.st_rdev if stat.S_ISBLK(facts.st_mode) else None


def _whole_disks(device: int) -> frozenset[int]:
    folder = _block_folder(device)
    if folder is None:
        return frozenset({device})
    if (folder / "partition").exists():
        return _whole_disks(_device_number(folder.parent, device))
    below = [_device_number(slave, device) for slave in (folder / "slaves").glob("*")]
    if below:
        return frozenset[int]().union(*(_whole_disks(slave) for slave in below))
    return frozenset({device})


def _device_number(folder: Path, default: int) -> int:
    major, _, minor = (_read(folder / "dev") or "").partition(":")
    return os.makedev(int(major), int(minor)) if minor else default


def _block_folder(device: int) -> Path | None:
    link = _BLOCK / _number(device)
    return link.resolve() if link.exists() else None


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _serial(folder: Path) -> str | None:
    for name in ("serial", "device/serial", "device/wwid", "wwid"):
        if found := _read(folder / name):
            return found
    # A USB disk's serial number is the bridge's, a few folders up.
    for parent in folder.parents:
        if (parent / "idVendor").exists():
            return _read(parent / "serial")
    return None


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(_read(path) or "")


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None


def _uuid_by_link(device: int) -> str | None:
    try:
        for link in _BY_UUID.iterdir():
            if link.stat().st_rdev == device:
                return link.name
    except OSError:
        return None
    return None


def _uuid_by_blkid(source: str) -> str | None:
    # Without udev, as in a container, nobody keeps the links.
    lines: list[bytes] = []
    try:
        done = process.run(
            ["blkid", "-p", "-o", "value", "-s", "UUID", source],
            env=_TOOLS_ENV,
            timeout_s=_BLKID_TIMEOUT_S,
            on_stdout=lines.append,
        )
    except EngineTimeoutError:
        raise
    except EngineError:
        return None  # not installed
    return (os.fsdecode(lines[0]).strip() or None) if done.returncode == 0 and lines else None
