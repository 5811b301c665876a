"""The fixed command lines of every technique that is run here, and how each is read.

Pure. Nothing of a command line is typed by a person but the device, which was resolved and probed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.sanitization import nwipe, transcripts
from orchestrator.sanitization.facts import Transcript
from orchestrator.sanitization.transcripts import Expected, Reading

Read = Callable[[Transcript, Expected], Reading]

_HOUR_S = 3600.0
ATA_PASSWORD = "orchestrator"  # noqa: S105 - no secret: set and cleared again by the erase itself


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    Attributes:
        words: Program and options, without the device.
        read: What its transcript is worth.
        timeout_s: When it is ended.
    """

    words: tuple[str, ...]
    read: Read
    timeout_s: float = 60.0

    def argv(self, device: str) -> list[str]:
        """Return the whole command line."""
        return [*self.words, device]


@dataclass(frozen=True, slots=True)
class Procedure:
    """How a technique is run.

    Attributes:
        steps: One after the other; the first that is not done ends it.
        status: Asked afterwards, again and again while it says that it is running; None for none.
        limit_s: So long a drive may go on in the background.
    """

    steps: tuple[Step, ...]
    status: Step | None = None
    limit_s: float = 7 * 24 * _HOUR_S


def _ata_erase(option: str) -> Procedure:
    user = ("hdparm", "--user-master", "u")
    return Procedure(
        (
            Step((*user, "--security-set-pass", ATA_PASSWORD), transcripts.hdparm_command),
            Step((*user, option, ATA_PASSWORD), transcripts.hdparm_command, 48 * _HOUR_S),
        ),
        Step(("hdparm", "-I"), transcripts.ata_security_status),
    )


def _ata_sanitize(*options: str) -> Procedure:
    sure = ("hdparm", "--yes-i-know-what-i-am-doing")
    return Procedure(
        (Step((*sure, *options), transcripts.hdparm_command),),
        Step(("hdparm", "--sanitize-status"), transcripts.ata_sanitize_status),
    )


def _nvme_sanitize(action: str) -> Procedure:
    number = {"block": "2", "overwrite": "3", "crypto": "4"}[action]
    passes = ("--owpass=1", "--ovrpat=0") if action == "overwrite" else ()
    return Procedure(
        (Step(("nvme", "sanitize", f"--sanact={number}", *passes), transcripts.nvme_command),),
        Step(("nvme", "sanitize-log", "-o", "json"), transcripts.nvme_sanitize_status(action)),
    )


def _scsi_sanitize(*options: str) -> Procedure:
    return Procedure(
        (Step(("sg_sanitize", *options, "--quick", "--early"), transcripts.sg_command),),
        Step(("sg_requests", "--progress"), transcripts.sg_status),
    )


def _nvme_format(setting: str) -> Procedure:
    return Procedure(
        (
            Step(
                ("nvme", "format", "--force", f"--ses={setting}"), transcripts.nvme_command, _HOUR_S
            ),
        )
    )


PROCEDURES: dict[str, Procedure] = {
    "nwipe": Procedure(
        (
            Step(
                (
                    "nwipe",
                    "--autonuke",
                    "--nogui",
                    "--nowait",
                    "--method=zero",
                    "--verify=last",
                    "--rounds=1",
                    "--noblank",
                ),
                nwipe.read,
                14 * 24 * _HOUR_S,
            ),
        )
    ),
    "blkdiscard": Procedure((Step(("blkdiscard",), transcripts.silent, _HOUR_S),)),
    "ata-secure-erase": _ata_erase("--security-erase"),
    "ata-secure-erase-enhanced": _ata_erase("--security-erase-enhanced"),
    "ata-sanitize-overwrite": _ata_sanitize(
        "--sanitize-overwrite-passes", "1", "--sanitize-overwrite", "hex:00000000"
    ),
    "ata-sanitize-block": _ata_sanitize("--sanitize-block-erase"),
    "ata-sanitize-crypto": _ata_sanitize("--sanitize-crypto-scramble"),
    "nvme-format": _nvme_format("1"),
    "nvme-format-crypto": _nvme_format("2"),
    "nvme-sanitize-overwrite": _nvme_sanitize("overwrite"),
    "nvme-sanitize-block": _nvme_sanitize("block"),
    "nvme-sanitize-crypto": _nvme_sanitize("crypto"),
    "scsi-sanitize-overwrite": _scsi_sanitize("--overwrite", "--zero"),
    "scsi-sanitize-block": _scsi_sanitize("--block"),
    "scsi-sanitize-crypto": _scsi_sanitize("--crypto"),
    "luks-erase": Procedure(
        (Step(("cryptsetup", "erase", "--batch-mode"), transcripts.silent),),
        Step(("cryptsetup", "luksDump", "--dump-json-metadata"), transcripts.luks_status),
    ),
}
"""By the technique's name; our own overwrite needs no program."""

VERSION_WORDS: dict[str, tuple[str, ...]] = {
    "nwipe": ("--version",),
    "blkdiscard": ("--version",),
    "hdparm": ("-V",),
    "nvme": ("version",),
    "sg_sanitize": ("--version",),
    "cryptsetup": ("--version",),
}
"""What makes a program say its version."""
