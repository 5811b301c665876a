"""What a device is: asked of the kernel and of every program that may know.

A program that is missing, fails or says nothing leaves its answers unknown; its exit code is
believed in nothing. Starts no program itself: it is handed `Run`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import NotFoundError, RefusedError
from orchestrator.sanitization import answers, nvme
from orchestrator.sanitization.answers import Answer
from orchestrator.sanitization.facts import Facts, Kind, Run, Transcript

_TIMEOUT_S = 60.0
_BLOCK = Path("/sys/dev/block")
_SWAPS = Path("/proc/swaps")
_MOUNTS = Path("/proc/self/mountinfo")
_UDEV_SOURCES = frozenset({"lsblk", "udevadm"})
_SCSI_TRANSPORTS = ("sas", "fc", "iscsi", "spi")
_BY_NAME: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("loop",), "loop"),
    (("nvme",), "nvme"),
    (("sr",), "optical"),
    (("vd", "xvd", "nbd", "rbd", "zram", "ram", "dm-", "md"), "virtual"),
)
_OF_KIND: dict[str, tuple[tuple[str, ...], ...]] = {
    "hdd": (("hdparm", "-I"), ("hdparm", "-N"), ("hdparm", "--dco-identify")),
    "ata_ssd": (("hdparm", "-I"), ("hdparm", "-N"), ("hdparm", "--dco-identify")),
    "nvme": (("nvme", "id-ctrl", "-o", "json"), ("nvme", "id-ns", "-o", "json")),
    "scsi_hdd": (("sg_inq",), ("sg_vpd", "-p", "sn"), ("sg_opcodes", "-o", "0x48")),
    "scsi_ssd": (("sg_inq",), ("sg_vpd", "-p", "sn"), ("sg_opcodes", "-o", "0x48")),
    "usb_flash": (("sg_inq",), ("sg_vpd", "-p", "sn")),
}

_READERS = {**answers.READERS, "nvme": nvme.read}
_WHICH = "lsblk lists the devices of this machine"


@dataclass(slots=True)
class _Probe:
    device: str
    run: Run
    transcripts: list[Transcript] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def ask(self, *words: str, last: bool = True) -> Transcript:
        argv = [*words, self.device] if last else list(words)
        transcript = self.run(argv, _TIMEOUT_S)
        self.transcripts.append(transcript)
        if transcript.missing and words[0] not in self.missing:
            self.missing.append(words[0])
        return transcript


def probe(device: Path, run: Run) -> Facts:
    """Find out what a device is, what it can do, and whether it is in use.

    Changes nothing on it.

    Args:
        device: A block device, or a file that holds an image of one.
        run: Runs a program.

    Raises:
        NotFoundError: It is not there.
        RefusedError: It is neither a block device nor a file.
    """
    try:
        path = device.resolve(strict=True)
        status = path.stat()
    except OSError as error:
        raise NotFoundError(
            f"the device to be probed is not there: {error.strerror}", hint=_WHICH
        ) from None
    asked = _Probe(str(path), run)
    if stat.S_ISREG(status.st_mode):
        return _file(asked, status)
    if not stat.S_ISBLK(status.st_mode):
        raise RefusedError("what is to be probed is neither a block device nor a file", hint=_WHICH)
    return _block(asked, status)


def _file(asked: _Probe, status: os.stat_result) -> Facts:
    loops = asked.ask("losetup", "--noheadings", "--output", "NAME", "--associated")
    in_use = []
    if loops.returncode != 0:
        in_use.append("whether a loop device uses it is not known")
    elif loops.text.strip():
        in_use.append("a loop device uses it")
    return Facts(
        device=asked.device,
        kind="file",
        size_bytes=status.st_size,
        identity=f"file:{status.st_dev}:{status.st_ino}",
        capabilities={"luks": _luks(asked)},
        in_use=tuple(in_use),
        missing_tools=tuple(asked.missing),
        transcripts=tuple(asked.transcripts),
    )


def _block(asked: _Probe, status: os.stat_result) -> Facts:
    folder = (_BLOCK / f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}").resolve()
    listed = answers.lsblk(asked.ask("lsblk", "-J", "-b", "-O"))
    udev = answers.udev(asked.ask("udevadm", "info", "--query=property"))
    found = [listed.answer, udev, _of_kernel(folder)]
    smart = answers.smartctl(asked.ask("smartctl", "-j", "-x"))
    found.append(smart)
    kind = _kind(folder, listed, udev, smart)
    for words in _OF_KIND.get(kind, ()):
        found.append(_READERS[words[0]](asked.ask(*words)))
    if kind == "nvme":
        found.append(nvme.read(asked.ask(*nvme.listing(found))))
    capabilities: dict[str, bool | None] = {"luks": _luks(asked), "trim": _trim(folder)}
    for answer in found:
        capabilities.update(answer.capabilities)
    serial, serials = _agreed(found)
    size = _number(folder / "size")
    size_bytes = size * 512 if size is not None else None
    native = max((answer.native_bytes or 0 for answer in found), default=0) or None
    return Facts(
        device=asked.device,
        kind=kind,
        size_bytes=size_bytes,
        block_bytes=_number(folder / "queue/logical_block_size") or 512,
        vendor=_first(answer.vendor for answer in found),
        model=_first(answer.model for answer in found),
        serial=serial,
        serials=serials,
        identity=_identity(folder, kind, serial, size_bytes),
        capabilities=capabilities,
        native_bytes=native,
        hidden=_hidden(found, native, size_bytes),
        frozen=_first(answer.frozen for answer in found),
        locked=_first(answer.locked for answer in found),
        health=_first(answer.health for answer in found),
        in_use=(*_uses(folder, listed), *(nvme.other_parts(found) if kind == "nvme" else ())),
        file_systems=tuple(_file_systems(asked, listed)),
        missing_tools=tuple(asked.missing),
        transcripts=tuple(asked.transcripts),
    )


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _agreed(found: Iterable[Answer]) -> tuple[str | None, dict[str, str]]:
    """Return the serial number that two sources give and none denies, and all of them."""
    serials = {answer.source: answer.serial for answer in found if answer.serial}
    # lsblk repeats what udev says: the two are one source.
    sources = {"udev" if name in _UDEV_SOURCES else name for name in serials}
    values = set(serials.values())
    return (values.pop() if len(values) == 1 and len(sources) >= 2 else None), serials


def _identity(folder: Path, kind: Kind, serial: str | None, size: int | None) -> str | None:
    """Return what tells this device from every other that may stand at its path."""
    if serial is not None:
        return f"serial:{serial}:{size}"
    if kind == "loop":
        sequence = _text(folder / "diskseq")  # a new number with every attachment
        return None if sequence is None else f"loop:{sequence}:{size}"
    return None


def _hidden(found: Iterable[Answer], native: int | None, size: int | None) -> bool | None:
    told = [answer.hidden for answer in found if answer.hidden is not None]
    if any(told) or (native is not None and size is not None and native > size):
        return True
    # Both the host protected area and the configuration overlay must have been looked at.
    return False if native is not None and told else None


def _kind(folder: Path, listed: answers.Listed, udev: Answer, smart: Answer) -> Kind:
    if listed.kind == "rom":
        return "optical"
    for prefixes, kind in _BY_NAME:
        if folder.name.startswith(prefixes):
            return kind
    return _disk_kind(folder, listed.transport or "", udev, smart, removable=listed.removable)


def _disk_kind(
    folder: Path, transport: str, udev: Answer, smart: Answer, *, removable: bool
) -> Kind:
    """Tell disks that share one kind of name apart; what is not sure is unknown."""
    rotates = smart.rotates
    is_ata = smart.is_ata or udev.is_ata or transport in ("sata", "ata")
    if transport == "usb" and rotates is None and not is_ata:
        # The kernel calls whatever does not say otherwise rotating: only a stick is removable.
        return "usb_flash" if removable else "unknown"
    if rotates is None and (is_ata or smart.answered or transport in _SCSI_TRANSPORTS):
        rotates = _flag(folder / "queue/rotational")
    if rotates is None:
        return "unknown"
    if is_ata:
        return "hdd" if rotates else "ata_ssd"
    return "scsi_hdd" if rotates else "scsi_ssd"


def _of_kernel(folder: Path) -> Answer:
    serial = _first(_text(folder / part) for part in ("serial", "device/serial"))
    model = _text(folder / "device/model")
    return Answer("kernel", serial=serial, model=model, vendor=_text(folder / "device/vendor"))


def _trim(folder: Path) -> bool | None:
    most = _number(folder / "queue/discard_max_bytes")
    return None if most is None else most > 0


def _luks(asked: _Probe) -> bool | None:
    done = asked.ask("cryptsetup", "isLuks")
    return {0: True, 1: False}.get(-1 if done.returncode is None else done.returncode)


def _file_systems(asked: _Probe, listed: answers.Listed) -> list[str]:
    found = set(listed.file_systems)
    for path in [asked.device, *(f"/dev/{part}" for part in listed.partitions)]:
        done = asked.ask("blkid", "-p", "-o", "value", "-s", "UUID", path, last=False)
        found.update(line for line in done.text.split() if done.returncode == 0)
    return sorted(found)


def _uses(folder: Path, listed: answers.Listed) -> list[str]:
    """Say why a device must not be touched, as far as can be seen."""
    found = []
    if (folder / "partition").exists():
        found.append("it is a partition: sanitizing a part is no sanitization of the medium")
    if not listed.answer.answered:
        found.append("lsblk does not tell what is on it, so it may be in use")
    parts = [folder, *(part.parent for part in folder.glob("*/partition"))]
    numbers = {number for part in parts if (number := _text(part / "dev")) is not None}
    mounted = _mounted()
    if mounted is None:
        found.append("the mount table cannot be read")
    elif places := sorted(mounted & numbers):
        found.append(f"it is mounted ({len(places)} file systems)")
    if listed.mounts and not any("mounted" in one for one in found):
        found.append(f"it is mounted ({listed.mounts} places)")
    if any(any((part / "holders").glob("*")) for part in parts):
        found.append("a volume is built on it (LVM, RAID, or an open encrypted mapping)")
    if {part.name for part in parts} & _swaps():
        found.append("it is swapped to")
    if _text(folder / "ro") == "1":
        found.append("it is write-protected")
    return found


def _mounted() -> set[str] | None:
    try:
        lines = _MOUNTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    return {line.split(" ")[2] for line in lines if line.count(" ") > 3}


def _swaps() -> set[str]:
    try:
        lines = _SWAPS.read_text("utf-8", "replace").splitlines()[1:]
    except OSError:
        return set()
    return {os.path.basename(os.path.realpath(line.split()[0])) for line in lines if line.strip()}


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \n") or None
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdecimal() else None


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(_text(path) or "")
