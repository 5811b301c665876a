"""Backups and checks of one corpus, ours and the peers', in alternating order."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from benchmarks.peers import Borg, Restic, restic_in_bucket
from benchmarks.programs import timed
from benchmarks.results import Results, Target
from benchmarks.sites import Site, medium, scratch, server


class Backups:
    """All measurements on one corpus.

    Args:
        name: Of the corpus, for the rows.
        images: Its folder.
        work: Where sites and repositories are made.
        results: Takes the figures.
    """

    def __init__(self, name: str, images: Path, work: Path, results: Results) -> None:
        self._name = name
        self._images = images
        self._work = work
        self._results = results

    def from_nothing(self, rounds: int, *, slow_rounds: int) -> None:
        """Measure first backups; the slow peers only in the first rounds."""
        for number in range(rounds):
            print(f"corpus {self._name}: from nothing, round {number + 1} of {rounds}", flush=True)
            steps = [self._peers_by_restic, self._one_copy, self._three_copies, self._borg]
            for step in steps[number % 4 :] + steps[: number % 4]:
                with scratch(self._work / "round") as folder:
                    warm(self._images)
                    step(folder, slow=number < slow_rounds)
        name, ratio = self._name, self._results.ratio
        raw = f"{name} restic backup"
        ratio(f"{name}: first backup, one copy / raw restic", f"{name} one copy", raw, AT_FIRST)
        ratio(f"{name}: three copies / raw restic", f"{name} three copies", raw, THREE)
        three = f"{name} three copies"
        ratio(f"{name}: restic + 2 restic copy / three copies", f"{name} copies", three, FASTER)
        ratio(f"{name}: 3 borg create / three copies", f"{name} borg x3", three, FASTER)

    def nightly(self, rounds: int, check_rounds: int) -> None:
        """Measure unchanged nights, then checks of what they left."""
        name = self._name
        with ExitStack() as stack:
            folder = stack.enter_context(scratch(self._work / "nightly"))
            raw = Restic(folder / "raw").init()
            raw.backup(self._images)
            site = self._site_with_three(folder, stack)
            site.run("backup")
            for number in range(rounds):
                print(f"corpus {name}: unchanged night {number + 1} of {rounds}", flush=True)
                for ours in (number % 2 == 0, number % 2 == 1):
                    if ours:
                        night = timed(site.argv("backup"), env=site.env)
                        self._results.add(f"{name} night, three copies", night)
                    else:
                        self._results.add(f"{name} night, restic", raw.backup(self._images))
            for number in range(check_rounds):
                print(f"corpus {name}: check {number + 1} of {check_rounds}", flush=True)
                for ours in (number % 2 == 0, number % 2 == 1):
                    for cold in (False, True):
                        self._check(site, raw, ours=ours, cold=cold)
        ratio = self._results.ratio
        ours, theirs = f"{name} night, three copies", f"{name} night, restic"
        ratio(f"{name}: unchanged night, three copies / raw restic", ours, theirs, NIGHT)
        for kind in ("cold", "warm"):
            ours, theirs = f"{name} check, {kind}", f"{name} restic check, {kind}"
            ratio(f"{name}: restic check --read-data / check, {kind}", theirs, ours, CHECK)

    def _peers_by_restic(self, folder: Path, *, slow: bool) -> None:
        raw = Restic(folder / "raw").init()
        first = self._results.add(f"{self._name} restic backup", raw.backup(self._images))
        if not slow:
            return
        local = Restic(folder / "local").init(like=raw)
        total = first + self._results.add(f"{self._name} restic copy", local.copy_from(raw))
        with server(folder / "server") as bucket:
            remote = restic_in_bucket(folder / "remote", bucket).init(like=raw)
            total += self._results.add(f"{self._name} restic copy to S3", remote.copy_from(raw))
        self._results.add(f"{self._name} copies", total)

    def _one_copy(self, folder: Path, *, slow: bool) -> None:
        site = Site(folder / "site", self._images).make()
        self._results.add(f"{self._name} one copy", timed(site.argv("backup"), env=site.env))

    def _three_copies(self, folder: Path, *, slow: bool) -> None:
        with ExitStack() as stack:
            site = self._site_with_three(folder, stack)
            took = timed(site.argv("backup"), env=site.env)
            self._results.add(f"{self._name} three copies", took)

    def _borg(self, folder: Path, *, slow: bool) -> None:
        if not slow or shutil.which("borg") is None:
            return
        first, second, third = (Borg(folder / f"borg{n}").init() for n in range(3))
        total = first.create(self._images) + second.create(self._images)
        self._results.add(f"{self._name} borg x3", total + third.create(self._images))

    def _site_with_three(self, folder: Path, stack: ExitStack) -> Site:
        bucket = stack.enter_context(server(folder / "server"))
        search = stack.enter_context(medium(folder))
        site = Site(folder / "site", self._images).make()
        site.add_copies(search, bucket)
        return site

    def _check(self, site: Site, raw: Restic, *, ours: bool, cold: bool) -> None:
        """Check one repository; cold means that its files are on the disk and not in memory."""
        kind = "cold" if cold else "warm"
        repository = site.primary if ours else raw.path
        (forget if cold else warm)(repository)
        if ours:
            # It reads from the device whatever is in memory.
            took = timed(site.argv("check", "disk", "--no-structure"), env=site.env)
            self._results.add(f"{self._name} check, {kind}", took)
        else:
            self._results.add(f"{self._name} restic check, {kind}", raw.check_all_data())


AT_FIRST = Target(at_most=1.15)
THREE = Target(at_most=1.35)
FASTER = Target(at_least=2.5)
NIGHT = Target(at_most=2.5)
CHECK = Target(at_least=3)


def warm(folder: Path) -> None:
    """Bring all files below a folder into memory."""
    buffer = bytearray(1 << 20)
    for path in _files(folder):
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def forget(folder: Path) -> None:
    """Let the kernel drop all files below a folder from memory."""
    os.sync()
    for path in _files(folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    return [Path(top, name) for top, _, names in os.walk(folder) for name in names]
