"""Running a sanitization's programs, and keeping what they said by its hash.

Evidence lies in ``STATE_DIR/evidence/sha256/<2>/<62>``: written once, never changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestrator.actions.site import Site
from orchestrator.engines import process
from orchestrator.errors import EngineError, StoppedError, UsageError
from orchestrator.sanitization.facts import Run, Transcript

FOLDER = "evidence"
CHILDREN = "sanitization"
"""Where, below the site's engine folder, living programs are noted."""

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_ENV = {"PATH": _PATH, "LC_ALL": "C", "TZ": "UTC"}
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Timed:
    """A transcript with its times.

    Attributes:
        transcript: What was said.
        started_at: When the program was started.
        ended_at: When it had ended.
    """

    transcript: Transcript
    started_at: datetime
    ended_at: datetime


def runner(site: Site) -> Run:
    """Return what runs a program for the sanitization room and never raises for what it does."""

    def run(argv: Sequence[str], timeout_s: float) -> Transcript:
        out: list[bytes] = []
        err: list[bytes] = []
        words = tuple(argv)
        try:
            ended = process.run(
                words,
                env=_ENV,
                timeout_s=timeout_s,
                on_stdout=out.append,
                on_stderr=err.append,
                stop=site.stop,
                record=site.engine_dir / CHILDREN,
            )
        except StoppedError:
            raise
        except EngineError as error:
            missing = shutil.which(words[0], path=_PATH) is None
            return Transcript(words, None, _joined(out), _joined(err), error.message, missing)
        return Transcript(words, ended.returncode, _joined(out), _joined(err))

    return run


def _joined(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def keep(site: Site, data: bytes) -> str:
    """Keep evidence durably and return its SHA-256 in hex.

    Raises:
        EngineError: The disk refuses.
    """
    digest = hashlib.sha256(data).hexdigest()
    path = path_of(site, digest)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() == data:
            return digest
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with open(part, "xb", opener=_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise EngineError(f"evidence cannot be kept: {error.strerror}") from error
    return digest


def keep_file(site: Site, file: Path) -> str:
    """Keep a file that a person hands in and return its SHA-256 in hex.

    Raises:
        UsageError: It cannot be read, is empty or is larger than 64 MiB.
        EngineError: The disk refuses.
    """
    try:
        data = file.read_bytes() if file.stat().st_size <= _LARGEST else b""
    except OSError as error:
        raise UsageError(f"the evidence cannot be read: {error.strerror}") from None
    if not data:
        raise UsageError("the evidence is empty, or larger than 64 MiB")
    return keep(site, data)


def keep_transcripts(site: Site, timed: Sequence[Timed]) -> str:
    """Keep what programs said, as one JSON document, and return its SHA-256 in hex."""
    body = [
        {
            "argv": list(one.transcript.argv),
            "returncode": one.transcript.returncode,
            "problem": one.transcript.problem,
            "missing": one.transcript.missing,
            "started_at": one.started_at.isoformat(),
            "ended_at": one.ended_at.isoformat(),
            "stdout": one.transcript.stdout.decode("utf-8", "backslashreplace"),
            "stderr": one.transcript.stderr.decode("utf-8", "backslashreplace"),
        }
        for one in timed
    ]
    return keep_json(site, {"transcripts": body})


def keep_json(site: Site, body: object) -> str:
    """Keep a JSON document and return its SHA-256 in hex."""
    return keep(site, json.dumps(body, sort_keys=True, ensure_ascii=False).encode())


def path_of(site: Site, digest: str) -> Path:
    """Return where the evidence of a hash lies."""
    return site.state_dir / FOLDER / "sha256" / digest[:2] / digest[2:]


def is_intact(site: Site, digest: str) -> bool:
    """Say whether evidence is there and still has its hash."""
    try:
        data = path_of(site, digest).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(data).hexdigest() == digest


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
