"""The emulated drives of the nightly run, and what happens to them while the machine runs.

Nothing here knows the product. Drives are told apart by their serial numbers, which say what each
is for; `drives.py` finds them by that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.lab.qemu_machine import Monitor

MIB = 1 << 20
SMALL = 64 * MIB
BAD_SECTOR = (SMALL - 3 * MIB) // 512
"""Where a drive of 64 MiB fails: near the end, and where no marker is ever put."""

_HDD, _SSD = "rotation_rate=7200", "rotation_rate=1"
_NO_RETRY = "werror=report,rerror=report"
_SLOW_BYTES_PER_S = 8 * MIB


def options(folder: Path) -> list[str]:
    """Return QEMU's options for every drive; their files are made in a folder."""
    return [word for pair in _devices(folder) for word in pair]


def _devices(folder: Path) -> Iterator[tuple[str, str]]:
    for number in range(2):
        yield "-device", f"ich9-ahci,id=sata{number}"
    for bus, (name, model, extra) in enumerate(
        (
            ("ATA-HDD", "EMULATED DISK", {}),
            ("ATA-SSD", "EMULATED FLASH", {}),
            ("ATA-TRIM", "EMULATED FLASH", {}),
            ("ATA-DEAF", "EMULATED FLASH", {"discard": "ignore"}),
            ("ATA-BADWRITE", "EMULATED DISK", {"fails": "write"}),
            ("ATA-BADREAD", "EMULATED DISK", {"fails": "read"}),
        )
    ):
        yield from _blocks(folder, name, **extra)
        turns = _HDD if model.endswith("DISK") else _SSD
        where = f"bus=sata{bus // 6}.{bus % 6}"
        yield (
            "-device",
            f"ide-hd,{where},drive={name},serial={name},model={model},{turns},{_NO_RETRY}",
        )
    yield "-device", "virtio-scsi-pci,id=bays"
    for name, turns, extra in (
        ("SCSI-HDD", _HDD, {}),
        ("SCSI-LUKS", _HDD, {}),
        ("SCSI-NWIPE", _HDD, {}),
        ("SCSI-UNMAP", _SSD, {}),
        ("SCSI-READONLY", _HDD, {"read_only": True}),
        ("SCSI-FORGETS", _HDD, {"driver": "null-co"}),
        ("SCSI-NAMELESS", _HDD, {}),
        ("SCSI-PULLED", _HDD, {"slow": True, "size": 512 * MIB}),
        ("SCSI-SWAPPED", _HDD, {}),
    ):
        yield from _blocks(folder, name, **extra)
        serial = "" if name == "SCSI-NAMELESS" else f",serial={name}"
        product = f"product={name[5:]}"
        yield (
            "-device",
            f"scsi-hd,bus=bays.0,id={name},drive={name}{serial},{product},{turns},{_NO_RETRY}",
        )
    yield from _blocks(folder, "SCSI-OTHER")  # plugged in later
    for name, extra in (
        ("NVME-FORMAT", {}),
        ("NVME-PLAIN", {}),
        ("NVME-TRIM", {}),
        ("NVME-NWIPE", {}),
        ("NVME-BADFORMAT", {"fails": "write-zeroes"}),
    ):
        yield from _blocks(folder, name, **extra)
        yield "-device", f"nvme,serial={name},drive={name}"
    for name, detached in (("NVME-TWO", "off"), ("NVME-HALF", "on")):
        yield "-device", f"nvme-subsys,id={name}-all,nqn={name}"
        yield "-device", f"nvme,serial={name},id={name},subsys={name}-all"
        for number, away in ((1, "off"), (2, detached)):
            yield from _blocks(folder, f"{name}-{number}")
            yield (
                "-device",
                f"nvme-ns,bus={name},nsid={number},drive={name}-{number},detached={away}",
            )
    yield "-device", "qemu-xhci,id=usb"
    yield from _blocks(folder, "USB-STICK", size=SMALL // 2)
    yield "-device", "usb-storage,bus=usb.0,removable=on,serial=USB-STICK,drive=USB-STICK"


def _blocks(
    folder: Path,
    name: str,
    *,
    size: int = SMALL,
    driver: str = "file",
    discard: str = "unmap",
    fails: str | None = None,
    read_only: bool = False,
    slow: bool = False,
) -> Iterator[tuple[str, str]]:
    """Describe where a drive's blocks are kept, and what is wrong with that."""
    node: dict[str, Any] = {"driver": driver}
    if driver == "null-co":
        node |= {"size": size, "read-zeroes": True}
    else:
        file = folder / name
        with open(file, "wb") as image:
            image.truncate(size)
        node |= {"filename": str(file), "discard": discard}
    if fails is not None:
        rule = {"event": "none", "iotype": fails, "errno": 5, "immediately": False, "once": False}
        if fails != "write-zeroes":
            rule["sector"] = BAD_SECTOR
        node = {"driver": "blkdebug", "image": node, "inject-error": [rule]}
    node = {"driver": "raw", "file": node, "discard": discard, "read-only": read_only}
    if slow:
        limits = f"throttle-group,id=slow,x-bps-write={_SLOW_BYTES_PER_S}"
        yield "-object", limits
        node = {"driver": "throttle", "throttle-group": "slow", "file": node}
    yield "-blockdev", json.dumps({**node, "node-name": name})


def obey(monitor: Monitor, out: Path) -> None:
    """Do what the guest asks of QEMU's monitor, one request file after the other, for good."""
    number = 1
    while True:
        asked = out / f"ask-{number}.json"
        while not asked.exists():
            time.sleep(0.2)
        request = json.loads(asked.read_text())
        try:
            answer = {"return": monitor.tell(request["command"], **request["arguments"])}
        except (RuntimeError, OSError) as error:
            answer = {"error": str(error)}
        part = out / f"answer-{number}.part"
        part.write_text(json.dumps(answer))
        part.rename(out / f"answer-{number}.json")
        number += 1


class Outside:
    """The guest's side of `obey`."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._asked = 0

    def tell(self, command: str, **arguments: Any) -> Mapping[str, Any]:
        """Send a command to QEMU's monitor and wait for its answer."""
        self._asked += 1
        part = self._out / f"ask-{self._asked}.part"
        part.write_text(json.dumps({"command": command, "arguments": arguments}))
        part.rename(self._out / f"ask-{self._asked}.json")
        answered = self._out / f"answer-{self._asked}.json"
        until = time.monotonic() + 300
        while not answered.exists():
            assert time.monotonic() < until, "the machine's monitor does not answer"
            time.sleep(0.2)
        answer: Mapping[str, Any] = json.loads(answered.read_text())
        assert "error" not in answer, answer
        return answer
