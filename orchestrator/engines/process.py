"""The one place that starts programs.

A child runs in a session of its own and is always ended as a whole group: on timeout, when it is
asked to stop, and when whoever reads its output fails. Its environment is what is handed in and
nothing else, and its arguments never appear in an error or a log, since they may hold paths.

A child must not outlive the orchestrator unnoticed. Two things see to that: a lock's file
descriptor handed down by ``pass_fds`` stays locked as long as the child lives, and ``record``
leaves a note from which `reap_recorded` finds and ends what a killed orchestrator left behind.

This module must not know what restic is, nor what any program's output means.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from orchestrator.clock import SystemClock
from orchestrator.engines.orphans import reap_recorded, record_child
from orchestrator.engines.pipes import CHUNK_BYTES, POLL_S, Feeder, Lines, Tail, chunks
from orchestrator.errors import EngineError, EngineTimeoutError, StoppedError

__all__ = ["Finished", "reap_recorded", "run", "stream"]

_CLOCK = SystemClock()
_DRAIN_S = 2.0
_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has ended.

    Attributes:
        returncode: Its exit code; the negative signal number if a signal ended it.
        stderr_tail: The last 64 KiB it wrote to standard error.
        duration_s: Wall-clock seconds from start to end, 0 or more.
    """

    returncode: int
    stderr_tail: bytes
    duration_s: float


def run(  # noqa: PLR0913  (one keyword for each fact of a start; a bag would only rename them)
    argv: Sequence[str | bytes],
    *,
    env: Mapping[str, str],
    timeout_s: float | None = None,
    on_stdout: Callable[[bytes], None] | None = None,
    on_stderr: Callable[[bytes], None] | None = None,
    stdin: Iterable[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    stop: threading.Event | None = None,
    record: Path | None = None,
    cwd: Path | None = None,
    grace_s: float = _GRACE_S,
) -> Finished:
    """Run a program to its end.

    Args:
        argv: Program and arguments.
        env: The whole environment of the program.
        timeout_s: Seconds after which it is killed; None waits for ever.
        on_stdout: Called in this thread with each line of standard output, without its end of
            line; an exception it raises kills the program and is raised from here.
        on_stderr: The same for standard error, called in a thread of its own; an exception it
            raises is raised from here once the program has ended.
        stdin: Fed to standard input by a thread; an exception it raises kills the program
            before its input ends, so that a cut stream is never taken for a whole one, and is
            raised from here. None gives an empty standard input.
        pass_fds: File descriptors the program inherits.
        stop: Ends the program when set.
        record: Directory in which a note of the living child is kept for `reap_recorded`.
        cwd: Directory it starts in.
        grace_s: Seconds between SIGTERM and SIGKILL, 0 or more.

    Raises:
        EngineError: The program cannot be started, or wrote a line of more than 64 MiB.
        EngineTimeoutError: It did not end within `timeout_s`.
        StoppedError: `stop` was set.
    """
    launch = _Launch(argv, env, cwd, stdin, pass_fds, record, on_stderr)
    child = _Child(launch, _Limits(timeout_s, stop, grace_s))
    lines = Lines(on_stdout or (lambda _line: None), child.name)
    with child:
        for chunk in child.output():
            lines.feed(chunk)
        lines.end()
    return child.finished()


def stream(  # noqa: PLR0913  (as run)
    argv: Sequence[str | bytes],
    *,
    env: Mapping[str, str],
    timeout_s: float | None = None,
    on_stderr: Callable[[bytes], None] | None = None,
    pass_fds: Sequence[int] = (),
    stop: threading.Event | None = None,
    record: Path | None = None,
    cwd: Path | None = None,
    grace_s: float = _GRACE_S,
) -> Generator[bytes, None, Finished]:
    """Run a program and yield its standard output in pieces of at most 64 KiB.

    The program starts with the first piece asked for; closing the generator kills it. What the
    generator returns (``finished = yield from stream(...)``) says how the program ended, and
    must be looked at: output that was cut short looks like output.

    Args:
        argv: Program and arguments.
        env: The whole environment of the program.
        timeout_s: Seconds after which it is killed, the reader's own time included.
        on_stderr: As for `run`.
        pass_fds: File descriptors the program inherits; they must stay open until the start.
        stop: Ends the program when set.
        record: Directory in which a note of the living child is kept for `reap_recorded`.
        cwd: Directory it starts in.
        grace_s: Seconds between SIGTERM and SIGKILL, 0 or more.

    Raises:
        EngineError: The program cannot be started.
        EngineTimeoutError: It did not end within `timeout_s`.
        StoppedError: `stop` was set.
    """
    launch = _Launch(argv, env, cwd, None, pass_fds, record, on_stderr)
    child = _Child(launch, _Limits(timeout_s, stop, grace_s))
    with child:
        yield from child.output()
    return child.finished()


@dataclass(frozen=True, slots=True)
class _Launch:
    argv: Sequence[str | bytes]
    env: Mapping[str, str]
    cwd: Path | None
    stdin: Iterable[bytes] | None
    pass_fds: Sequence[int]
    record: Path | None
    on_stderr: Callable[[bytes], None] | None


@dataclass(frozen=True, slots=True)
class _Limits:
    timeout_s: float | None
    stop: threading.Event | None
    grace_s: float


class _Child:
    """One running program; a context manager that never leaves it running."""

    def __init__(self, launch: _Launch, limits: _Limits) -> None:
        self._launch = launch
        self._limits = limits
        self.name = os.path.basename(os.fsdecode(launch.argv[0]))
        self._over = threading.Event()
        self._feeder: Feeder | None = None
        self._record: Path | None = None

    def __enter__(self) -> None:
        self._started = _CLOCK.monotonic()
        self._process = self._start()
        self._stdout = cast("IO[bytes]", self._process.stdout)
        self._stderr = cast("IO[bytes]", self._process.stderr)
        on_stderr = self._launch.on_stderr
        lines = None if on_stderr is None else Lines(on_stderr, self.name)
        self._tail = Tail(self._stderr, self._over, lines)
        self._tail.start()
        try:
            if self._launch.record is not None:
                self._record = record_child(self._process.pid, self._launch.record)
        except BaseException:
            self._close()
            raise
        if self._launch.stdin is not None:
            stdin = cast("IO[bytes]", self._process.stdin)
            self._feeder = Feeder(stdin, self._launch.stdin, self._over)
            self._feeder.start()

    def __exit__(self, kind: object, *_exc: object) -> None:
        if kind is not None and not self._has_exited():
            self._terminate()
        self._close()

    def finished(self) -> Finished:
        """Say how the program ended; only after the context was left."""
        if self._tail.error is not None:
            raise self._tail.error
        return self._result

    def output(self) -> Generator[bytes, None, None]:
        """Yield standard output until the program has ended; raise on stop and timeout."""
        yield from chunks(self._stdout, self._is_over)
        while not self._is_over():
            self._wait_for_exit()

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                list(self._launch.argv),
                stdin=subprocess.DEVNULL if self._launch.stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=dict(self._launch.env),
                cwd=self._launch.cwd,
                pass_fds=tuple(self._launch.pass_fds),
                start_new_session=True,
            )
        except OSError as error:
            # Without its cause: the original error names the file.
            raise EngineError(f"{self.name} could not be started: {error.strerror}") from None

    def _is_over(self) -> bool:
        """Say whether the program has ended; raise if it has to end before its time."""
        self._check_feeder()
        if self._has_exited():
            return True
        stop, timeout_s = self._limits.stop, self._limits.timeout_s
        if stop is not None and stop.is_set():
            raise StoppedError(f"{self.name} was asked to stop")
        if timeout_s is not None and _CLOCK.monotonic() - self._started > timeout_s:
            raise EngineTimeoutError(f"{self.name} did not end within {timeout_s:g} seconds")
        return False

    def _check_feeder(self) -> None:
        if self._feeder is not None and self._feeder.error is not None:
            raise self._feeder.error

    def _has_exited(self) -> bool:
        """Say whether the program has ended, leaving it as a zombie.

        As long as it is not reaped its process group cannot be taken by anybody else, so it is
        safe to signal the group.
        """
        if self._process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def _wait_for_exit(self) -> None:
        """Wait a moment, or until the program ends."""
        try:
            pidfd = os.pidfd_open(self._process.pid)
        except OSError:  # not offered by this kernel
            self._over.wait(POLL_S / 10)
            return
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(pidfd, selectors.EVENT_READ)
                selector.select(POLL_S)
        finally:
            os.close(pidfd)

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _terminate(self) -> None:
        """Ask the group to end, and give it time; its output is thrown away."""
        self._signal(signal.SIGTERM)
        until = _CLOCK.monotonic() + self._limits.grace_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while not self._has_exited() and _CLOCK.monotonic() < until:
                if not selector.get_map():
                    self._wait_for_exit()
                elif selector.select(POLL_S) and not os.read(self._stdout.fileno(), CHUNK_BYTES):
                    selector.unregister(self._stdout)

    def _close(self) -> None:
        """Kill what is left of the group, reap the program and close every pipe."""
        self._signal(signal.SIGKILL)
        returncode = self._process.wait()
        self._over.set()
        self._tail.join()
        if self._feeder is not None:
            self._feeder.join(_DRAIN_S)
        self._stdout.close()
        self._stderr.close()
        if self._record is not None:
            self._record.unlink(missing_ok=True)
        duration_s = _CLOCK.monotonic() - self._started
        self._result = Finished(returncode, self._tail.kept, duration_s)
