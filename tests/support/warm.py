"""Runs commands in processes of their own that need not import everything first.

The command line takes a second of a processor to import what a catalog needs, which was half of
what the whole suite took. A warm process has imported it, forks for each command and calls the
same ``main`` as the installed script, in a session of its own and with its own environment. Where
start-up itself is the question, run the script.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import secrets
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TextIO

LIMIT_S = 240.0
"""No command of a test takes longer, also on a busy machine."""

_ROOT = Path(__file__).resolve().parents[2]
_HEAVY = (
    "alembic.command",
    "boto3",
    "botocore.session",
    "numpy",
    "PIL.Image",
    "psycopg",
    "pydicom",
    "pyhanko.sign.signers",
    "sqlmodel",
    "typst",
)
"""What commands import inside of functions."""


class Running:
    """A command that was started warm: as much of `subprocess.Popen` as tests use.

    Attributes:
        pid: Its process id; it leads a session and a process group of its own.
        returncode: None while it runs.
        stdout: What it writes, as text.
        stderr: What it writes, as text.
    """

    def __init__(self, words: Sequence[str], outcome: int, out: int, err: int) -> None:
        self.args = list(words)
        self.returncode: int | None = None
        self.stdout, self.stderr = (os.fdopen(end) for end in (out, err))
        self._outcome: TextIO | None = os.fdopen(outcome)
        self._read: dict[int, bytearray] = {out: bytearray(), err: bytearray()}
        line = self._outcome.readline()
        assert line, "the warm process died"
        self.pid = int(line)

    def poll(self) -> int | None:
        """Return its exit code if it has ended; the negative signal number if one ended it."""
        return self._settle(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit code."""
        code = self._settle(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read what it writes until its end; may be called again after a time-out."""
        until = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as waiting:
            for stream in (self.stdout, self.stderr):
                if not stream.closed:
                    waiting.register(stream, selectors.EVENT_READ)
            while waiting.get_map():
                left = None if until is None else until - time.monotonic()
                ready = waiting.select(left) if left is None or left > 0 else []
                if not ready:
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
                for key, _ in ready:
                    piece = os.read(key.fd, 65536)
                    self._read[key.fd] += piece
                    if not piece:
                        waiting.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        out, err = (piece.decode() for piece in self._read.values())
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _settle(self, timeout_s: float | None) -> int | None:
        if self._outcome is not None and select.select([self._outcome], [], [], timeout_s)[0]:
            line = self._outcome.readline()
            self._outcome.close()
            self._outcome = None
            assert line, "the warm process died"
            self.returncode = int(line)
        return self.returncode


class Warm:
    """A process that runs commands; ends with its ``with`` block."""

    def __enter__(self) -> Warm:
        self._door, inside = socket.socketpair()
        with inside:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    f"from tests.support.warm import serve; serve({inside.fileno()})",
                ],
                cwd=_ROOT,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # nothing may run when it forks
                stdin=subprocess.DEVNULL,
                pass_fds=[inside.fileno()],
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._door.close()
        self._process.wait(timeout=60)

    def start(self, words: Sequence[str], env: Mapping[str, str], cwd: Path) -> Running:
        """Start one command."""
        wish = json.dumps({"words": list(words), "env": dict(env), "cwd": str(cwd)}).encode()
        ours, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
        try:
            socket.send_fds(self._door, [len(wish).to_bytes(4, "big")], theirs)
            self._door.sendall(wish)
        finally:
            for end in theirs:
                os.close(end)
        return Running(words, *ours)

    def run(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> tuple[int, bytes, bytes]:
        """Run one command and return its exit code, stdout and stderr."""
        process = self.start(words, env, cwd)
        out, err = process.communicate(timeout=LIMIT_S)
        return process.wait(), out.encode(), err.encode()


_shared: list[Warm] = []


def shared() -> Warm:
    """Return the warm process of this test session; `stop_shared` ends it."""
    if not _shared:
        _shared.append(Warm().__enter__())
        atexit.register(stop_shared)
    return _shared[0]


def stop_shared() -> None:
    """End the warm process of this test session, if there is one."""
    atexit.unregister(stop_shared)
    while _shared:
        _shared.pop().__exit__(None, None, None)


def serve(door_fd: int) -> None:
    """Run the commands that are asked for, until nobody can ask any more."""
    for name in (*_HEAVY, *_modules()):
        with contextlib.suppress(Exception):  # one that cannot be imported fails where it is used
            importlib.import_module(name)
    tempfile.tempdir = None
    gc.collect()
    gc.freeze()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    door = socket.socket(fileno=door_fd)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([door, woken], [], [])
        if woken in ready:
            os.read(woken, 512)
            _tell_ended(running)
        if door in ready:
            wish, ends = _next_wish(door)
            if wish is None:
                return
            pid = os.fork()
            if pid == 0:
                for fd in (door.detach(), woken, wake, *running.values()):
                    os.close(fd)
                _be_the_command(wish, *ends)
            running[pid] = ends[0]
            for end in ends[1:]:
                os.close(end)


def _modules() -> list[str]:
    import orchestrator

    found = pkgutil.walk_packages(orchestrator.__path__, "orchestrator.")
    return [one.name for one in found if ".standalone" not in one.name]


def _tell_ended(running: dict[int, int]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            outcome = running.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # nobody wants to know
                os.write(outcome, b"%d\n" % os.waitstatus_to_exitcode(status))
            os.close(outcome)


def _next_wish(door: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    room = socket.CMSG_SPACE(3 * array.array("i").itemsize)
    head, about, _, _ = door.recvmsg(4, room, socket.MSG_WAITALL)
    if not head:
        return None, []
    ends = array.array("i")
    for _, _, data in about:
        ends.frombytes(data)
    wish = door.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
    return json.loads(wish), list(ends)


def _be_the_command(wish: dict[str, Any], outcome: int, out: int, err: int) -> NoReturn:
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.write(outcome, b"%d\n" % os.getpid())
        for end in (outcome, out, err):
            os.close(end)
        os.environ.clear()
        os.environ.update(wish["env"])
        time.tzset()
        os.chdir(wish["cwd"])
        sys.argv = ["orchestrator", *wish["words"]]
        _be_a_process_of_its_own()
        code = _call(wish["words"])
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _be_a_process_of_its_own() -> None:
    """Draw anew what a process draws when it imports a module: unfinished files are named so."""
    from orchestrator.engines import transfer

    assert len(transfer._PROCESS) == 16
    transfer._PROCESS = secrets.token_hex(8)


def _call(words: list[str]) -> int:
    from orchestrator.cli import main

    code = 0
    try:
        main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    # as at the end of any interpreter, but for taking down what was imported
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return code
