"""Programs are started, read, fed and always ended."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.engines.process import Finished, run, stream
from orchestrator.errors import EngineError, EngineTimeoutError, StoppedError

ENV = {"PATH": "/usr/bin:/bin"}
PATIENCE_S = (0.5, 5, 25)
"""A shell that had no processor before the first of these was over gets one more chance."""


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-I", "-c", code, *args]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def gone(pid: int, within_s: float = 60.0) -> bool:
    until = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


def pid_in(path: Path) -> int:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        time.sleep(0.02)
    raise AssertionError(f"{path.name} was never written")


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_lines_are_delivered_without_their_ends() -> None:
    lines: list[bytes] = []
    finished = run(["printf", "one\\ntwo\\n\\nlast"], env=ENV, on_stdout=lines.append)
    assert lines == [b"one", b"two", b"", b"last"]
    assert finished.returncode == 0
    assert 0 < finished.duration_s < 10


def test_exit_code_and_signal_are_told_apart() -> None:
    assert run(["sh", "-c", "exit 7"], env=ENV).returncode == 7
    assert run(["sh", "-c", "kill -9 $$"], env=ENV).returncode == -signal.SIGKILL


def test_environment_is_only_what_is_handed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURPRISE", "from the parent")
    lines: list[bytes] = []
    run(["env"], env={"PATH": "/usr/bin:/bin", "ONLY": "this"}, on_stdout=lines.append)
    assert sorted(lines) == [b"ONLY=this", b"PATH=/usr/bin:/bin"]


def test_stdin_is_empty_unless_fed() -> None:
    lines: list[bytes] = []
    assert run(["cat"], env=ENV, on_stdout=lines.append, timeout_s=10).returncode == 0
    assert lines == []


def test_a_child_that_fills_stderr_first_does_not_hang() -> None:
    code = (
        "import sys; sys.stderr.write('e' * 300_000 + 'END'); sys.stderr.flush();"
        "print('out' * 100_000)"
    )
    lines: list[bytes] = []
    finished = run(python(code), env=ENV, on_stdout=lines.append, timeout_s=30)
    assert len(lines[0]) == 300_000
    assert finished.stderr_tail.endswith(b"END")
    assert len(finished.stderr_tail) == 64 * 1024


def test_a_long_line_arrives_whole_and_an_endless_one_is_refused() -> None:
    lines: list[bytes] = []
    run(python("print('x' * 5_000_000)"), env=ENV, on_stdout=lines.append)
    assert [len(line) for line in lines] == [5_000_000]
    with pytest.raises(EngineError, match="too long"):
        run(["cat", "/dev/zero"], env=ENV, on_stdout=lines.append, timeout_s=60)


def test_a_grandchild_that_keeps_the_pipes_open_is_killed_with_the_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    started = time.monotonic()
    finished = run(["sh", "-c", f"sleep 60 & echo $! > {note}; echo said"], env=ENV, timeout_s=30)
    assert finished.returncode == 0
    assert time.monotonic() - started < 60  # it did not hang
    assert gone(pid_in(note))


def test_a_grandchild_in_a_session_of_its_own_cannot_hold_the_caller(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    lines: list[bytes] = []
    away = f"setsid sh -c 'echo $$ > {note}; exec sleep 60' &"
    script = f"{away} until [ -s {note} ]; do sleep 0.05; done; echo said"
    started = time.monotonic()
    try:
        finished = run(["sh", "-c", script], env=ENV, on_stdout=lines.append)
        assert finished.returncode == 0
        assert lines == [b"said"]
        assert time.monotonic() - started < 60  # it did not hang
    finally:
        os.kill(pid_in(note), signal.SIGKILL)


def test_output_written_before_the_end_reaches_a_slow_reader() -> None:
    received = 0
    for piece in stream(python("import os; os.write(1, b'x' * 60_000)"), env=ENV):
        time.sleep(0.3)  # the child has long ended
        received += len(piece)
    assert received == 60_000


def test_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    for timeout_s in PATIENCE_S:
        with pytest.raises(EngineTimeoutError, match=rf"sh did not end within {timeout_s} seconds"):
            run(["sh", "-c", f"sleep 60 & echo $! > {note}; wait"], env=ENV, timeout_s=timeout_s)
        if note.exists() and note.read_text():
            break
    assert gone(pid_in(note))


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    started = time.monotonic()
    with pytest.raises(EngineTimeoutError):
        run(python(code), env=ENV, timeout_s=0.5, grace_s=0.3)
    assert time.monotonic() - started < 60  # it did not hang


def test_a_child_is_given_time_to_clean_up(tmp_path: Path) -> None:
    left = tmp_path / "cleaned"
    ready = tmp_path / "ready"
    trap = f"trap 'head -c 300000 /dev/zero; touch {left}; exit 0' TERM"
    script = f"{trap}; touch {ready}; sleep 60 & wait"
    for timeout_s in PATIENCE_S:
        with pytest.raises(EngineTimeoutError):
            run(["sh", "-c", script], env=ENV, timeout_s=timeout_s)
        if ready.exists():
            break
    assert left.exists()


def test_stop_ends_the_program() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(StoppedError, match="sleep was asked to stop"):
        run(["sleep", "60"], env=ENV, stop=stop)
    timer.join()
    assert time.monotonic() - started < 60  # it did not hang


def test_stop_reaches_a_child_that_has_closed_its_output() -> None:
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    with pytest.raises(StoppedError):
        run(["sh", "-c", "exec >&- 2>&-; sleep 60"], env=ENV, stop=stop)
    timer.join()


def test_an_error_in_the_reader_kills_the_child(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def reader(line: bytes) -> None:
        raise ValueError("reader failed")

    with pytest.raises(ValueError, match="reader failed"):
        run(["sh", "-c", f"echo $$ > {note}; echo x; exec sleep 60"], env=ENV, on_stdout=reader)
    assert gone(pid_in(note))


def test_stdin_is_fed_from_an_iterable_larger_than_any_pipe() -> None:
    lines: list[bytes] = []
    pieces = (b"%07d\n" % number * 1000 for number in range(300))
    finished = run(["wc", "-c"], env=ENV, stdin=pieces, on_stdout=lines.append)
    assert finished.returncode == 0
    assert lines == [b"2400000"]


def test_a_child_that_stops_reading_ends_the_feeding() -> None:
    closed: list[bool] = []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.append(True)

    finished = run(["head", "-c", "5"], env=ENV, stdin=endless(), timeout_s=20)
    assert finished.returncode == 0
    assert closed == [True]


def test_a_source_that_fails_kills_the_child_before_it_sees_an_end(tmp_path: Path) -> None:
    whole = tmp_path / "whole"

    def source() -> Iterator[bytes]:
        yield b"first half"
        raise OSError("second half is gone")

    with pytest.raises(OSError, match="second half is gone"):
        run(["sh", "-c", f"cat > /dev/null; touch {whole}"], env=ENV, stdin=source())
    assert not whole.exists()


def test_a_missing_program_is_named_without_its_arguments(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EngineError, match="no-such-program could not be started") as caught:
        run(["/nowhere/no-such-program", "--patient", "DOE"], env=ENV)
    assert caught.value.__cause__ is None
    assert "DOE" not in str(caught.value) + caplog.text
    assert "/nowhere" not in str(caught.value)


def test_arguments_never_appear_in_an_error_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EngineTimeoutError) as caught:
        run(["sh", "-c", "sleep 60", "DOE^JANE"], env=ENV, timeout_s=0.2)
    assert "DOE" not in str(caught.value) + caplog.text


def test_streaming_yields_the_bytes_and_returns_how_it_ended() -> None:
    received: list[bytes] = []
    finished: list[Finished] = []

    def consume() -> Iterator[bytes]:
        finished.append(
            (yield from stream(["sh", "-c", "head -c 3000000 /dev/zero; exit 4"], env=ENV))
        )

    received.extend(consume())
    assert sum(len(piece) for piece in received) == 3_000_000
    assert max(len(piece) for piece in received) <= 64 * 1024
    assert finished[0].returncode == 4


def test_closing_a_stream_ends_the_program(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    pieces = stream(["sh", "-c", f"echo $$ > {note}; exec cat /dev/zero"], env=ENV)
    next(pieces)
    pieces.close()
    assert gone(pid_in(note))


def test_a_passed_lock_is_held_as_long_as_the_child_lives(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    pieces = stream(["sh", "-c", "echo go; exec sleep 60"], env=ENV, pass_fds=(lock,))
    assert next(pieces) == b"go\n"
    os.close(lock)
    second = os.open(tmp_path / "lock", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    pieces.close()
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(second)


def test_other_descriptors_are_not_inherited(tmp_path: Path) -> None:
    passed, kept = os.open(tmp_path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(kept, True)
    lines: list[bytes] = []
    run(["ls", "/proc/self/fd"], env=ENV, pass_fds=(passed,), on_stdout=lines.append)
    os.close(passed)
    os.close(kept)
    assert b"%d" % passed in lines
    assert b"%d" % kept not in lines


def test_nothing_is_left_open_or_running_by_many_threads_at_once() -> None:
    run(["true"], env=ENV)
    before, results = open_fds(), []

    def work(number: int) -> None:
        for _ in range(5):
            seen: list[bytes] = []
            run(
                ["sh", "-c", f"cat; echo {number}"], env=ENV, stdin=[b"in\n"], on_stdout=seen.append
            )
            results.append(seen == [b"in", b"%d" % number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40
    assert open_fds() == before


def test_memory_stays_bounded_while_a_lot_is_read() -> None:
    import tracemalloc

    tracemalloc.start()
    count = 0

    def reader(line: bytes) -> None:
        nonlocal count
        count += 1

    run(["sh", "-c", "yes | head -n 2000000"], env=ENV, on_stdout=reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 2_000_000
    assert peak < 8_000_000


def test_lines_of_stderr_are_delivered_although_only_a_tail_is_kept() -> None:
    lines: list[bytes] = []
    finished = run(["sh", "-c", "seq 50000 >&2"], env=ENV, on_stderr=lines.append)
    assert len(lines) == 50_000
    assert lines[0] == b"1"
    assert len(finished.stderr_tail) == 64 * 1024


def test_an_error_in_the_stderr_reader_is_raised_and_hangs_nothing() -> None:
    def reader(line: bytes) -> None:
        raise ValueError("stderr reader failed")

    with pytest.raises(ValueError, match="stderr reader failed"):
        run(["sh", "-c", "seq 100000 >&2"], env=ENV, on_stderr=reader, timeout_s=20)
