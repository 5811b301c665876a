"""Locks between processes: held as long as anything lives that may still write."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.actions.lock import StoreLock, is_marked, locked, marked, reading, removing
from orchestrator.clock import SystemClock
from orchestrator.errors import LockedError, StoppedError

MARK = (
    "import sys, time; from pathlib import Path; from orchestrator.actions.lock import marked\n"
    "with marked(Path(sys.argv[1]), 'run-x') as held:\n"
    "    print(held, flush=True); time.sleep(60)"
)


def test_mark_falls_with_its_process_however_that_ends(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MARK, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert is_marked(tmp_path, "run-x")
    with marked(tmp_path, "run-x") as held:
        assert not held
    process.kill()
    process.communicate()
    assert not is_marked(tmp_path, "run-x")
    with marked(tmp_path, "run-x") as held:
        assert held
        assert is_marked(tmp_path, "run-x")
    assert list(tmp_path.iterdir()) == []


def test_mark_is_held_by_one_of_many(tmp_path: Path) -> None:
    inside = 0
    most = 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with marked(tmp_path, "job") as held:
                if held:
                    with guard:
                        inside += 1
                        most = max(most, inside)
                    with guard:
                        inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_lock_lives_as_long_as_a_child_that_inherited_it(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path, "xrays")
    lock.acquire("first")
    with subprocess.Popen(["sleep", "60"], pass_fds=[lock.fd]) as child:
        lock.release()
        with pytest.raises(LockedError):
            StoreLock(tmp_path, "xrays").acquire("second")
        assert not lock.is_free()
        child.kill()
    StoreLock(tmp_path, "xrays").acquire("third")


def test_second_run_names_the_first_or_waits_for_it(tmp_path: Path) -> None:
    first = StoreLock(tmp_path, "xrays")
    first.acquire("the-first")
    stop = threading.Event()

    def take(wait_s: float) -> None:
        with locked(
            tmp_path,
            "xrays",
            "second",
            clock=SystemClock(),
            end_leftovers=lambda: 0,
            stop=stop,
            wait_s=wait_s,
        ):
            pass

    with pytest.raises(LockedError, match="the-first"):
        take(0)
    threading.Timer(0.5, first.release).start()
    take(60)
    first.acquire("again")
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(StoppedError, match="again"):
        take(60)
    first.release()


def test_readers_keep_removal_out_and_removal_keeps_readers_out(tmp_path: Path) -> None:
    with reading(tmp_path, "xrays"), reading(tmp_path, "xrays"), removing(tmp_path, "xrays") as ok:
        assert not ok
    with removing(tmp_path, "xrays") as ok:
        assert ok
        with pytest.raises(LockedError), reading(tmp_path, "xrays"):
            pass
