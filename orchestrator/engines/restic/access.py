"""One call of restic: how it is started, how its password travels, what its end means.

The password goes through a pipe that restic's password command reads once; it is in no argument,
in no environment and on no disk. Paths to restore go through a memory file for the same reason.
The environment is clean, so nothing set for another restic on this machine has any effect.

This module must not know stores, copies or the catalog; what a repository is called in messages
is handed in.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Protocol

from orchestrator.engines import process
from orchestrator.engines.restic import argv, argv_upkeep
from orchestrator.engines.restic.binary import Binary
from orchestrator.engines.restic.failure import LOCKED, Complaints, failure

QUICK_S = 900.0
"""Seconds after which a command that only looks something up is given up."""

_REPLAY_BYTES = 256 * 1024

_GARBAGE = {"GOGC": "200", "GOMEMLIMIT": "1GiB"}
# restic looks for garbage very often (GOGC=50), which costs a tenth of a backup's processor time
# and a lot of page faults. It may let more gather, but not on top of a large index.


class Password(Protocol):
    """A secret that can be revealed (`keys.secret.Secret`)."""

    def reveal(self) -> str:
        """Return the secret itself."""
        ...


@dataclass(frozen=True, slots=True)
class Verb:
    """One command to run.

    Attributes:
        argv: The verb with its arguments.
        doing: What it is called in messages, as in "the backup".
        accept: Exit codes that are not failures.
        lock: It takes a lock (where locks are kept).
        timeout_s: Seconds after which it is given up; None for none.
        cwd: Working directory; None for ours.
        stdin: What it reads; None for nothing.
        fds: File descriptors it inherits.
    """

    argv: tuple[str, ...]
    doing: str
    accept: tuple[int, ...] = (0,)
    lock: bool = True
    timeout_s: float | None = None
    cwd: Path | None = None
    stdin: Iterable[bytes] | None = None
    fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ended with an accepted exit code."""

    returncode: int
    complaints: Complaints


@dataclass(frozen=True, slots=True)
class Access:
    """A repository and how to open it; safe to use from several threads at once.

    Attributes:
        binary: The restic to run.
        location: Where the repository is, as restic writes it (a path, or
            ``rest:http+unix://…``); never with a credential in it.
        password: Fetches the password; called once per command.
        name: What the repository is called in messages, as in "copy disk of store xrays".
        cache_dir: restic's cache; None uses none.
        read_only: A replica: no lock is taken, no cache is used, nothing can be written.
        lock_fd: File descriptor of a lock that every restic shall hold while it lives.
        record_dir: Where running children are recorded for `process.reap_recorded`.
        work_dir: Private directory for restic's temporary files, made if it is not there; None
            uses a new one for each command.
        stop: Ends the running command when set.
        lock_wait_s: Seconds to wait for another's lock, 0 or more.
        environment: What else restic's environment holds; only it and its user can read that.
    """

    binary: Binary
    location: str
    password: Callable[[], Password] = field(repr=False)
    _: KW_ONLY
    name: str = "repository"
    cache_dir: Path | None = None
    read_only: bool = False
    lock_fd: int | None = None
    record_dir: Path | None = None
    work_dir: Path | None = None
    stop: threading.Event | None = None
    lock_wait_s: int = 300
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def run(self, verb: Verb, on_stdout: Callable[[bytes], None] | None = None) -> Ended:
        """Run a command to its end; stale locks are removed once.

        Args:
            verb: The command.
            on_stdout: Called with each line of standard output, in this thread.

        Raises:
            OrchestratorError: As `failure.failure` chooses; StoppedError if `stop` was set,
                EngineTimeoutError if it took too long.
        """
        replay = None if verb.stdin is None else _Replay(verb.stdin)
        ended = self._attempt(verb, on_stdout, replay, ())
        if ended.returncode == LOCKED and self._may_retry(replay):
            self._unlock_stale()
            ended = self._attempt(verb, on_stdout, replay, argv.retry_lock(self.lock_wait_s))
        if ended.returncode not in verb.accept:
            raise self.failed(verb, ended)
        return ended

    def stream(self, verb: Verb) -> Generator[bytes, None, Ended]:
        """Run a command and yield its standard output in pieces; as `run` otherwise.

        Raises:
            OrchestratorError: As for `run`.
        """
        ended = yield from self._stream_attempt(verb, ())
        if ended.returncode == LOCKED and self._may_retry(None):
            self._unlock_stale()
            ended = yield from self._stream_attempt(verb, argv.retry_lock(self.lock_wait_s))
        if ended.returncode not in verb.accept:
            raise self.failed(verb, ended)
        return ended

    def failed(self, verb: Verb, ended: Ended) -> Exception:
        """Return the error that an end means."""
        return failure(ended.returncode, ended.complaints, name=self.name, doing=verb.doing)

    def _may_retry(self, replay: _Replay | None) -> bool:
        return not self.read_only and (replay is None or replay.whole)

    def _unlock_stale(self) -> None:
        """Remove locks of dead processes; a living one's lock stays."""
        verb = Verb(argv_upkeep.unlock(), "removing stale locks", timeout_s=QUICK_S)
        ended = self._attempt(verb, None, None, ())
        if ended.returncode != 0:
            raise self.failed(verb, ended)

    def _attempt(
        self,
        verb: Verb,
        on_stdout: Callable[[bytes], None] | None,
        replay: _Replay | None,
        more: tuple[str, ...],
    ) -> Ended:
        complaints = Complaints()
        with self._password_pipe() as password_fd, self._work_dir() as work:
            finished = process.run(
                self._argv(verb, password_fd, more),
                env=_environment(work) | dict(self.environment),
                timeout_s=verb.timeout_s,
                on_stdout=on_stdout,
                on_stderr=complaints.take,
                stdin=replay,
                pass_fds=self._fds(verb, password_fd),
                stop=self.stop,
                record=self.record_dir,
                cwd=verb.cwd,
            )
        return Ended(finished.returncode, complaints)

    def _stream_attempt(self, verb: Verb, more: tuple[str, ...]) -> Generator[bytes, None, Ended]:
        complaints = Complaints()
        with self._password_pipe() as password_fd, self._work_dir() as work:
            finished = yield from process.stream(
                self._argv(verb, password_fd, more),
                env=_environment(work) | dict(self.environment),
                timeout_s=verb.timeout_s,
                on_stderr=complaints.take,
                pass_fds=self._fds(verb, password_fd),
                stop=self.stop,
                record=self.record_dir,
            )
        return Ended(finished.returncode, complaints)

    def _argv(self, verb: Verb, password_fd: int, more: tuple[str, ...]) -> tuple[str, ...]:
        how = argv.Opening(str(self.binary.path), self.location, self.cache_dir, self.read_only)
        return (*argv.opening(how, password_fd=password_fd, lock=verb.lock), *more, *verb.argv)

    def _fds(self, verb: Verb, password_fd: int) -> Sequence[int]:
        lock = () if self.lock_fd is None else (self.lock_fd,)
        return (password_fd, *lock, *verb.fds)

    @contextlib.contextmanager
    def _password_pipe(self) -> Iterator[int]:
        """Open a pipe that holds the password, already closed for writing."""
        reader, writer = os.pipe()
        try:
            try:
                os.write(writer, self.password().reveal().encode())
            finally:
                os.close(writer)
            yield reader
        finally:
            os.close(reader)

    @contextlib.contextmanager
    def _work_dir(self) -> Iterator[Path]:
        if self.work_dir is None:
            with tempfile.TemporaryDirectory(prefix="restic-") as made:
                yield Path(made)
        else:
            self.work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield self.work_dir


@contextlib.contextmanager
def memory_file(content: bytes | None) -> Iterator[int | None]:
    """Hold a text in memory and give its file descriptor; None for no text.

    Paths handed over like this get on no disk and in no argument.
    """
    if content is None:
        yield None
        return
    with open(os.memfd_create("restic"), "wb") as file:
        file.write(content)
        file.flush()
        yield file.fileno()


class _Replay:
    """Bytes that can be given a second time, as long as not much of them was taken.

    restic takes its lock before it reads its input: when the lock fails, no more was taken than
    fits into a pipe.
    """

    def __init__(self, source: Iterable[bytes]) -> None:
        self._rest = iter(source)
        self._taken: list[bytes] = []
        self._size = 0
        self.whole = True

    def __iter__(self) -> Iterator[bytes]:
        yield from tuple(self._taken)
        for chunk in self._rest:
            if self.whole:
                # A chunk may be large: it counts only when the next one is asked for.
                if self._size > _REPLAY_BYTES:
                    self.whole = False
                    self._taken.clear()
                else:
                    self._taken.append(chunk)
                    self._size += len(chunk)
            yield chunk


def _environment(work: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(work),
        "TMPDIR": str(work),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "RESTIC_PROGRESS_FPS": "1",
        **_GARBAGE,
    }
