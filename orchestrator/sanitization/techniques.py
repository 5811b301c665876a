"""The closed table of techniques: what each is, on which media, and how far it can reach.

Pure. What evidence of one adds up to is computed in `judgement`.

Source: NIST SP 800-88 names the three methods, keeps verification apart from the organization's
validation, and leaves the techniques of each kind of medium to IEEE 2883; the levels follow the
published reading of IEEE 2883-2022 by drive makers' own open tools, not the standard's text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import UsageError
from orchestrator.sanitization.facts import KINDS, MAGNETIC, Capability, Kind

Method = Literal["clear", "purge", "destroy"]
Condition = Literal["encrypted_from_first_write", "no_other_key_copies"]

CONDITIONS: dict[Condition, str] = {
    "encrypted_from_first_write": "nothing was ever written to the medium unencrypted",
    "no_other_key_copies": "no header backup, escrow or other copy of the key exists",
}
"""What only a person can know before a cryptographic erase, and must attest to."""

VENDOR_ERASE = "vendor-erase"
"""What a vendor did in its own way."""

_DISKS: frozenset[Kind] = frozenset(
    {"hdd", "ata_ssd", "nvme", "scsi_hdd", "scsi_ssd", "usb_flash", "virtual", "loop"}
)
_ALL: frozenset[Kind] = frozenset(KINDS)
_PHYSICAL: frozenset[Kind] = _ALL - {"loop", "file", "virtual"}
_ATA: frozenset[Kind] = frozenset({"hdd", "ata_ssd"})
_NVME: frozenset[Kind] = frozenset({"nvme"})
_SCSI: frozenset[Kind] = frozenset({"scsi_hdd", "scsi_ssd"})


@dataclass(frozen=True, slots=True)
class Technique:
    """One way to sanitize.

    Attributes:
        name: As typed on the command line and printed on the certificate.
        says: What it does, for people.
        kinds: Media it may be used on at all.
        level: The highest method it can reach on a kind; None for no method.
        needs: Capabilities the device must have shown.
        measured: We run it and measure; otherwise a person or a vendor attests it.
        leaves_zeros: Every byte must read as zero afterwards.
        has_status: The device can be asked afterwards how it ended.
        in_background: It goes on after the command has returned.
        conditions: What a person must attest to for a method to be reached.
        flag: What the person who validates must weigh; None for nothing.
    """

    name: str
    says: str
    kinds: frozenset[Kind]
    level: Callable[[Kind], Method | None]
    needs: tuple[Capability, ...] = ()
    measured: bool = True
    leaves_zeros: bool = False
    has_status: bool = False
    in_background: bool = False
    conditions: tuple[Condition, ...] = ()
    flag: str | None = None


def _always(method: Method | None) -> Callable[[Kind], Method | None]:
    return lambda _kind: method


def _magnetic(method: Method, other: Method | None = None) -> Callable[[Kind], Method | None]:
    return lambda kind: method if kind in MAGNETIC else other


_ATA_ACTIONS: tuple[tuple[str, str, Capability], ...] = (
    ("overwrite", "overwrite", "ata_sanitize_overwrite"),
    ("block", "block erase", "ata_sanitize_block"),
    ("crypto", "crypto scramble", "ata_sanitize_crypto"),
)
_NVME_ACTIONS: tuple[tuple[str, str, Capability], ...] = (
    ("overwrite", "overwrite", "nvme_sanitize_overwrite"),
    ("block", "block erase", "nvme_sanitize_block"),
    ("crypto", "crypto erase", "nvme_sanitize_crypto"),
)
_TABLE = (
    Technique(
        "overwrite",
        "our own single pass of zeros over every addressable block, past the page cache",
        _DISKS,
        _always("clear"),
        leaves_zeros=True,
    ),
    Technique(
        "nwipe",
        "a single pass of zeros by nwipe, with its own verification",
        _DISKS,
        _always("clear"),
        leaves_zeros=True,
    ),
    Technique(
        "blkdiscard",
        "telling the device that no block is needed any more",
        _DISKS,
        _always(None),
        flag="discarding promises nothing about the data",
    ),
    Technique(
        "ata-secure-erase",
        "ATA SECURITY ERASE UNIT, normal",
        _ATA,
        _always("clear"),
        needs=("ata_security",),
        has_status=True,
    ),
    Technique(
        "ata-secure-erase-enhanced",
        "ATA SECURITY ERASE UNIT, enhanced",
        _ATA,
        _magnetic("purge", "clear"),
        needs=("ata_security", "ata_security_enhanced"),
        has_status=True,
    ),
    *(
        Technique(
            f"ata-sanitize-{short}",
            f"ATA SANITIZE, {words}",
            _ATA,
            _always("purge"),
            needs=(capability,),
            has_status=True,
            in_background=True,
        )
        for short, words, capability in _ATA_ACTIONS
    ),
    Technique(
        "nvme-format",
        "NVMe Format NVM, user data erase",
        _NVME,
        _always("clear"),
        needs=("nvme_format",),
        flag="the drive keeps no log of a format: only what was read back speaks for it",
    ),
    Technique(
        "nvme-format-crypto",
        "NVMe Format NVM, cryptographic erase",
        _NVME,
        _always("clear"),
        needs=("nvme_format", "nvme_format_crypto"),
        flag="the drive keeps no log of a format: only what was read back speaks for it",
    ),
    *(
        Technique(
            f"nvme-sanitize-{short}",
            f"NVMe Sanitize, {words}",
            _NVME,
            _always("purge"),
            needs=(capability,),
            has_status=True,
            in_background=True,
        )
        for short, words, capability in _NVME_ACTIONS
    ),
    *(
        Technique(
            f"scsi-sanitize-{short}",
            f"SCSI SANITIZE, {words}",
            _SCSI,
            _always("purge"),
            needs=("scsi_sanitize",),
            has_status=True,
            in_background=True,
        )
        for short, words in (
            ("overwrite", "overwrite"),
            ("block", "block erase"),
            ("crypto", "cryptographic erase"),
        )
    ),
    Technique(
        "luks-erase",
        "destroying every key slot of a LUKS container",
        _DISKS | {"file"},
        _magnetic("purge"),
        needs=("luks",),
        has_status=True,
        conditions=("encrypted_from_first_write", "no_other_key_copies"),
        flag="cryptographic erase may not suit data that must stay secret for very long",
    ),
    Technique("degauss", "degaussing", frozenset(MAGNETIC), _always("purge"), measured=False),
    *(
        Technique(name, says, _PHYSICAL, _always("destroy"), measured=False)
        for name, says in (
            ("shred", "shredding"),
            ("incinerate", "incineration"),
            ("pulverize", "pulverizing"),
            ("disintegrate", "disintegration"),
            ("melt", "melting"),
        )
    ),
    Technique(
        VENDOR_ERASE,
        "erasure by a vendor",
        _PHYSICAL,
        _always("clear"),
        measured=False,
        flag="what the vendor did in detail was not observed",
    ),
    Technique(
        "delete-files",
        "deleting files",
        _ALL,
        _always(None),
        measured=False,
        flag="deleting files is no sanitization of a medium",
    ),
)

TECHNIQUES: Mapping[str, Technique] = {one.name: one for one in _TABLE}
"""Every technique by name."""


def technique(name: str) -> Technique:
    """Return a technique by its name.

    Raises:
        UsageError: There is none of this name.
    """
    try:
        return TECHNIQUES[name]
    except KeyError:
        known = ", ".join(TECHNIQUES)
        raise UsageError(
            f"there is no technique {name!r}; there are: {known}",
            hint="orchestrator sanitize probe DEVICE",
        ) from None
