"""A child process that decodes images, kept at arm's length.

Whatever a file does to the decoder (it hangs, eats memory, dies, talks nonsense) becomes an answer
about that file; the child is ended and the next file gets a new one. This module starts the
program it is handed and speaks the conversation of `dicom.decode_child`; it knows nothing of
images.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import signal
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast

from orchestrator.clock import SystemClock
from orchestrator.engines import process
from orchestrator.errors import EngineError, StoppedError

DecodedState = Literal["decoded", "no_pixels", "unsupported", "corrupt", "unreadable", "crashed"]

MEMORY_BYTES = 1024 * 1024 * 1024
"""Address space of the child: a frame of the largest mammograms takes a third of it."""

TIMEOUT_S = 60.0
"""Time for one image."""

START_TIMEOUT_S = 120.0
"""Time for the decoders to be loaded."""

_POLL_S = 0.1
_LINE_BYTES = 4 * 1024 * 1024
_REASON_CHARS = 200
_STATES = ("decoded", "no_pixels", "unsupported", "corrupt", "unreadable", "crashed")
_WISH_PREVIEW = 1
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Decoded:
    """What decoding one file came to.

    Attributes:
        state: `decoded`; `no_pixels`; `unsupported` if no decoder for it is installed here, which
            is not damage; `corrupt`; `unreadable` if its disk does not give it; `crashed` if the
            decoder hung, ate its memory or died, which proves nothing about the image.
        reason: Why, without anything that identifies a patient; empty for `decoded`.
        modality: The modality's code; empty if unknown.
        frames: Number of frames, 0 or more.
        preview: A small PNG if it was asked for and may be shown; else None.
    """

    state: DecodedState
    reason: str = ""
    modality: str = ""
    frames: int = 0
    preview: bytes | None = None


class Decoder:
    """Decodes one file after the other in a child that is replaced when it fails.

    A context manager; not for several threads. The child is started with the first file.

    Args:
        program: Program and first arguments (`dicom.decode_child.program`).
        memory_bytes: Address space the child may use.
        timeout_s: Seconds for one image.
        start_timeout_s: Seconds from the start of a child until it is ready.
        stop: Ends the work when set.
        record: Directory in which a note of the living child is kept for `reap_recorded`.
    """

    def __init__(
        self,
        program: Sequence[str],
        *,
        memory_bytes: int = MEMORY_BYTES,
        timeout_s: float = TIMEOUT_S,
        start_timeout_s: float = START_TIMEOUT_S,
        stop: threading.Event | None = None,
        record: Path | None = None,
    ) -> None:
        self._program = list(program)
        self._memory_bytes = memory_bytes
        self._timeout_s = timeout_s
        self._start_timeout_s = start_timeout_s
        self._stop = stop or threading.Event()
        self._record = record
        self._child: _Conversation | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._drop()

    def decode(self, path: bytes | str | Path, *, preview: bool = False) -> Decoded:
        """Decode one frame of a file.

        Args:
            path: The file.
            preview: Ask for a small picture, too.

        Raises:
            EngineError: The child cannot be started or never gets ready: nothing can be decoded.
            StoppedError: `stop` was set.
        """
        child = self._child or self._start()
        wishes = _WISH_PREVIEW if preview else 0
        request = bytes([wishes]) + os.fsencode(path)
        try:
            child.say(struct.pack(">I", len(request)) + request)
            answer = _understood(child.listen(self._timeout_s))
        except _SilentError:
            answer = Decoded("crashed", self._death(child, late=True))
        except (_GoneError, OSError):
            answer = Decoded("crashed", self._death(child, late=False))
        except BaseException:
            self._drop()
            raise
        if answer.state == "crashed":
            self._drop()
            if answer.reason == "memory":
                return Decoded("crashed", self._out_of_memory())
        return answer

    def _start(self) -> _Conversation:
        limits = [str(self._memory_bytes), f"{self._timeout_s:g}"]
        child = self._child = _Conversation(self._program, limits, self._stop, self._record)
        try:
            ready = child.listen(self._start_timeout_s)
            if b'"ready"' not in ready:
                raise EngineError("the image decoder does not say what it should")
        except (_SilentError, _GoneError, OSError):
            self._child = None
            ending = _ending(child.end())
            raise child.error or EngineError(
                f"the image decoder does not start: {ending}", hint="orchestrator doctor"
            ) from None
        except BaseException:
            self._drop()
            raise
        return child

    def _drop(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def _death(self, child: _Conversation, *, late: bool) -> str:
        returncode = child.end()
        self._child = None
        if late or returncode in (-signal.SIGALRM, -signal.SIGXCPU):
            return f"the decoder took longer than {self._timeout_s:g} seconds"
        return f"the decoder died: {_ending(returncode)}"

    def _out_of_memory(self) -> str:
        return f"the decoder needed more than {self._memory_bytes // 2**20} MiB of memory"


class _SilentError(Exception):
    """The child did not answer in time."""


class _GoneError(Exception):
    """The child has closed the conversation."""


class _Conversation:
    """One living child and the socket to it; a thread waits for its end."""

    def __init__(
        self, program: Sequence[str], limits: list[str], stop: threading.Event, record: Path | None
    ) -> None:
        self._stop = stop
        self._kill = threading.Event()
        self._record = record
        self._returncode: int | None = None
        self.error: EngineError | None = None
        self._held = b""
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(_POLL_S)
        argv = [*program, str(theirs.fileno()), *limits]
        self._thread = threading.Thread(
            target=self._run, args=(argv, theirs), name="decoder", daemon=True
        )
        self._thread.start()

    def say(self, request: bytes) -> None:
        """Send a request; short, so that it fits the socket's buffer."""
        self._ours.sendall(request)

    def listen(self, timeout_s: float) -> bytes:
        """Return the next line.

        Raises:
            _SilentError: None came in time.
            _GoneError: The child is gone, or talks without end.
            StoppedError: The work is to end.
        """
        until = _CLOCK.monotonic() + timeout_s
        while b"\n" not in self._held:
            if self._stop.is_set():
                raise StoppedError("decoding was asked to stop")
            with contextlib.suppress(TimeoutError):
                piece = self._ours.recv(65536)
                if not piece or len(self._held) > _LINE_BYTES:
                    raise _GoneError
                self._held += piece
            # Only now: an answer that came while this process stood still came in time.
            if b"\n" not in self._held and _CLOCK.monotonic() > until:
                raise _SilentError
        line, _, self._held = self._held.partition(b"\n")
        return line

    def end(self) -> int | None:
        """End the child and return its exit code; None if this ended it."""
        if self._held or not self._has_closed():
            self._kill.set()
        self._thread.join()
        self._ours.close()
        return self._returncode

    def _has_closed(self) -> bool:
        """Say whether the child has closed its end, and so is ending by itself."""
        try:
            return self._ours.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
        except OSError:
            return False

    def _run(self, argv: list[str], theirs: socket.socket) -> None:
        try:
            done = process.run(
                argv,
                env={"PATH": os.environ.get("PATH", os.defpath), "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=(theirs.fileno(),),
                stop=self._kill,
                record=self._record,
                grace_s=0.0,
            )
            self._returncode = done.returncode
        except StoppedError:
            pass
        except EngineError as error:
            self.error = error
        finally:
            # Held until now, so that the other end hears of the child's death and of nothing else.
            theirs.close()


def _understood(line: bytes) -> Decoded:
    """Take an answer apart; a decoder that was taken over by a file may say anything."""
    try:
        answer = cast("dict[str, Any]", json.loads(line))
        state, reason = str(answer["state"]), str(answer.get("reason", ""))
        modality, frames = str(answer.get("modality", "")), int(answer.get("frames", 0))
        picture = base64.b64decode(str(answer.get("preview", "")), validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError):
        return Decoded("crashed", "the decoder talks nonsense")
    if state not in _STATES or len(reason) > _REASON_CHARS or not reason.isprintable():
        return Decoded("crashed", "the decoder talks nonsense")
    is_picture = picture.startswith(b"\x89PNG\r\n\x1a\n")
    return Decoded(
        cast(DecodedState, state), reason, modality[:16], frames, picture if is_picture else None
    )


def _ending(returncode: int | None) -> str:
    if returncode is None:
        return "it had to be ended"
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"
