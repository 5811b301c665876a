"""How fast the ledger is: building, verifying, proving, appending.

    python benchmarks/ledger.py [--entries 10000000] [--folder FOLDER] [--keep]

Each step runs in a process of its own, so that its memory can be told. Beside the times stand two
measures of the same machine in the same minute: sha256sum over the same bytes, which is the least
that anybody must do who reads them all, and the standalone verifier, which uses one core.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.programs import Timing, high_water_mib
from benchmarks.results import Results, Target
from orchestrator.ledger.log import Log
from orchestrator.ledger.note import SeedSigner, parse_vkey
from orchestrator.ledger.standalone import verify_ledger
from orchestrator.ledger.verify import verify

SIGNER = SeedSigner("benchmark.invalid/disposal/1", bytes(range(32)))
ENTRY = (
    '{"actor":"system","at":"2026-11-22T15:35:37.123Z","id":"0199f1f0-0000-7000-8000-%012x",'
    '"subjects":{"study":["sha256:%064x"]},"type":"check.done","v":1}'
)


def entries(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield (ENTRY % (number, number * 0x9E3779B97F4A7C15)).encode()


def build(folder: Path, count: int) -> dict[str, Any]:
    appended = Log.create(folder, SIGNER, now=datetime.now(UTC)).append(entries(count - 1))
    return {"size": appended.size}


def verify_all(folder: Path, count: int) -> dict[str, Any]:
    found = verify(folder, [parse_vkey(Log(folder, SIGNER).vkey)])
    assert (found.is_whole, found.size) == (True, count), found.problems
    return {}


def verify_standalone(folder: Path, _: int) -> dict[str, Any]:
    assert verify_ledger.main([str(folder), "--key", Log(folder, SIGNER).vkey]) == 0
    return {}


def sha256sum(folder: Path, _: int) -> dict[str, Any]:
    find = ["find", str(folder / "tile" / "entries"), "-type", "f", "-print0"]
    with subprocess.Popen(find, stdout=subprocess.PIPE) as listing:
        subprocess.run(
            ["xargs", "-0", "sha256sum"],
            stdin=listing.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return {}


def prove(folder: Path, count: int) -> dict[str, Any]:
    times, sizes = [], []
    for number in range(50):
        began = time.perf_counter()
        reader = Log(folder, SIGNER).reader()
        sizes.append(len(reader.proof_text(number * 7919 % count)))
        times.append(time.perf_counter() - began)
    return {"largest_bytes": max(sizes), "slowest_ms": max(times) * 1000}


def append(folder: Path, _: int) -> dict[str, Any]:
    more = list(entries(2000))
    began = time.perf_counter()
    log = Log.open(folder, SIGNER)
    opened = time.perf_counter() - began
    began = time.perf_counter()
    for one in more:
        log.append([one])
    singly = len(more) / (time.perf_counter() - began)
    began = time.perf_counter()
    log.append(more[:1000])
    thousand = time.perf_counter() - began
    return {"open_s": opened, "per_s": singly, "thousand_at_once_s": thousand}


STEPS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "build": build,
    "sha256sum": sha256sum,
    "verify": verify_all,
    "standalone": verify_standalone,
    "prove": prove,
    "append": append,
}


def step(name: str, folder: Path, count: int) -> None:
    """Run one step in this process and print what it took as the last line."""
    began = time.perf_counter()
    found = STEPS[name](folder, count)
    found["wall_s"] = time.perf_counter() - began
    own = resource.getrusage(resource.RUSAGE_SELF)
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["cpu_s"] = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    # The largest child counts once per core: verifying has as many, of like size.
    # Our own mark is asked of the kernel: ru_maxrss begins with that of whoever started us.
    workers_mib = others.ru_maxrss * (os.cpu_count() or 1) / 1024
    found["peak_mib"] = (high_water_mib(os.getpid()) or 0) + workers_mib
    print(json.dumps(found))


def show(name: str, found: dict[str, Any]) -> None:
    parts = [f"{key} {value:.4g}" for key, value in found.items()]
    print(f"{name:12} {'  '.join(parts)}", flush=True)


def all_steps(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """Build a log in a folder that is not there yet and measure it; what each step found."""
    found: dict[str, dict[str, Any]] = {}
    for name in STEPS:
        command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
        command += ["--entries", str(count)]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found[name] = json.loads(said.splitlines()[-1])
        show(name, found[name])
    return found


def measure(folder: Path, count: int, results: Results) -> None:
    """Measure a log of so many entries; the targets are those of 10 million."""
    print(f"ledger of {count} entries", flush=True)
    found = all_steps(folder, count)

    def figure(what: str, value: float, unit: str, target: Target) -> None:
        results.figure(f"ledger of {count} entries: {what}", [value], unit, target)

    figure("build", found["build"]["wall_s"], "s", Target(at_most=60))
    figure("verify", found["verify"]["wall_s"], "s", Target(at_most=30))
    for name in ("build", "verify"):
        figure(f"peak memory, {name}", found[name]["peak_mib"], "MiB", Target(at_most=200))
    figure("largest proof", found["prove"]["largest_bytes"], "bytes", Target(at_most=2048))
    figure("slowest proof", found["prove"]["slowest_ms"], "ms", Target(at_most=100))
    figure("appended one by one", found["append"]["per_s"], "per s", Target(at_least=200))
    for name in ("verify", "standalone"):
        timing = Timing(found[name]["wall_s"], found[name]["cpu_s"])
        results.add(f"ledger {name}", timing)
    peer = Timing(found["sha256sum"]["wall_s"], found["sha256sum"]["cpu_s"])
    results.add("ledger sha256sum", peer)
    for name in ("verify", "standalone"):
        what = f"ledger: {name} / sha256sum of the same entries"
        results.ratio(what, f"ledger {name}", "ledger sha256sum", Target())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--keep", action="store_true", help="leave the log where it is")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step(given.step, given.folder, given.entries)
        return
    folder = given.folder or Path(tempfile.mkdtemp(prefix="ledger-bench-")) / "ledger"
    try:
        found = all_steps(folder, given.entries)
    finally:
        if not given.keep:
            shutil.rmtree(folder.parent if given.folder is None else folder, ignore_errors=True)
    for name in ("verify", "standalone"):
        ratio = found[name]["cpu_s"] / found["sha256sum"]["cpu_s"]
        print(f"{name} / sha256sum of the same entries, processor time: {ratio:.2f}")
    ratio = found["standalone"]["wall_s"] / found["verify"]["wall_s"]
    print(f"standalone / verify, wall: {ratio:.2f}")


if __name__ == "__main__":
    main()
