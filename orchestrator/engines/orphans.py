"""Notes of living children, by which those of a killed orchestrator are found and ended.

This module starts no program; it knows processes by id, start time and boot only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from orchestrator.clock import SystemClock
from orchestrator.errors import EngineError

_log = logging.getLogger(__name__)
_CLOCK = SystemClock()
_POLL_S = 0.05
_KILL_PATIENCE_S = 30.0
"""SIGKILL takes effect when the kernel lets go: not before a slow disk has taken a write."""


def record_child(pid: int, directory: Path) -> Path:
    """Note a living child that leads its own process group.

    Args:
        pid: Its process id.
        directory: Where notes are kept; made if it is not there.

    Returns:
        The note; whoever wrote it removes it when the child has ended.

    Raises:
        EngineError: The note cannot be written.
    """
    me = os.getpid()
    record = _Record(pid, _start_ticks(pid) or 0, me, _start_ticks(me) or 0, _boot_id())
    path = directory / f"child-{pid}.json"
    temporary = path.with_suffix(".tmp")
    fields = {name: getattr(record, name) for name in record.__slots__}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(fields))
        temporary.rename(path)
    except OSError as error:
        raise EngineError(f"a running program cannot be recorded: {error.strerror}") from None
    return path


def reap_recorded(directory: Path, *, grace_s: float = 10.0) -> int:
    """End the children that a killed orchestrator left behind, and forget their records.

    A child is ended only if process id, start time and boot are those recorded, so a process id
    used again is never hit, and only if the orchestrator that started it is gone.

    Args:
        directory: Where `process.run` and `process.stream` kept their records; it need not
            exist.
        grace_s: Seconds between SIGTERM and SIGKILL, 0 or more.

    Returns:
        How many process groups were ended.

    Raises:
        EngineError: A record cannot be read or removed, or a child does not die.
    """
    reaped = 0
    try:
        for path in sorted(directory.glob("child-*.json")):
            record = _read(path)
            if record is not None and _lives(record.parent, record.parent_start_ticks, record.boot):
                continue
            if record is not None and _lives(record.pid, record.start_ticks, record.boot):
                _end(record, grace_s)
                reaped += 1
            path.unlink(missing_ok=True)
    except OSError as error:
        raise EngineError(
            f"the programs left by an earlier run cannot be ended: {error.strerror}"
        ) from None
    return reaped


@dataclass(frozen=True, slots=True)
class _Record:
    pid: int
    start_ticks: int
    parent: int
    parent_start_ticks: int
    boot: str


def _read(path: Path) -> _Record | None:
    try:
        return _Record(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        _log.warning("a damaged record of a running program was dropped")
        return None


def _end(record: _Record, grace_s: float) -> None:
    nap = threading.Event()
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILL_PATIENCE_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(record.pid, number)
        until = _CLOCK.monotonic() + patience_s
        while _lives(record.pid, record.start_ticks, record.boot):
            if _CLOCK.monotonic() >= until:
                break
            nap.wait(_POLL_S)
        else:
            return
    raise EngineError("a program left by an earlier run does not end, not even by SIGKILL")


def _lives(pid: int, start_ticks: int, boot: str) -> bool:
    return boot == _boot_id() and _start_ticks(pid) == start_ticks


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it is gone or dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program stands in brackets and may hold anything; the rest is plain.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
