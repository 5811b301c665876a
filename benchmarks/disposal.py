"""A disposal on a store with many snapshots: what of its time is restic's, and what is ours.

One percent of the files, in whole studies, leave the store and every snapshot. Everything is real;
only the decision is left out: the studies are put on a batch by hand. Each round takes other
studies out of the same site.

    python benchmarks/disposal.py                 20,000 files, 30 snapshots
    python benchmarks/disposal.py --quick         800 files, 4 snapshots
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

from benchmarks import corpora  # noqa: E402
from benchmarks.sites import Site as Lab  # noqa: E402
from benchmarks.sites import environment  # noqa: E402
from orchestrator.actions.disposal import execute as action  # noqa: E402
from orchestrator.actions.disposal import places, suppression  # noqa: E402
from orchestrator.actions.disposal.outcome import StoreExecution  # noqa: E402
from orchestrator.actions.run import BY_HAND  # noqa: E402
from orchestrator.actions.site import Site  # noqa: E402
from orchestrator.catalog import disposals, studies  # noqa: E402
from orchestrator.catalog.disposal_tables import Disposal, DisposalStudy  # noqa: E402
from orchestrator.engines.restic.access import Access  # noqa: E402
from orchestrator.wiring import open_site  # noqa: E402

PER_NIGHT = 40
DAY = dt.date(2012, 1, 1)


def site_with_nights(folder: Path, files: int, nights: int) -> Lab:
    """Make a site with so many snapshots, each night with a new study, or take the one there."""
    images = folder / "images"
    lab = Lab(folder / "site", images)
    done = folder / "done"
    if done.exists():
        return lab
    corpus = corpora.Corpus("a", files)
    corpora.build(images, corpus)
    lab.make()
    for night in range(nights):
        start = files + night * PER_NIGHT
        for number in range(start, start + PER_NIGHT if night else start):
            path, content = corpora.make_file(corpus, number)
            (images / path).parent.mkdir(parents=True, exist_ok=True)
            (images / path).write_bytes(content)
        lab.run("backup")
        print(f"\rsnapshot {night + 1} of {nights}", end="", flush=True)
    print()
    done.touch()
    return lab


class Measured:
    """Counts restic's commands, and the time in which at least one of them runs."""

    def __init__(self) -> None:
        self.verbs: Counter[str] = Counter()
        self.running_s = 0.0
        self._running = 0
        self._since = 0.0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def command(self, verb: str) -> Iterator[None]:
        with self._lock:
            self.verbs[verb] += 1
            self._running += 1
            if self._running == 1:
                self._since = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if self._running == 0:
                    self.running_s += time.perf_counter() - self._since

    def install(self) -> None:
        attempt, stream = Access._attempt, Access._stream_attempt
        measured = self

        def one(self: Access, verb: Any, *rest: Any) -> Any:
            with measured.command(
                " ".join(verb.argv[:2] if verb.argv[0] in _TWO else verb.argv[:1])
            ):
                return attempt(self, verb, *rest)

        def many(self: Access, verb: Any, *rest: Any) -> Any:
            with measured.command(verb.argv[0]):
                return (yield from stream(self, verb, *rest))

        Access._attempt, Access._stream_attempt = one, many  # type: ignore[method-assign]


_TWO = ("list", "cat", "repair")


def begin(site: Site, share: float) -> tuple[str, int]:
    """Put some studies on a batch that is under way."""
    now = site.clock.now()
    with site.catalog.transaction() as session:
        (store,) = site.config.stores
        there = studies.studies(session, store)
        wanted = sum(one.files for one in there) * share
        chosen, files = [], 0
        for one in there:
            if files >= wanted:
                break
            chosen.append(one)
            files += one.files
        number = len(disposals.listing(session)) + 1
        name = f"D-2026-{number:04}"
        row = Disposal(
            id=name,
            state=disposals.EXECUTING,
            plan_digest="0" * 64,
            plan={},
            proposed_by="it",
            proposed_at=now,
            decided_by="privacy",
            decided_at=now,
            quarantine_until=now,
        )
        disposals.add(
            session,
            row,
            [
                DisposalStudy(
                    disposal=name,
                    store=store,
                    study_key=one.study,
                    state=disposals.SUPPRESSED,
                    due=DAY,
                    schedule_id="bench",
                    schedule_version="1",
                    rule="bench",
                    citation="none",
                    record_class="xray_image",
                )
                for one in chosen
            ],
        )
        suppression.suppress(site, session, store, [one.study for one in chosen])
        for place in places.rows(site, session, name, store):
            disposals.put_copy(session, place)
    return name, files


def measure(lab: Lab, share: float, measured: Measured) -> None:
    """Execute one batch and print what it took."""
    site = open_site(lab.file)
    name, files = begin(site, share)
    measured.verbs.clear()
    measured.running_s = 0.0
    before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    started = time.perf_counter()
    share_of = StoreExecution(next(iter(site.config.stores)))
    action._one_store(site, name, share_of, BY_HAND)
    wall = time.perf_counter() - started
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    site.catalog.dispose()
    own, restic = (
        a.ru_utime + a.ru_stime - b.ru_utime - b.ru_stime
        for a, b in zip(after, before, strict=True)
    )
    alone = wall - measured.running_s
    print(
        f"{files} files, {share_of.removed_primary} studies, {share_of.snapshots} snapshots: "
        f"wall {wall:.1f} s, without restic {alone:.1f} s ({alone / measured.running_s:.1%}); "
        f"processor: restic {restic:.1f} s, ours {own:.1f} s ({own / restic:.1%}); "
        f"peak memory {after[0].ru_maxrss / 1024:.0f} MiB"
    )
    print(f"{measured.verbs.total()} commands:", dict(sorted(measured.verbs.items())))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--files", type=int)
    parser.add_argument("--snapshots", type=int)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=PROJECT / ".lab" / "bench")
    given = parser.parse_args()
    files = given.files or (800 if given.quick else 20_000)
    nights = given.snapshots or (4 if given.quick else 30)
    os.environ.update(environment())
    lab = site_with_nights(given.folder.absolute() / f"disposal-{files}-{nights}", files, nights)
    measured = Measured()
    measured.install()
    for _ in range(given.rounds):
        measure(lab, given.share, measured)
    print(f"load average {os.getloadavg()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
