#!/usr/bin/env python3
"""Measures the product against plain restic and borg; ratios within one run.

    python benchmarks/run.py                      everything, full size
    python benchmarks/run.py --quick              everything, small: does the benchmark work?
    python benchmarks/run.py answers memory       some parts

Parts: first, night, answers, memory, drills, ledger, retention, and million (not part of the
default: it backs up a tree of a million tiny files). Corpora and the large catalog are kept in the
folder for the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from benchmarks import corpora, ledger, million, retention  # noqa: E402
from benchmarks.backups import Backups  # noqa: E402
from benchmarks.drills import Drills  # noqa: E402
from benchmarks.results import Results  # noqa: E402
from benchmarks.sites import scratch  # noqa: E402

PARTS = ("first", "night", "answers", "memory", "drills", "ledger", "retention")
IMAGES = {"first", "night", "answers", "memory", "drills"}


def main() -> int:
    given = _arguments()
    small = given.quick
    folder = given.folder.absolute()
    counts = {"a": given.files_a or (400 if small else 20_000)}
    counts["b"] = given.files_b or (6 if small else 200)
    many = given.many or (10_000 if small else 1_000_000)
    parts = given.parts or list(PARTS)
    results = Results()
    started = time.monotonic()
    with scratch(folder / "work") as work:
        images = {
            kind: corpora.build(
                folder / f"{kind}-{counts[kind]}", corpora.Corpus(kind, counts[kind])
            )
            for kind in ("a", "b")
            if kind in given.corpus and set(parts) & IMAGES
        }
        for kind, place in images.items():
            backups = Backups(kind.upper(), place, work, results)
            if "first" in parts:
                backups.from_nothing(given.rounds, slow_rounds=given.slow_rounds)
            if "night" in parts:
                backups.nightly(given.nights, given.checks)
            if "drills" in parts:
                drills = Drills(kind.upper(), place, work, results)
                drills.measure(given.drills, one_study=kind == "a")
        if "memory" in parts:
            for kind, place in images.items():
                million.memory_of_first_backup(
                    work / f"memory-{kind}", place, results, name=kind.upper()
                )
        if {"answers", "memory"} & set(parts) and images:
            first = next(iter(images.values()))
            site = million.site_with_many(folder / f"many-{many}-{first.name}", first, many)
            if "answers" in parts:
                million.answers(site, given.nights, results, count=many)
            if "memory" in parts:
                million.memory_with_many(site, results, count=many)
        if "million" in parts:
            tiny = million.make_tiny_files(folder / f"tiny-{many}", many)
            million.memory_of_first_backup(work / "million", tiny, results, name=f"{many} files")
        if "ledger" in parts:
            entries = given.entries or (20_000 if small else 10_000_000)
            ledger.measure(work / "ledger", entries, results)
        if "retention" in parts:
            studies = given.studies or (200_000 if small else 10_000_000)
            retention.measure(studies, min(studies, 50_000), results)
    _report(results, folder, time.monotonic() - started)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=(*PARTS, "million", []), metavar="PART")
    parser.add_argument("--quick", action="store_true", help="small corpora, to see that it works")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".lab" / "bench")
    parser.add_argument("--corpus", default="ab", choices=("a", "b", "ab"))
    parser.add_argument("--files-a", type=int, help="files of about 100 kB; 20000 if left out")
    parser.add_argument("--files-b", type=int, help="files of about 15 MB; 200 if left out")
    parser.add_argument("--many", type=int, help="files in the large catalog; 1000000")
    parser.add_argument("--rounds", type=int, default=2, help="first backups")
    parser.add_argument("--slow-rounds", type=int, default=1, help="rounds with borg and copies")
    parser.add_argument("--nights", type=int, default=5, help="unchanged nights, and answers")
    parser.add_argument("--checks", type=int, default=3)
    parser.add_argument("--drills", type=int, default=3, help="rounds of drills and restores")
    parser.add_argument("--entries", type=int, help="entries of the ledger; 10000000")
    parser.add_argument("--studies", type=int, help="studies decided; 10000000")
    return parser.parse_args()


def _report(results: Results, folder: Path, took_s: float) -> None:
    load = os.getloadavg()
    machine = f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}"
    print(f"\n{results.table()}\n\n{machine}; load average at the end {load}; {took_s:.0f} s")
    document = {**results.document(), "machine": machine, "load": load, "took_s": took_s}
    (folder / "results.json").write_text(json.dumps(document, indent=1))
    print(f"all timings: {folder / 'results.json'}")


if __name__ == "__main__":
    sys.exit(main())
