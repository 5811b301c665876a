"""Removing from a bucket what the primary gave up, once its lock has ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.actions import observe
from orchestrator.actions.clock_trust import check_clock
from orchestrator.actions.holds import guard
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, facts
from orchestrator.engines.layout import REMOVE_ORDER
from orchestrator.errors import NotFoundError, OrchestratorError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.clock import Clock
    from orchestrator.engines.bucket.bucket import Bucket
    from orchestrator.engines.bucket.settings import BucketSettings
    from orchestrator.engines.bucket.versions import VersionFact
    from orchestrator.engines.layout import FileKey

_AT_ONCE = 16
"""Versions removed in one transaction, if they take no longer than `_LONGEST_S`."""

_LONGEST_S = 2.0
"""After so long the next version is removed in another transaction: the catalog's writers wait."""

_CONNECT_S, _ANSWER_S = 3.0, 10.0
"""How long a server may take in a transaction: even one that hangs ends it before writers give up,
for removing a version takes two requests."""

_ATTEMPTS = 4
_PAUSE_S = 2.0
"""What did not answer is asked again so often, after so long, longer each time."""

_EVER = ("good", "damaged", "missing", "removed")

_ORDER: dict[str, int] = {kind: number for number, kind in enumerate(REMOVE_ORDER)}


@dataclass(slots=True)
class Sweep:
    """What the removal of outdated versions came to.

    Attributes:
        store: Store name.
        removed: Versions whose lock had ended and that are gone, by a second listing.
        locked: Versions that stay until their lock ends, or as long as a hold keeps them.
        holds: Holds that keep what the primary gave up; nothing was removed then.
        problem: Why nothing was removed; None if nothing was in the way.
    """

    store: str
    removed: int
    locked: int
    holds: tuple[str, ...] = ()
    problem: str | None = None


def sweep(site: Site, name: str, stores: list[str], *, occasion: Occasion = BY_HAND) -> list[Sweep]:
    """Remove versions the primary no longer needs once their lock has ended.

    Removal is proved by a second listing. The newest rightful version of anything the primary
    needs is never touched. What a snapshot or index may need stays as long as that does: all the
    primary gave up together with it or later, and all else too if the bucket lacked something when
    the primary gave it up. Everything stays as long as a snapshot there is on hold that the primary
    gave up: which packs it needs nobody can tell.

    Raises:
        RefusedError: No sweeper credential is configured, or the clock is not to be trusted.
    """
    if site.bucket_config(name).sweeper is None:
        raise RefusedError(
            f"copy {name}: no sweeper credential is configured",
            hint=f"add [copies.{name}.sweeper], or use a life-cycle rule on the bucket",
        )
    results = []
    for store in stores:
        with (
            run(site, "sweep", store=store, occasion=occasion) as current,
            current.step("sweep", copy=name),
        ):
            check_clock(current, store)
            results.append(_sweep(current, name, site.repository(store)))
    return results


def _sweep(current: Run, name: str, repository: RepositoryRow) -> Sweep:
    from orchestrator.engines.bucket.bucket import Bucket

    site = current.site
    key = (name, "", repository.id)
    obsolete = observe.removed_from_primary(site, repository.id)
    with site.bucket(name) as bucket:
        seen = _look(site, bucket, name, repository, obsolete)
        if seen.lacking:
            # What replaced the outdated packs is not there yet: they may be the last of their kind.
            problem = (
                f"copy {name}: nothing was removed, for {seen.lacking} files of the primary are "
                f"not there: orchestrator replicate {name}"
            )
            current.fell_short(problem)
            return Sweep(repository.store, 0, len(seen.outdated), problem=problem)
        with Bucket(_quick(bucket), site.clock) as quick:
            locked, held = _remove(site, quick, repository, seen)
        left = [v for v in bucket.versions(repository.name) if v.parsed in obsolete]
    names = {version.parsed for version in left}
    outdated = [version for version, _ in seen.outdated]
    gone = {v.parsed for v in outdated if v.parsed is not None and v.parsed not in names}
    removed = len({v.version_id for v in outdated} - {v.version_id for v in left})
    with site.catalog.transaction() as session:
        copies.mark_removed(session, key, gone, now=site.clock.now())
        facts.put(session, f"sweep:{name}", value=str(removed), now=site.clock.now())
    current.metrics.update(removed=removed, locked=locked, holds=list(held))
    return Sweep(repository.store, removed, locked, held)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a bucket lists of a repository.

    Attributes:
        outdated: Versions of what the primary gave up, with the time it did, in the order in
            which they may go.
        snapshots: Snapshots there that the primary does not have.
        lacking: How many files of the primary are not there.
        never_sent: From when to when the primary had each file that it gave up and that never was
            there.
    """

    outdated: list[tuple[VersionFact, datetime]]
    snapshots: frozenset[str]
    lacking: int
    never_sent: tuple[tuple[datetime, datetime], ...] = ()


def _look(
    site: Site,
    bucket: Bucket,
    name: str,
    repository: RepositoryRow,
    obsolete: Mapping[FileKey, datetime],
) -> _Seen:
    primary = (site.config.primary.name, "", repository.id)
    with site.catalog.reading() as session:
        needed = {(row.kind, row.name) for row in copies.inventory(session, primary)}
        never_sent = _never_sent(session, primary, (name, "", repository.id))
    snapshots, lacking = set(), set(needed)
    outdated: list[tuple[VersionFact, datetime]] = []
    for version in bucket.versions(repository.name):
        if version.parsed is None:
            continue
        if not version.is_marker:
            lacking.discard(version.parsed)
        if version.parsed in obsolete:
            outdated.append((version, obsolete[version.parsed]))
        if version.parsed[0] == "snapshots" and version.parsed not in needed:
            snapshots.add(version.parsed[1])
    outdated.sort(key=lambda one: _rank(one[0]))
    return _Seen(outdated, frozenset(snapshots), len(lacking), never_sent)


def _never_sent(
    session: Session, primary: copies.CopyKey, key: copies.CopyKey
) -> tuple[tuple[datetime, datetime], ...]:
    sent = {(row.kind, row.name) for row in copies.inventory(session, key, states=_EVER)}
    return tuple(
        (row.stored_at, row.removed_at)
        for row in copies.inventory(session, primary, states=("removed",))
        if row.removed_at is not None and (row.kind, row.name) not in sent
    )


def _remove(
    site: Site, bucket: Bucket, repository: RepositoryRow, seen: _Seen
) -> tuple[int, tuple[str, ...]]:
    """Remove what may go; returns how many versions stay, and the holds that keep them.

    Some at a time, each time with the gate shut: a hold that is placed meanwhile keeps the rest.
    What the server did not answer is tried again with the gate open.
    """
    from orchestrator.engines.bucket.faults import is_passing

    work = _Work(bucket, seen)
    tried = 0
    while work.left:
        site.check_stop()
        try:
            with guard.guarded(site) as session:
                held = guard.held_among(site, session, repository.id, seen.snapshots)
                if held:
                    ids = {one for holds in held.values() for one in holds}
                    return work.locked + len(work.left), tuple(sorted(ids))
                work.some(site.clock)
        except OrchestratorError as error:
            tried += 1
            if tried >= _ATTEMPTS or not is_passing(error):
                raise
            site.stop.wait(_PAUSE_S * tried)
        else:
            tried = 0
    return work.locked, ()


def _quick(bucket: Bucket) -> BucketSettings:
    """Return the settings of a bucket that is asked while the catalog's writers wait."""
    return replace(
        bucket.settings,
        connect_timeout_s=_CONNECT_S,
        read_timeout_s=_ANSWER_S,
        attempts=1,
    )


class _Work:
    """The outdated versions that are left, and how many have to stay.

    Args:
        bucket: Where they are.
        seen: What it lists.
    """

    def __init__(self, bucket: Bucket, seen: _Seen) -> None:
        self.left = deque(seen.outdated)
        self.locked = 0
        self._bucket = bucket
        self._staying = _Staying(seen.never_sent)

    def some(self, clock: Clock) -> None:
        """Remove a few, as many as take no longer than others should wait.

        Raises:
            OrchestratorError: The server did not do it; what it did is done.
        """
        until = clock.monotonic() + _LONGEST_S
        for _ in range(min(_AT_ONCE, len(self.left))):
            self._one(*self.left[0])
            self.left.popleft()
            if clock.monotonic() >= until:
                return

    def _one(self, version: VersionFact, given_up: datetime) -> None:
        rank = _rank(version)
        if self._staying.may_need(rank, given_up):
            self.locked += 1
            return
        try:
            self._bucket.sweep(version)
        except RefusedError:
            self.locked += 1
            self._staying.add(rank, given_up)
        except NotFoundError:
            pass  # it went although the answer was lost; a second listing proves it


class _Staying:
    """Snapshots and indexes that are still locked, and what they may need.

    The primary gives up a pack with the last snapshot that needs it, or later: what it gave up
    before a snapshot is nothing to that snapshot. So nightly snapshots, each with its own lock,
    never keep what is older than they are. But where a prune had put blobs into another pack that
    never came here, the snapshot has them in the old one only.

    Args:
        never_sent: As `_Seen.never_sent`.
    """

    def __init__(self, never_sent: Sequence[tuple[datetime, datetime]] = ()) -> None:
        self._never_sent = never_sent
        self._since: dict[int, datetime] = {}

    def add(self, rank: int, given_up: datetime) -> None:
        if any(since < given_up <= until for since, until in self._never_sent):
            given_up = datetime.min.replace(tzinfo=UTC)
        self._since[rank] = min(given_up, self._since.get(rank, given_up))

    def may_need(self, rank: int, given_up: datetime) -> bool:
        return any(before < rank and since <= given_up for before, since in self._since.items())


def _rank(version: VersionFact) -> int:
    # What is of no known kind waits for everything else.
    kind = version.parsed[0] if version.parsed is not None else ""
    return _ORDER.get(kind, len(_ORDER))
