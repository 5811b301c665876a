"""The log of nwipe, read line by line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

from orchestrator.sanitization.facts import Transcript
from orchestrator.sanitization.transcripts import Expected, Reading, not_ended

VERSIONS = frozenset({"0.33"})
"""Versions whose log was read line by line; Debian 12's 0.34 calls itself 0.33."""

_LOG = re.compile(r"\[(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)\] +(\w+): (.*)")
_TOTAL = re.compile(r"\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\] Total Throughput .*, (.+), (\S+)")
_ERRORS = re.compile(r"[ !] +(\S+) \| +(\d+) \| +(\d+) \| +(\d+)")
_STATUS = re.compile(r"[ !] +(\S+) \| *(\S+) *\|[^|]*\| *\d+:\d\d:\d\d \| *(.*)/(.*)")
_FRAME = re.compile(r"[*-]{20,}|\*+ [A-Z][\w ]+ \*+|! +Device \|.*")
_WRAPPED = re.compile(r" {20,}\S.*")
_WAITING = re.compile(r"Waiting for wipe thread to cancel for \S+")
_VERSION = re.compile(r"(?:banner +=)? *nwipe ([\d.]+)")
_LEVELS = frozenset({"info", "notice", "warning"})
_BAD_LEVELS = frozenset({"error", "fatal", "sanity"})
_NOT_ERASED = ("UABORTED", "-FAILED-", "INSANITY")


def read(said: Transcript, expected: Expected) -> Reading:
    """Read the standard output of nwipe with one pass of zeros and verification."""
    early = not_ended(said)
    if early is not None:
        return early
    if said.text.lstrip().startswith("Usage:") or "Usage: nwipe" in said.text + said.errors:
        return Reading("failed", ("nwipe printed its help and wiped nothing",))
    log = _NwipeLog()
    for line in said.text.splitlines():
        log.take(line)
    return log.judge(expected)


class _NwipeLog:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.times: list[str] = []
        self.bad: list[str] = []
        self.unparsed = 0
        self.errors: dict[str, tuple[str, ...]] = {}
        self.status: dict[str, str] = {}
        self.method: tuple[str, str] | None = None

    def take(self, line: str) -> None:
        if found := _LOG.fullmatch(line):
            self.times.append(found[1])
            if found[2] in _LEVELS | _BAD_LEVELS:
                (self.said if found[2] in _LEVELS else self.bad).append(found[3].strip())
            else:
                self.unparsed += 1
        elif found := _TOTAL.fullmatch(line):
            self.method = (found[1], found[2])
        elif found := _ERRORS.fullmatch(line):
            self.errors[found[1]] = found.groups()[1:]
        elif found := _STATUS.fullmatch(line):
            self.status[found[1]] = found[2]
        elif line.strip() and not any(
            known.fullmatch(line) for known in (_FRAME, _WRAPPED, _WAITING)
        ):
            self.unparsed += 1

    def judge(self, expected: Expected) -> Reading:
        version = next((found[1] for one in self.said if (found := _VERSION.fullmatch(one))), None)
        contrary = [f"nwipe reports {len(self.bad)} errors"] if self.bad else []
        contrary += [f"nwipe says {word}" for word in self.status.values() if word in _NOT_ERASED]
        if any(count.strip("0") for row in self.errors.values() for count in row):
            contrary.append("nwipe counts errors")
        if contrary:
            return Reading("failed", tuple(contrary), version)
        missing = [*self._open_points(version, expected)]
        return Reading("unverified" if missing else "done", tuple(missing), version)

    def _open_points(self, version: str | None, expected: Expected) -> list[str]:
        device, size = expected.device, expected.size_bytes
        short = PurePath(device).name[:8]
        serials = [
            one.rsplit("S/N=", 1)[1].strip()
            for one in self.said
            if one.startswith(f"Found {device},") and "S/N=" in one
        ]
        wanted = {
            "every byte was written": f"{size} bytes written to {device}",
            "every byte was read again": f"{size} bytes read from {device}",
            "the pass was verified": f"Verified pass 1 of 1, round 1 of 1, on '{device}'.",
            "the final round ended": f"Finished final round 1 of 1 on {device}",
            "nwipe completed": "Nwipe successfully completed. See summary table for details.",
            "serial numbers were shown": "quiet    = 0",
        }
        found = [
            f"the log does not say that {what}"
            for what, line in wanted.items()
            if line not in self.said
        ]
        if version not in VERSIONS:
            found.append("this version of nwipe is not known here")
        if self.unparsed:
            found.append(f"{self.unparsed} lines of nwipe's output are not understood")
        if not expected.serial or serials != [expected.serial]:
            found.append("nwipe does not name the serial number of the device")
        if self.method != ("Fill With Zeros", "1R+NB+VL"):
            found.append("nwipe does not name the method that was asked for")
        if list(self.errors) != [short] or self.status != {short: "Erased"}:
            found.append("nwipe's summary is not that of one erased device")
        if not self._in_time(expected):
            found.append("the times in nwipe's log are not those of this run in UTC")
        return found

    def _in_time(self, expected: Expected) -> bool:
        slack = timedelta(seconds=2)
        try:
            times = [
                datetime.strptime(one, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
                for one in self.times
            ]
        except ValueError:
            return False
        return bool(times) and (
            expected.started_at - slack <= min(times) and max(times) <= expected.ended_at + slack
        )
