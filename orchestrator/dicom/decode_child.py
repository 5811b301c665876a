"""The child process that decodes images: paths in, one line of JSON each out.

Decoders are C code fed with bytes from anywhere; here they may hang, eat memory or crash without
harm to the drill. The process limits itself before it loads any of them: address space, processor
and wall-clock time per image, no core dump, no file written. It says nothing on stdout and stderr,
and its answers hold nothing that identifies a patient.

Conversation on the socket whose descriptor is the first argument: a line once the decoders are
loaded; then per image a length (4 bytes, big endian), one byte of wishes and the path, answered
by one line. It ends when the socket closes.

This module must not import anything heavy at its top: whoever starts the child reads `program`.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import socket
import struct
import sys
import warnings
from typing import Any

PREVIEW = 1
"""A wish: send a small picture, too."""

_ALARM_MARGIN_S = 5.0
"""The parent ends a child that is late; this ends one whose parent is gone."""

_PATH_BYTES = 64 * 1024


def program() -> list[str]:
    """Return the program and its first arguments, to be completed by `engines.decoder`."""
    return [sys.executable, "-I", "-m", "orchestrator.dicom.decode_child"]


def main(argv: list[str]) -> int:
    """Be the child.

    Args:
        argv: The socket's descriptor, the address space in bytes, the time per image in seconds.
    """
    descriptor, memory_bytes, seconds = int(argv[0]), int(argv[1]), float(argv[2])
    _limit(memory_bytes)
    _fall_silent()
    with socket.socket(fileno=descriptor) as pipe:
        import numpy as np  # noqa: F401  (loaded before the first image's time runs)
        import pydicom.pixels

        from orchestrator.dicom import frames, preview  # noqa: F401

        _say(pipe, {"state": "ready", "reason": pydicom.__version__})
        with pipe.makefile("rb") as requests:
            while request := _next(requests):
                _grant(seconds)
                answer = _answer(request[1:], wishes=request[0])
                signal.setitimer(signal.ITIMER_REAL, 0)
                _say(pipe, answer)
                if answer["state"] == "crashed":
                    return 1  # its memory may be in pieces; the next child starts afresh
    return 0


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _fall_silent() -> None:
    """Decoders write remarks of their own, which may quote the file."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    warnings.simplefilter("ignore")


def _grant(seconds: float) -> None:
    """Set the time after which the kernel ends this process, even in the midst of C code."""
    margin_s = seconds + _ALARM_MARGIN_S
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = math.ceil(used.ru_utime + used.ru_stime + margin_s)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, hard))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, margin_s)


def _next(requests: Any) -> bytes | None:
    head = requests.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    if not 1 < length <= _PATH_BYTES:
        return None
    request: bytes = requests.read(length)
    return request if len(request) == length else None


def _answer(path: bytes, *, wishes: int) -> dict[str, Any]:
    import base64

    from orchestrator.dicom.frames import decode_middle
    from orchestrator.dicom.preview import thumbnail

    try:
        frame = decode_middle(path)
        answer: dict[str, Any] = {
            "state": frame.state,
            "reason": frame.reason,
            "modality": frame.modality,
            "frames": frame.frames,
        }
        if wishes & PREVIEW and frame.state == "decoded":
            picture = thumbnail(frame)
            answer["preview"] = base64.b64encode(picture).decode() if picture else ""
    except MemoryError:
        return {"state": "crashed", "reason": "memory"}
    except OSError as error:
        return {"state": "unreadable", "reason": os.strerror(error.errno or 0)}
    except BaseException:  # noqa: BLE001  (a decoder's panic is no Exception)
        return {"state": "corrupt", "reason": "the decoder gave up on it"}
    return answer


def _say(pipe: socket.socket, answer: dict[str, Any]) -> None:
    pipe.sendall(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
