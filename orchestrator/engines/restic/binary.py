"""Finding a restic that is new enough."""

from __future__ import annotations

import functools
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engines import process
from orchestrator.errors import EngineError

OLDEST = (0, 18, 0)
"""The oldest restic supported: 0.17 brought the exit codes 10 to 12, 0.18 is what we test."""

_PROJECT = Path(__file__).resolve().parents[3]
_VERSION = re.compile(rb'"version":\s*"v?(\d+)\.(\d+)\.(\d+)|^restic (\d+)\.(\d+)\.(\d+)', re.M)
_TIMEOUT_S = 30.0
_HINT = "install restic 0.18 or later where the PATH of this user finds it"


@dataclass(frozen=True, slots=True)
class Binary:
    """A restic that can be used.

    Attributes:
        path: The program.
        version: Its version, at least `OLDEST`.
    """

    path: Path
    version: tuple[int, int, int]


def find_binary(configured: Path | None = None, *, tools_dir: Path | None = None) -> Binary:
    """Return the restic to use; its version is asked for once per program file.

    Args:
        configured: The one to use and no other; None takes the first that is new enough of the
            one on PATH and those `deploy/lab/get-restic.sh` has fetched, newest first.
        tools_dir: Where fetched ones are; None looks beside the project's own source tree.

    Raises:
        EngineError: There is none, it does not run, or it is too old.
    """
    if configured is not None:
        return _new_enough(read_version(configured))
    fetched = [read_version(path) for path in _fetched(tools_dir or _PROJECT / ".tools")]
    fetched.sort(key=lambda binary: binary.version, reverse=True)
    on_path = shutil.which("restic")
    found = [read_version(Path(on_path)), *fetched] if on_path else fetched
    if not found:
        raise EngineError("restic is not installed", hint=_HINT)
    for binary in found:
        if binary.version >= OLDEST:
            return binary
    return _new_enough(found[0])


def read_version(path: Path) -> Binary:
    """Ask a program for its version, whatever that is.

    Raises:
        EngineError: It is not there, does not run, or is not restic.
    """
    try:
        facts = os.stat(path)
    except OSError:
        raise EngineError("the restic that is configured is not there", hint=_HINT) from None
    return _ask(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=16)
def _ask(path: Path, _mtime_ns: int, _size: int) -> Binary:
    lines: list[bytes] = []
    argv = [str(path), "version", "--json"]
    finished = process.run(argv, env={}, timeout_s=_TIMEOUT_S, on_stdout=lines.append)
    match = _VERSION.search(b"\n".join(lines[:20]))
    if finished.returncode != 0 or match is None:
        raise EngineError("the program found as restic does not say its version", hint=_HINT)
    major, minor, patch = (int(number) for number in match.groups() if number is not None)
    return Binary(path, (major, minor, patch))


def _new_enough(binary: Binary) -> Binary:
    if binary.version < OLDEST:
        version = ".".join(str(number) for number in binary.version)
        raise EngineError(f"restic {version} is too old: 0.18 or later is needed", hint=_HINT)
    return binary


def _fetched(tools_dir: Path) -> list[Path]:
    return sorted(tools_dir.glob("restic-*/usr/bin/restic"))
