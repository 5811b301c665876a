"""Keeping an Object-Lock bucket honest: create, probe, prove coverage, extend."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from orchestrator.actions import observe
from orchestrator.actions.holds import guard
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import buckets, copies
from orchestrator.catalog.copy_tables import BucketCoverage, BucketProbe
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.catalog.copies import HeldFile
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.bucket.lock import BucketFacts
    from orchestrator.engines.bucket.place import BucketPlace
    from orchestrator.engines.bucket.probe import ProbeResult
    from orchestrator.engines.interface import StoredFile

WORKERS = 8


@dataclass(slots=True)
class Coverage:
    """Until when a snapshot's files are protected, proved by one listing.

    Attributes:
        store: Store name.
        snapshot: The newest complete snapshot the copy holds; None if it holds none.
        verdict: `covered`, `not_covered` or `unknown`.
        files: Files the primary needs.
        missing: Of those, how many the listing lacks, or has without a recorded lock.
        protected_until: The earliest end of a lock among them; None if one is missing.
        suspicious: Names with more than one version, or hidden, or that the primary never had.
        requests: Requests that were made.
    """

    store: str
    snapshot: str | None
    verdict: str
    files: int
    missing: int
    protected_until: datetime | None
    suspicious: int
    requests: int


@dataclass(slots=True)
class Extension:
    """What an extension of locks came to.

    Attributes:
        store: Store name.
        files: Files the primary needs, and those that only a snapshot on hold needs.
        extended: Files whose lock was lengthened and read back.
        failed: Files where that did not work.
        requests: Requests that were made.
        protected_until: The earliest end of a lock afterwards.
        verdict: `extended`, `fresh` (nothing to do) or `failed`.
        problem: Why the first one failed; None if none did.
        absent: Failed ones that are not in the bucket yet: the next replication brings them.
    """

    store: str
    files: int
    extended: int
    failed: int
    requests: int
    protected_until: datetime | None
    verdict: str
    problem: str | None = None
    absent: int = 0


def create(site: Site, name: str) -> BucketFacts:
    """Create the copy's bucket with Object Lock.

    Raises:
        RefusedError: It exists without Object Lock.
        OrchestratorError: The server cannot be reached or refuses.
    """
    with run(site, "bucket-create"), site.bucket(name) as bucket:
        return bucket.create()


def probe(site: Site, name: str, *, occasion: Occasion = BY_HAND) -> tuple[str, ProbeResult]:
    """Try to tamper with a canary by the production credential, and record what came of it.

    An inconclusive probe never replaces the last verdict that was one.
    """
    with run(site, "probe", occasion=occasion) as current:
        with current.step("probe", copy=name), site.bucket(name) as bucket:
            result = bucket.probe()
        with site.catalog.transaction() as session:
            buckets.add_probe(
                session,
                BucketProbe(
                    copy_=name,
                    at=site.clock.now(),
                    verdict=result.verdict,
                    attempts=[asdict(attempt) for attempt in result.attempts],
                ),
            )
        current.metrics["verdict"] = result.verdict
        if result.verdict != "held":
            current.fell_short(f"copy {name}: the tamper probe was {result.verdict}")
    return current.id, result


def coverage(site: Site, name: str, stores: list[str]) -> list[Coverage]:
    """Prove by one listing per store until when what the primary needs is protected."""
    results = []
    with run(site, "coverage") as current:
        for store in stores:
            repository = site.repository(store)
            with current.step("coverage", copy=name), _opened(site, name, repository) as opened:
                results.append(_coverage(site, opened, repository))
    return results


def _coverage(site: Site, opened: OpenCopy, repository: RepositoryRow) -> Coverage:
    key = (opened.name, "", repository.id)
    place: BucketPlace = opened.place  # type: ignore[assignment]
    listed = {stored.file.key: stored for stored in place.list()}
    needed = list(_needed(site, repository))
    missing = 0
    earliest: datetime | None = None
    with site.catalog.reading() as session:
        recorded = {(row.kind, row.name): row for row in copies.inventory(session, key)}
    for file in needed:
        row, stored = recorded.get(file), listed.get(file)
        until = row.retain_until if row is not None else None
        if until is None or stored is None or row is None or stored.version_id != row.version_id:
            missing += 1
        else:
            earliest = until if earliest is None else min(earliest, until)
    ours = {*needed, *observe.removed_from_primary(site, repository.id)}
    foreign = len(set(listed) - ours)
    tampered = sum(stored.versions > 1 or stored.hidden for stored in listed.values())
    trouble = observe.suspicion(tampered, foreign)
    observe.record(site, opened, repository.id, replicated=False, trouble=trouble)
    with site.catalog.transaction() as session:
        row_state = copies.get_state(session, key)
        snapshot = row_state.newest_snapshot if row_state is not None else None
        now = site.clock.now()
        good = not missing and earliest is not None and earliest > now and snapshot is not None
        buckets.add_coverage(
            session,
            BucketCoverage(
                copy_=opened.name,
                repository_id=repository.id,
                snapshot=snapshot or "",
                at=now,
                files=len(needed),
                missing=missing,
                protected_until=None if missing else earliest,
                requests=place.requests,
            ),
        )
    return Coverage(
        store=repository.store,
        snapshot=snapshot,
        verdict="covered" if good else "not_covered",
        files=len(needed),
        missing=missing,
        protected_until=None if missing else earliest,
        suspicious=tampered + foreign,
        requests=place.requests,
    )


def extend(
    site: Site, name: str, stores: list[str], *, occasion: Occasion = BY_HAND
) -> tuple[str, list[Extension]]:
    """Lengthen the locks of what the primary or a hold still needs, where little is left of them.

    Each lock is lengthened per version id and read back. What is done is recorded in batches, so
    a run that was cut off goes on where it was.
    """
    results = []
    with run(site, "extend", occasion=occasion) as current:
        for store in stores:
            repository = site.repository(store)
            with current.step("extend", copy=name), _opened(site, name, repository) as opened:
                result = _extend(current, opened, repository)
            results.append(result)
            if result.failed:
                current.fell_short(
                    f"copy {name}: {result.failed} locks could not be extended: {result.problem}"
                )
        current.metrics.update(
            extended=sum(r.extended for r in results), requests=sum(r.requests for r in results)
        )
    return current.id, results


def _extend(current: Run, opened: OpenCopy, repository: RepositoryRow) -> Extension:
    site = current.site
    copy = site.bucket_config(opened.name)
    place: BucketPlace = opened.place  # type: ignore[assignment]
    key = (opened.name, "", repository.id)
    now = site.clock.now()
    needed = set(_needed(site, repository))
    held = set(_held(site, key, needed))
    limit = now + copy.lock_period * site.config.targets.extend_below
    with site.catalog.reading() as session:
        found = list(copies.inventory(session, key))
    rows = [row for row in found if (row.kind, row.name) in needed]
    due = [
        row
        for row in found
        if (row.kind, row.name) in needed | held
        and (row.retain_until is None or row.retain_until < limit)
    ]
    listed = {stored.file.key: stored for stored in place.list()} if due else {}
    # What only a hold needs may have been swept since it was recorded: then it came too late.
    due = [row for row in due if (row.kind, row.name) in needed or (row.kind, row.name) in listed]
    result = Extension(repository.store, len(needed) + len(held), 0, 0, 0, None, "fresh")
    until = now + copy.lock_period

    def one(row: HeldFile) -> tuple[HeldFile, datetime | None]:
        stored: StoredFile | None = listed.get((row.kind, row.name))
        if stored is None or stored.version_id != row.version_id:
            result.problem = result.problem or "a version that was put is no longer there"
            return row, None
        try:
            return row, place.extend(stored, until)
        except OrchestratorError as error:
            result.problem = result.problem or error.message
            return row, None

    waiting = iter(due)
    with ThreadPoolExecutor(WORKERS, "extend") as pool:
        while batch := list(islice(waiting, WORKERS * 16)):
            site.check_stop()
            done = list(pool.map(one, batch))
            good = [(row.kind, row.name, at) for row, at in done if at is not None]
            with site.catalog.transaction() as session:
                copies.extend_protection(session, key, good)
            result.extended += len(good)
            result.failed += len(done) - len(good)
            site.progress.advance("locks extended", result.extended, len(due))
    result.requests = place.requests
    absent = len(needed) - len(rows)
    if absent:
        result.failed += absent
        result.absent = absent
        result.problem = result.problem or f"{absent} needed files are not in the bucket"
    if due or absent:
        result.verdict = "failed" if result.failed else "extended"
    if due:
        # Only what was looked at is recorded: without anything due, nobody asked the bucket.
        suspicious = sum(stored.versions > 1 or stored.hidden for stored in listed.values())
        trouble = observe.suspicion(suspicious)
        observe.record(site, opened, repository.id, replicated=False, trouble=trouble)
    with site.catalog.reading() as session:
        state = copies.get_state(session, key)
        result.protected_until = state.protected_until if state is not None else None
    return result


def _needed(site: Site, repository: RepositoryRow) -> Iterator[tuple[str, str]]:
    key = (site.config.primary.name, "", repository.id)
    with site.catalog.reading() as session:
        rows = list(copies.inventory(session, key, states=("good", "damaged", "missing")))
    return ((row.kind, row.name) for row in rows)


def _held(site: Site, key: copies.CopyKey, needed: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what a bucket keeps only for a snapshot on hold that the primary gave up.

    Which files that one needs nobody can tell: all that the primary gave up.
    """
    with site.catalog.reading() as session:
        held = guard.held_on(site, session, key)
        if all(("snapshots", name) in needed for name in held):
            return []
        rows = copies.inventory(session, key)
        return [(row.kind, row.name) for row in rows if (row.kind, row.name) not in needed]


def _opened(site: Site, name: str, repository: RepositoryRow) -> AbstractContextManager[OpenCopy]:
    return open_copy(site, name, repository, versions=observe.versions(site, name, repository.id))
