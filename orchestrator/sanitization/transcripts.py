"""What a tool's transcript is worth: done, failed, or nothing that can be believed.

Pure. No exit code is evidence: nwipe, hdparm, sg_sanitize and sg_format are known to answer 0 with
the data still there. Only output that is known line by line counts as done; any other line, an
unknown version, a missing serial number or an empty answer is ``unverified``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Literal

from orchestrator.sanitization import answers
from orchestrator.sanitization.facts import Transcript

ToolVerdict = Literal["done", "failed", "unverified", "running"]

_SANITIZE_ACTIONS = {"block": 2, "overwrite": 3, "crypto": 4}
# NVM Express Base Specification 2.0, Sanitize Status log page: SSTAT bits 2:0.
_NVME_SUCCEEDED, _NVME_RUNNING, _NVME_FAILED = (1, 4), (2,), (3,)
_NVME_WHOLE = 65535


@dataclass(frozen=True, slots=True)
class Expected:
    """What a transcript must be about.

    Attributes:
        device: The device's path.
        size_bytes: Its length.
        serial: Its serial number; None if it has none, and then no tool can prove which it was.
        started_at: When the program was started.
        ended_at: When it had ended.
    """

    device: str
    size_bytes: int
    serial: str | None
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What a transcript says.

    Attributes:
        verdict: ``done`` only if everything that must be there is there, and nothing else.
        reasons: Why it is not ``done``.
        version: Of the tool, as it says itself.
    """

    verdict: ToolVerdict
    reasons: tuple[str, ...] = ()
    version: str | None = None


def not_ended(said: Transcript) -> Reading | None:
    """Judge what does not depend on the tool; None if it must be read."""
    name = PurePath(said.argv[0]).name
    if said.missing:
        return Reading("failed", (f"{name} is not installed",))
    if said.returncode is None:
        return Reading("failed", (f"{name}: {said.problem or 'it did not end'}",))
    if said.returncode != 0:
        return Reading("failed", (f"{name} ended with exit code {said.returncode}",))
    return None


def hdparm_command(said: Transcript, expected: Expected) -> Reading:
    """Read what hdparm says when it starts a SECURITY or SANITIZE command."""
    early = not_ended(said)
    if early is not None:
        return early
    if said.errors.strip():
        # It answers 0 although the drive has refused: all it has to say is on standard error.
        return Reading("failed", ("hdparm complains: the drive has refused the command",))
    lines = [line.strip() for line in said.text.splitlines() if line.strip()]
    known = (
        rf"{re.escape(expected.device)}:",
        r"security_password(: |=)\".*\"",
        r"Issuing (SECURITY_SET_PASS|SECURITY_ERASE|SANITIZE_\w+) command.*",
        r"Operation started in background",
        r"You may use `--sanitize-status` to check progress",
    )
    strange = [line for line in lines if not any(re.fullmatch(one, line) for one in known)]
    if strange:
        return Reading("unverified", (f"{len(strange)} lines of hdparm are not understood",))
    if f"{expected.device}:" not in lines or not any("Issuing" in line for line in lines):
        return Reading("unverified", ("hdparm does not say that it issued the command",))
    return Reading("done")


def ata_security_status(said: Transcript, expected: Expected) -> Reading:
    """Read ``hdparm -I`` after a SECURITY ERASE: the password it needed must be gone again."""
    early = not_ended(said)
    if early is not None:
        return early
    answer = answers.hdparm(said)
    if answer.serial is None:
        return Reading("unverified", ("the drive does not identify itself afterwards",))
    if answer.serial != expected.serial:
        return Reading("failed", ("the drive that answers afterwards is another one",))
    enabled = re.search(r"^[ \t]*(not)?[ \t]*enabled[ \t]*$", said.text, re.M)
    if enabled is None:
        return Reading("unverified", ("the drive does not say whether security is enabled",))
    if enabled[1] is None:
        return Reading("failed", ("security is still enabled: the erase did not complete",))
    return Reading("done")


def ata_sanitize_status(said: Transcript, _expected: Expected) -> Reading:
    """Read ``hdparm --sanitize-status``."""
    early = not_ended(said)
    if early is not None:
        return early
    text = said.text
    if said.errors.strip() or "Sanitize Operation Failed" in text or "unsuccessfully" in text:
        return Reading("failed", ("the drive says that the operation failed",))
    if "SD2 Sanitize operation In Process" in text:
        return Reading("running", ("the drive is still sanitizing itself",))
    if "SD0 Sanitize Idle" in text and "Last Sanitize Operation Completed Without Error" in text:
        return Reading("done")
    return Reading("unverified", ("the drive does not say that the operation completed",))


def nvme_command(said: Transcript, _expected: Expected) -> Reading:
    """Read what nvme says when it starts a sanitize or format."""
    early = not_ended(said)
    if early is not None:
        return early
    text = f"{said.text}\n{said.errors}".strip()
    if "format" in said.argv:
        if re.fullmatch(
            r"(?s)(You are about to format .*?\n)?Success formatting namespace:\S+", text
        ):
            return Reading("done")
        return Reading("unverified", ("nvme does not say that it formatted the namespace",))
    if text and not re.fullmatch(r"[Ss]anitize:? \w*[Ss]uccess\w*", text):
        return Reading("unverified", ("nvme says something that is not understood",))
    return Reading("done")  # it says nothing when it succeeds: the log tells


def nvme_format_status(said: Transcript, _expected: Expected) -> Reading:
    """There is no log of a format: nothing the drive says afterwards proves which was done."""
    return not_ended(said) or Reading("done")


def nvme_sanitize_status(action: str) -> Callable[[Transcript, Expected], Reading]:
    """Return the reader of ``nvme sanitize-log -o json`` for one action."""

    def read(said: Transcript, _expected: Expected) -> Reading:
        early = not_ended(said)
        if early is not None:
            return early
        log = _sanitize_log(said)
        if log is None:
            return Reading("unverified", ("the sanitize log cannot be read",))
        status, progress, asked = log
        if status in _NVME_RUNNING:
            return Reading("running", ("the drive is still sanitizing itself",))
        if status in _NVME_FAILED:
            return Reading("failed", ("the drive says that the operation failed",))
        if status not in _NVME_SUCCEEDED or progress != _NVME_WHOLE:
            return Reading("unverified", ("the drive does not say that the operation completed",))
        if asked & 7 != _SANITIZE_ACTIONS[action]:
            return Reading("failed", ("the drive's log is that of another operation",))
        return Reading("done")

    return read


def _sanitize_log(said: Transcript) -> tuple[int, int, int] | None:
    """Return status, progress and the action asked for."""
    try:
        (body,) = json.loads(said.stdout).values()
        status = body["sstat"]["status"]
        found = re.match(r"\((\d+)\)", status)
        numbers = (found[1] if found else "", body["sprog"], body["cdw10_info"])
        state, progress, asked = (int(str(number), 0) for number in numbers)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return state, progress, asked


def sg_command(said: Transcript, _expected: Expected) -> Reading:
    """Read what sg_sanitize says; its exit code of 0 has meant nothing at all."""
    early = not_ended(said)
    if early is not None:
        return early
    if "--dry-run" in said.argv or "-d" in said.argv:
        return Reading("failed", ("it was a dry run: nothing was done",))
    text = f"{said.text}\n{said.errors}"
    if re.search(r"DID_|transport|aborted|sense key|error|illegal|not supported", text, re.I):
        return Reading("failed", ("the drive or its transport has refused the command",))
    if not said.text.strip():
        return Reading("unverified", ("sg_sanitize says nothing",))
    return Reading("done")


def sg_status(said: Transcript, _expected: Expected) -> Reading:
    """Read ``sg_requests --progress``: progress while it works, nothing once it is ready."""
    early = not_ended(said)
    if early is not None:
        return early
    text = f"{said.text}\n{said.errors}".strip()
    if re.fullmatch(r"Progress indication: \d+\.\d\d% done", text):
        return Reading("running", ("the drive is still sanitizing itself",))
    if text:
        return Reading("failed", ("the drive reports an error afterwards",))
    return Reading("done")


def silent(said: Transcript, _expected: Expected) -> Reading:
    """Read a program that says nothing when it succeeds, and whose result is looked at apart."""
    early = not_ended(said)
    if early is not None:
        return early
    if said.text.strip() or said.errors.strip():
        return Reading("unverified", (f"{PurePath(said.argv[0]).name} says something unexpected",))
    return Reading("done")


def luks_status(said: Transcript, _expected: Expected) -> Reading:
    """Read ``cryptsetup luksDump --dump-json-metadata`` after an erase: no key slot is left."""
    early = not_ended(said)
    if early is not None:
        return early
    try:
        slots = json.loads(said.stdout)["keyslots"]
    except (ValueError, KeyError, TypeError):
        return Reading("unverified", ("the LUKS header cannot be read",))
    if slots != {}:
        return Reading("failed", ("the LUKS header still holds key slots",))
    return Reading("done")
