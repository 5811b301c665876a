"""Snapshot rotation: which snapshots go is restic's policy, that they may go is ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions import primary
from orchestrator.actions.clock_trust import check_clock
from orchestrator.actions.holds import guard
from orchestrator.actions.lock import removing
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import runs, snapshots
from orchestrator.engines.restic.argv_upkeep import KeepPolicy
from orchestrator.errors import LockedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository

_POLL_S = 1.0


@dataclass(slots=True)
class Rotation:
    """What a rotation did, or would do, for one store.

    Attributes:
        store: Name.
        run: Run id.
        keep: Ids of the data snapshots that stay, with restic's reasons.
        remove: Ids of the data snapshots that go.
        leftovers: Ids of snapshots, of any kind, that runs which failed or were cut off have left;
            a newer whole one makes them useless, and they go.
        dry_run: Nothing was changed.
        files_removed: Files that left the primary.
    """

    store: str
    run: str
    keep: dict[str, list[str]] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    dry_run: bool = True
    files_removed: int = 0


def rotate(
    site: Site, stores: list[str], *, dry_run: bool, occasion: Occasion = BY_HAND
) -> list[Rotation]:
    """Forget snapshots no rule keeps, and prune the primary; replicas follow at their next turn.

    Args:
        site: The site.
        stores: Store names.
        dry_run: Only say what would go.
        occasion: Why it happens.

    Raises:
        RefusedError: The clock is not to be trusted.
        LockedError: The store is at work, or somebody reads its copies.
    """
    results = []
    for store in stores:
        with run(site, "rotate", store=store, occasion=occasion) as current:
            result = Rotation(store, current.id, dry_run=dry_run)
            check_clock(current, store)
            repository = site.repository(store)
            lock = current.lock
            engine = site.primary_engine(
                store, repository.name, lock_fd=lock.fd if lock is not None else None
            )
            with current.step("look"):
                primary.make_ready(current, repository, engine)
                if not dry_run:
                    primary.demand_pruned(current, repository)
            with current.step("plan"):
                _plan(site, repository, engine, result)
            if not dry_run and (result.remove or result.leftovers):
                with current.step("rotate"), alone(site, store, occasion.wait_s):
                    result.files_removed = _apply(current, repository, engine, result)
            current.metrics.update(
                removed=len(result.remove),
                leftovers=len(result.leftovers),
                files=result.files_removed,
            )
            results.append(result)
    return results


@contextmanager
def alone(site: Site, store: str, wait_s: float) -> Iterator[None]:
    """Wait until nobody reads the store's copies, and keep readers out.

    Raises:
        LockedError: Somebody still reads after `wait_s` seconds.
        StoppedError: The work was told to stop meanwhile.
    """
    until = site.clock.monotonic() + wait_s
    while True:
        with removing(site.lock_dir, store) as is_alone:
            if is_alone:
                yield
                return
        if site.clock.monotonic() >= until:
            raise LockedError(
                f"store {store}: a check or restore is reading its copies",
                hint="try again when it has ended",
            )
        site.stop.wait(_POLL_S)
        site.check_stop()


def _plan(site: Site, repository: RepositoryRow, engine: Repository, result: Rotation) -> None:
    """Ask restic, then keep the floor and the newest complete snapshot whatever it says."""
    wanted = site.config.rotation
    plan = engine.forget_plan(
        KeepPolicy(
            last=wanted.keep_last,
            daily=wanted.keep_daily,
            weekly=wanted.keep_weekly,
            monthly=wanted.keep_monthly,
            yearly=wanted.keep_yearly,
        ),
        tags=["data", f"store={repository.store}"],
    )
    with site.catalog.reading() as session:
        newest = snapshots.newest_complete(
            session, repository.store, now=site.clock.now(), repository_id=repository.id
        )
        known = {row.id: row.at for row in snapshots.of_store(session, repository.store)}
    # A snapshot the catalog does not know is a stranger: it stays until a person has looked.
    removable = sorted(
        (row for row in plan if not row.keep and row.snapshot_id in known),
        key=lambda row: known[row.snapshot_id],
    )
    result.keep = {row.snapshot_id: list(row.reasons) for row in plan if row.keep}
    # Strangers do not count for the floor: it is ours that must be left.
    floor = max(wanted.minimum - sum(one in known for one in result.keep), 0)
    spared = removable[len(removable) - floor :] if floor else []
    for row in spared:
        result.keep[row.snapshot_id] = [f"one of the newest {wanted.minimum}"]
    for row in removable[: len(removable) - len(spared)]:
        if newest is not None and row.snapshot_id == newest.id:
            result.keep[row.snapshot_id] = ["the newest complete snapshot"]
        else:
            result.remove.append(row.snapshot_id)
    with site.catalog.reading() as session:
        _spare_held(site, session, repository, result)
        concerned = guard.concerning(session, site, repository.store)
    # Nobody has looked into what a failed run left: it may hold anything of its store.
    if newest is not None and not concerned:
        result.leftovers = _leftovers(site, repository, engine, newest.at)


def _spare_held(site: Site, session: Session, repository: RepositoryRow, result: Rotation) -> None:
    """Keep what a hold keeps, whatever the rotation says."""
    held = guard.held_by(site, session, repository.id)
    for snapshot in [one for one in result.remove if one in held]:
        result.remove.remove(snapshot)
        result.keep[snapshot] = [guard.in_words(held[snapshot])]


def _leftovers(
    site: Site, repository: RepositoryRow, engine: Repository, before: datetime
) -> list[str]:
    """Find snapshots of runs of ours that never committed them, older than a whole one."""
    there = engine.snapshots(tags=[f"store={repository.store}"])
    found = []
    with site.catalog.reading() as session:
        known = {
            row.id
            for row in snapshots.of_store(session, repository.store, kind=None, forgotten=True)
        }
        for snapshot in there:
            names = [tag.removeprefix("run=") for tag in snapshot.tags if tag.startswith("run=")]
            if snapshot.id in known or len(names) != 1:
                continue
            row = runs.get(session, names[0])
            if row is None or row.store != repository.store or row.started_at >= before:
                continue
            if row.outcome in ("failed", "interrupted"):
                found.append(snapshot.id)
    return found


def _apply(current: Run, repository: RepositoryRow, engine: Repository, result: Rotation) -> int:
    site = current.site
    primary.open_rotation(site, repository, [*result.remove, *result.leftovers])
    # A hold is placed before this transaction, and obeyed, or after it. What restic forgets in it
    # takes a second; what nothing names any more is pruned later.
    with guard.guarded(site) as session:
        _spare_held(site, session, repository, result)
        if guard.concerning(session, site, repository.store):
            result.leftovers = []
        known = snapshots.of_store(session, repository.store, kind=None)
        gone_runs = {row.run_id for row in known if row.id in result.remove}
        companions = [
            row.id for row in known if row.kind in ("manifest", "state") and row.run_id in gone_runs
        ]
        ids = [*result.remove, *companions, *result.leftovers]
        if ids:
            engine.forget(ids)
            snapshots.mark_forgotten(session, ids, run_id=current.id, now=site.clock.now())
    return len(primary.finish_rotation(current, repository, engine))
