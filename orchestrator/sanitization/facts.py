"""What is known of a device and of a program's run, as plain values.

Pure. `probe` fills them in, `techniques` judges them. A thing nobody could find out is None, and
None is never taken for "no".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "hdd",
    "ata_ssd",
    "nvme",
    "scsi_hdd",
    "scsi_ssd",
    "usb_flash",
    "virtual",
    "loop",
    "file",
    "tape",
    "optical",
    "unknown",
]

KINDS: tuple[Kind, ...] = (
    "hdd",
    "ata_ssd",
    "nvme",
    "scsi_hdd",
    "scsi_ssd",
    "usb_flash",
    "virtual",
    "loop",
    "file",
    "tape",
    "optical",
    "unknown",
)
FLASH: frozenset[Kind] = frozenset({"ata_ssd", "nvme", "scsi_ssd", "usb_flash"})
"""Media with spare cells that ordinary writes do not reach."""

HIDES_AREAS: frozenset[Kind] = frozenset({"hdd", "ata_ssd"})
"""ATA drives, which can be told to show less than they have (HPA, DCO)."""

MAGNETIC: frozenset[Kind] = frozenset({"hdd", "scsi_hdd", "tape"})

Capability = Literal[
    "ata_security",
    "ata_security_enhanced",
    "ata_sanitize_overwrite",
    "ata_sanitize_block",
    "ata_sanitize_crypto",
    "nvme_format",
    "nvme_format_crypto",
    "nvme_sanitize_overwrite",
    "nvme_sanitize_block",
    "nvme_sanitize_crypto",
    "scsi_sanitize",
    "trim",
    "self_encrypting",
    "luks",
]

CAPABILITIES: tuple[Capability, ...] = (
    "ata_security",
    "ata_security_enhanced",
    "ata_sanitize_overwrite",
    "ata_sanitize_block",
    "ata_sanitize_crypto",
    "nvme_format",
    "nvme_format_crypto",
    "nvme_sanitize_overwrite",
    "nvme_sanitize_block",
    "nvme_sanitize_crypto",
    "scsi_sanitize",
    "trim",
    "self_encrypting",
    "luks",
)


@dataclass(frozen=True, slots=True)
class Transcript:
    """One run of a program: what was started, what it said, how it ended.

    Attributes:
        argv: Program and arguments.
        returncode: Its exit code; None if it could not be started or did not end in time.
        stdout: Its standard output, undecoded.
        stderr: Its standard error, undecoded.
        problem: Why there is no exit code; None if there is one.
        missing: The program is not installed.
    """

    argv: tuple[str, ...]
    returncode: int | None
    stdout: bytes = b""
    stderr: bytes = b""
    problem: str | None = None
    missing: bool = False

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def errors(self) -> str:
        """Standard error as text."""
        return self.stderr.decode("utf-8", "replace")


Run = Callable[[Sequence[str], float], Transcript]
"""Runs a program: argv, and seconds after which it is ended. Never raises for what it does."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about a device.

    Attributes:
        device: Its path as it was resolved.
        kind: What sort of medium it is.
        size_bytes: Its length; None if nobody could tell.
        block_bytes: Its logical block.
        vendor: Manufacturer.
        model: Model.
        serial: The serial number on which two sources agree; None if none do.
        serials: Serial number by source.
        identity: What tells this device from another, serial or not; None if nothing does.
        capabilities: By name: True or False if it was observed, None if not.
        native_bytes: Length including areas that are hidden from the host; None if unknown.
        hidden: Whether a hidden area exists (HPA, DCO); None if unknown.
        frozen: The drive refuses security commands until it is powered off; None if unknown.
        locked: A password locks the drive; None if unknown.
        health: What the drive says of itself: ``passed``, ``failed``; None if unknown.
        in_use: Why it must not be touched, in sentences; empty if nothing was found.
        file_systems: UUIDs of the file systems on it, as far as they could be read.
        missing_tools: Programs that would have told more, but are not installed.
        versions: Version by program, as far as it was asked.
        transcripts: What every program said.
    """

    device: str
    kind: Kind
    size_bytes: int | None
    block_bytes: int = 512
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    serials: Mapping[str, str] = field(default_factory=dict)
    identity: str | None = None
    capabilities: Mapping[str, bool | None] = field(default_factory=dict)
    native_bytes: int | None = None
    hidden: bool | None = None
    frozen: bool | None = None
    locked: bool | None = None
    health: str | None = None
    in_use: tuple[str, ...] = ()
    file_systems: tuple[str, ...] = ()
    missing_tools: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    transcripts: tuple[Transcript, ...] = ()

    def has(self, capability: Capability) -> bool | None:
        """Say whether the device can do something; None if that was not established."""
        return self.capabilities.get(capability)
