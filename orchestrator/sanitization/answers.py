"""What programs answer when they are asked about a device.

Pure: transcript in, `Answer` out. Whatever cannot be read stays unknown. An exit code of 0 with
nothing said is no answer: some of these programs do just that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestrator.sanitization.facts import Transcript


@dataclass(frozen=True, slots=True)
class Answer:
    """What one source says of a device; None where it says nothing.

    Attributes:
        source: Name of the program, or ``kernel``.
        answered: It said something that could be read.
        serial: Serial number, without blanks at its ends.
        model: Model.
        vendor: Manufacturer.
        rotates: The medium turns.
        is_ata: It is an ATA drive.
        native_bytes: Length including the host protected area.
        hidden: Something is hidden by configuration.
        frozen: Security commands are refused until power-off.
        locked: A password locks it.
        health: ``passed`` or ``failed``.
        namespaces: How many parts of an NVMe drive can hold data, attached or not.
        manages_namespaces: There may be namespaces that are attached to nothing.
        capabilities: What it can do.
    """

    source: str
    answered: bool = False
    serial: str | None = None
    model: str | None = None
    vendor: str | None = None
    rotates: bool | None = None
    is_ata: bool = False
    native_bytes: int | None = None
    hidden: bool | None = None
    frozen: bool | None = None
    locked: bool | None = None
    health: str | None = None
    namespaces: int | None = None
    manages_namespaces: bool | None = None
    capabilities: dict[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listed:
    """What ``lsblk`` says.

    Attributes:
        answer: What it says of the device itself.
        kind: ``disk``, ``part``, ``loop``, ``rom`` …
        transport: ``sata``, ``usb``, ``nvme`` …
        removable: The medium can be taken out.
        mounts: How many places it or a part of it is mounted at.
        partitions: Kernel names of what is on it.
        file_systems: UUIDs.
    """

    answer: Answer
    kind: str | None = None
    transport: str | None = None
    removable: bool = False
    mounts: int = 0
    partitions: tuple[str, ...] = ()
    file_systems: tuple[str, ...] = ()


def lsblk(said: Transcript) -> Listed:
    """Read ``lsblk -J -b -O DEVICE``."""
    body = json_of(said)
    devices = body.get("blockdevices") if said.returncode == 0 else None
    if not isinstance(devices, list) or len(devices) != 1 or not isinstance(devices[0], dict):
        return Listed(Answer("lsblk"))
    top = devices[0]
    nodes = list(_nodes(top))
    mounts = [point for node in nodes for point in node.get("mountpoints") or [] if point]
    mounts += [node["mountpoint"] for node in nodes if node.get("mountpoint") and not mounts]
    return Listed(
        Answer(
            "lsblk",
            answered=True,
            serial=word_of(top.get("serial")),
            model=word_of(top.get("model")),
            vendor=word_of(top.get("vendor")),
        ),
        kind=word_of(top.get("type")),
        transport=word_of(top.get("tran")),
        removable=bool(top.get("rm")) or bool(top.get("hotplug")),
        mounts=len(mounts),
        partitions=tuple(
            node["kname"] for node in nodes[1:] if node.get("type") == "part" and node.get("kname")
        ),
        file_systems=tuple(node["uuid"] for node in nodes if word_of(node.get("uuid"))),
    )


def udev(said: Transcript) -> Answer:
    """Read ``udevadm info --query=property``."""
    values = dict(line.split("=", 1) for line in said.text.splitlines() if "=" in line)
    if said.returncode != 0 or not values:
        return Answer("udevadm")
    return Answer(
        "udevadm",
        answered=True,
        serial=word_of(values.get("ID_SERIAL_SHORT")),
        model=word_of(values.get("ID_MODEL")),
        vendor=word_of(values.get("ID_VENDOR")),
        is_ata=values.get("ID_BUS") == "ata",
    )


def smartctl(said: Transcript) -> Answer:
    """Read ``smartctl -j -x``; its exit code is a bit mask, so only what it says counts."""
    body = json_of(said)
    device = body.get("device")
    if not isinstance(device, dict):
        return Answer("smartctl")
    rate, passed = body.get("rotation_rate"), _dig(body, "smart_status", "passed")
    security = body.get("ata_security")
    security = security if isinstance(security, dict) else {}
    return Answer(
        "smartctl",
        answered=True,
        serial=word_of(body.get("serial_number")),
        model=word_of(body.get("model_name") or body.get("scsi_model_name")),
        vendor=word_of(body.get("vendor") or body.get("scsi_vendor")),
        rotates=rate > 0 if isinstance(rate, int) and not isinstance(rate, bool) else None,
        is_ata=device.get("protocol") == "ATA",
        frozen=_boolean(security.get("frozen")),
        health={True: "passed", False: "failed"}.get(passed) if passed is not None else None,
    )


def hdparm(said: Transcript) -> Answer:
    """Read ``hdparm -I``, ``-N`` or ``--dco-identify``; it answers 0 to nothing at all."""
    text = said.text
    if said.returncode != 0:
        return Answer("hdparm")
    if "-I" in said.argv:
        # It asks more than once, and may be refused the rest: the drive's own words count.
        return _hdparm_identity(text)
    if "bad/missing sense data" in said.errors:
        return Answer("hdparm")
    if found := re.search(r"max sectors\s*=\s*(\d+)/(\d+)", text):
        if "invalid" in text:  # what some solid-state drives answer: nothing that can be believed
            return Answer("hdparm -N")
        return Answer(
            "hdparm -N",
            answered=True,
            native_bytes=int(found[2]) * 512,
            hidden=True if int(found[1]) < int(found[2]) or "HPA is enabled" in text else None,
        )
    if found := re.search(r"Real max sectors:\s*(\d+)", text):
        return Answer("hdparm --dco", answered=True, native_bytes=int(found[1]) * 512, hidden=False)
    return Answer("hdparm")


def _hdparm_identity(text: str) -> Answer:
    serial = re.search(r"Serial Number:\s*(\S+)", text)
    if serial is None:
        return Answer("hdparm")
    model = re.search(r"Model Number:\s*(.+)", text)
    _, _, security = text.partition("\nSecurity:")
    has_security = _listed(security, "supported") if security else None
    features = re.search(r"\*\s+SANITIZE feature set", text) is not None
    return Answer(
        "hdparm",
        answered=True,
        serial=serial[1],
        model=model[1].strip() if model else None,
        is_ata=True,
        frozen=_listed(security, "frozen"),
        locked=_listed(security, "locked"),
        capabilities={
            "ata_security": bool(has_security),
            "ata_security_enhanced": bool(_listed(security, "supported: enhanced erase")),
            "ata_sanitize_overwrite": features and "OVERWRITE_EXT command" in text,
            "ata_sanitize_block": features and "BLOCK_ERASE_EXT command" in text,
            "ata_sanitize_crypto": features and "CRYPTO_SCRAMBLE_EXT command" in text,
        },
    )


def _listed(security: str, what: str) -> bool | None:
    """Read a line of hdparm's security block: ``not`` before it denies it."""
    found = re.search(rf"^[ \t]*(not)?[ \t]*{re.escape(what)}[ \t]*$", security, re.M)
    return None if found is None else found[1] is None


def sg(said: Transcript) -> Answer:
    """Read ``sg_inq``, ``sg_vpd -p sn`` or ``sg_opcodes -o 0x48``."""
    if said.returncode != 0:
        return Answer("sg")
    text = said.text
    if said.argv[0] == "sg_opcodes":
        can = None
        if re.search(r"not supported", text, re.I):
            can = False
        elif re.search(r"supported", text, re.I):
            can = True
        return Answer("sg_opcodes", answered=can is not None, capabilities={"scsi_sanitize": can})
    serial = re.search(r"Unit serial number:\s*(\S+)", text)
    vendor = re.search(r"Vendor identification:\s*(\S.*)", text)
    model = re.search(r"Product identification:\s*(\S.*)", text)
    return Answer(
        "sg",
        answered=any((serial, vendor, model)),
        serial=serial[1] if serial else None,
        vendor=vendor[1].strip() if vendor else None,
        model=model[1].strip() if model else None,
    )


READERS: dict[str, Callable[[Transcript], Answer]] = {
    "hdparm": hdparm,
    **{"sg_inq": sg, "sg_vpd": sg, "sg_opcodes": sg},
}
"""How the answer of each program is read."""


def json_of(said: Transcript) -> dict[str, Any]:
    """Return the object that a program printed; empty if it is none."""
    try:
        body = json.loads(said.stdout)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _nodes(top: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield top
    for child in top.get("children") or []:
        if isinstance(child, dict):
            yield from _nodes(child)


def _dig(body: dict[str, Any], outer: str, inner: str) -> Any:
    table = body.get(outer)
    return table.get(inner) if isinstance(table, dict) else None


def word_of(value: Any) -> str | None:
    """Return a text without blanks at its ends; None if it is none or empty."""
    return value.strip() or None if isinstance(value, str) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def number_of(value: Any) -> int | None:
    """Return a whole number, also from a text such as ``0x17``; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            return None
    return None
