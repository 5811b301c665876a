"""Running programs and measuring them: wall clock, processor time, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.02


class ProgramFailed(Exception):
    """A program that is measured did not do its work."""


@dataclass(frozen=True)
class Timing:
    """What one run cost, with all processes it waited for; seconds."""

    wall_s: float
    cpu_s: float

    def __add__(self, other: Timing) -> Timing:
        return Timing(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


def timed(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    expect: tuple[int, ...] = (0,),
) -> Timing:
    """Run a program to its end; its output goes to a file and is shown only if it fails."""
    os.sync()  # what the run before left to be written is not this one's business
    with open(os.memfd_create("output"), "w+b") as output:
        started = time.monotonic()
        process = _start(argv, env, cwd, output.fileno())
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # an interrupt leaves nothing running
            process.terminate()
            process.wait()
            raise
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        _check(process.returncode, argv, expect, output.fileno())
    return Timing(wall_s, usage.ru_utime + usage.ru_stime)


@dataclass(frozen=True)
class Peak:
    """High-water marks of resident memory (VmHWM), MiB; `workers` are its Python children."""

    main_mib: float
    workers_mib: tuple[float, ...]


def peak_of(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    expect: tuple[int, ...] = (0,),
) -> Peak:
    """Run a program and read the kernel's high-water mark of its own process and its workers.

    The kernel keeps the mark, so sampling can only miss what happens after the last sample.
    """
    marks: dict[int, float] = {}
    with open(os.memfd_create("output"), "w+b") as output:
        process = _start(argv, env, None, output.fileno())
        over = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, marks, over))
        sampler.start()
        process.wait()
        over.set()
        sampler.join()
        _check(process.returncode, argv, expect, output.fileno())
    workers = (mark for pid, mark in marks.items() if pid != process.pid)
    return Peak(marks[process.pid], tuple(sorted(workers, reverse=True)))


def _start(
    argv: Sequence[str | Path], env: Mapping[str, str] | None, cwd: Path | None, output: int
) -> subprocess.Popen[bytes]:
    words = [str(word) for word in argv]
    return subprocess.Popen(
        words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )


def _check(code: int, argv: Sequence[str | Path], expect: tuple[int, ...], output: int) -> None:
    if code not in expect:
        size = os.fstat(output).st_size
        last = os.pread(output, 4096, max(0, size - 4096)).decode("utf-8", "replace")
        raise ProgramFailed(f"{Path(argv[0]).name} {argv[1]} ended with {code}:\n{last}")


def _sample(pid: int, marks: dict[int, float], over: threading.Event) -> None:
    while not over.wait(SAMPLE_S):
        for one in (pid, *_children(pid)):
            mark = high_water_mib(one)
            if mark is not None:
                marks[one] = mark


def _children(pid: int) -> Iterator[int]:
    """Yield the children that are Python as well: its workers, not restic."""
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = listing.read_text().split()
        except OSError:
            continue
        for child in found:
            try:
                words = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"multiprocessing" in words:
                yield int(child)


def high_water_mib(pid: int) -> float | None:
    """Return the high-water mark of a process's resident memory; None if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kib = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    return None if kib is None else kib / 1024
