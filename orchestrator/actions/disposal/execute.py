"""Executing an approved disposal: backup, decide again, store, primary, replicas.

The one way back is before the transaction that begins it. From then on it goes forward: whatever
cuts it off, the next run goes on where it was, and only a hold takes a study back out, as long as
the snapshots still have it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from orchestrator.actions.backup import back_up
from orchestrator.actions.clock_trust import check_clock, demand_clock
from orchestrator.actions.disposal import beginning, suppression, withdrawal
from orchestrator.actions.disposal.begun import record_begun
from orchestrator.actions.disposal.decide_batch import demand_executable
from orchestrator.actions.disposal.forward import forward
from orchestrator.actions.disposal.live import LiveDisposal
from orchestrator.actions.disposal.outcome import Execution, StoreExecution
from orchestrator.actions.disposal.primary import PrimaryDisposal
from orchestrator.actions.disposal.reopen import reopen
from orchestrator.actions.holds import guard
from orchestrator.actions.ledger.record import Event, announced
from orchestrator.actions.replicate import replicate
from orchestrator.actions.run import BY_HAND, Occasion, run
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.catalog import disposals
from orchestrator.catalog.disposals import (
    DUE,
    LIVE_REMOVED,
    OPEN,
    PRIMARY_REMOVED,
    SUPPRESSED,
    WITHHELD,
    CopyKey,
)
from orchestrator.errors import OrchestratorError, RefusedError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.catalog.disposal_tables import Disposal

ACTION = "disposal"

_log = logging.getLogger(__name__)


def execute(
    site: Site, disposal_id: str, *, dry_run: bool, occasion: Occasion = BY_HAND
) -> Execution:
    """Execute an approved disposal, or go on with one that was begun.

    Args:
        site: The site.
        disposal_id: Id of the disposal.
        dry_run: Only say what would go.
        occasion: Why it happens.

    Raises:
        NotFoundError: There is no such disposal.
        RefusedError: It may not be executed now, or not by this actor.
        StoreUnavailableError: A store is not really there.
        DamageError: A primary is damaged, or not proved to be free.
        LockedError: Another run is at work.
        OrchestratorError: Anything else; what was begun goes on with the next run.
    """
    site.demand_role("compliance", "custodian", "operator")
    with site.catalog.reading() as session:
        row = disposals.get(session, disposal_id)
    if row.state in OPEN and not dry_run:
        if not _unfinished(site, disposal_id):  # else the rows are those of what is under way
            reopen(site, disposal_id)
        return _go_on(site, disposal_id, occasion)
    demand_executable(site, row)
    demand_clock(site)
    if dry_run:
        return _would_go(site, row)
    if site.actor == SYSTEM:
        raise RefusedError(
            f"disposal {disposal_id}: a person begins it, not the scheduler", hint="use --as ACTOR"
        )
    for result in back_up(site, _stores(site, disposal_id, (DUE,)), occasion=occasion):
        if result.error is not None:
            raise result.error
    return _perform(site, disposal_id, occasion, is_first=True)


def resume(site: Site, disposal_id: str, *, occasion: Occasion = BY_HAND) -> Execution:
    """Go on with a disposal that was begun; does nothing where it is done, or a hold stops it.

    Args:
        site: The site.
        disposal_id: Id of the disposal.
        occasion: Why it happens.

    Raises:
        As `execute`.
    """
    return _go_on(site, disposal_id, occasion, may_be_paused=True)


def _go_on(
    site: Site, disposal: str, occasion: Occasion, *, may_be_paused: bool = False
) -> Execution:
    with site.catalog.reading() as session:
        row = disposals.get(session, disposal)
    nothing = Execution(disposal, dry_run=False)
    if row.state not in OPEN or not _unfinished(site, disposal):
        if row.paused is not None and not may_be_paused:
            # Nothing is done, which is no success.
            raise RefusedError(
                f"disposal {row.id} is paused by hold {row.paused}", hint="orchestrator hold list"
            )
        return nothing
    _keep_held(site, disposal)
    if not _unfinished(site, disposal):
        return nothing
    with site.catalog.reading() as session:
        row = disposals.get(session, disposal)
    if row.paused is not None and may_be_paused:
        return nothing
    demand_executable(site, row)
    demand_clock(site)
    return _perform(site, disposal, occasion, is_first=False)


def _perform(site: Site, disposal: str, occasion: Occasion, *, is_first: bool) -> Execution:
    result = Execution(disposal, dry_run=False)
    intent = {"disposal": disposal, "resumed": not is_first}
    with announced(site, Event("disposal.execute", intent)) as outcome:
        if is_first:
            begun = beginning.begin(site, disposal)
            for store, reasons in begun.withheld.items():
                result.of(store).kept.update(reasons)
        record_begun(site, disposal)
        published = suppression.publish(site)
        for name in published.outstanding:
            _log.warning("copy %s has not got the list of disposed studies yet", name)
        taken_up = _taken_up(site, disposal)
        try:
            for store in _unfinished(site, disposal):
                _one_store(site, disposal, result.of(store), occasion)
        finally:
            _count_going(site, disposal, result, taken_up)
            outcome.update(result.summary())
    _follow(site, disposal, result, occasion)
    return result


def _taken_up(site: Site, disposal: str) -> set[tuple[str, str]]:
    """Return the studies that a run finds not gone yet, by store and pseudonym."""
    with site.catalog.reading() as session:
        rows = disposals.studies(
            session, disposal, states=(SUPPRESSED, LIVE_REMOVED, PRIMARY_REMOVED)
        )
    unfinished = set(_unfinished(site, disposal))
    return {(row.store, row.study_key) for row in rows if row.store in unfinished}


def _count_going(
    site: Site, disposal: str, result: Execution, taken_up: Collection[tuple[str, str]]
) -> None:
    """Count what goes: of the studies that were taken up those that nothing has kept since."""
    with site.catalog.reading() as session:
        for row in disposals.studies(session, disposal):
            if (row.store, row.study_key) in taken_up and row.state != WITHHELD:
                result.of(row.store).count(row.files, row.size_bytes)


def _one_store(site: Site, disposal: str, result: StoreExecution, occasion: Occasion) -> None:
    with run(site, ACTION, store=result.store, occasion=occasion) as current:
        check_clock(current, result.store)
        repository = site.repository(result.store)
        lock = current.lock
        engine = site.primary_engine(
            result.store, repository.name, lock_fd=lock.fd if lock is not None else None
        )
        with current.step("live"):
            removed = LiveDisposal(current, repository, disposal).perform()
        result.removed_live, result.files_removed = removed.studies, removed.files
        result.kept.update(removed.kept.values())
        for problem in removed.stuck:
            words = f"store {result.store}: {problem}"
            result.problems.append(words)
            current.fell_short(words)
        done = PrimaryDisposal(current, repository, engine, disposal).perform()
        result.removed_primary, result.snapshots = done.studies, done.snapshots
        result.kept.update(done.kept.values())
        current.metrics.update(studies=done.studies, files=removed.files, snapshots=done.snapshots)


def _follow(site: Site, disposal: str, result: Execution, occasion: Occasion) -> None:
    """Let the replicas follow, and say what is left; neither undoes what is done."""
    for store in result.stores:
        result.problems += store.problems
        if not store.removed_primary:
            continue
        try:
            replicate(site, [store.store], occasion=occasion)
        except StoppedError:
            raise
        except OrchestratorError as error:
            result.problems.append(f"store {store.store}: {error.message}")
    result.problems += forward(site, disposal).problems


def _keep_held(site: Site, disposal: str) -> None:
    """Take studies that are on hold out of a disposal while the snapshots still have them."""
    kept: dict[str, dict[str, str]] = {}
    with guard.guarded(site) as session:
        for store in _stores_in(disposals.counts(session, disposal), (SUPPRESSED, LIVE_REMOVED)):
            rows = disposals.studies(
                session, disposal, store=store, states=(SUPPRESSED, LIVE_REMOVED)
            )
            keys = [row.study_key for row in rows]
            held = guard.held_studies(site, session, store, keys)
            kept[store] = dict.fromkeys(held, withdrawal.ON_HOLD)
            withdrawal.withdraw(site, session, disposal, store, kept[store])
    for store, reasons in kept.items():
        withdrawal.tell(site, disposal, store, reasons)


def _unfinished(site: Site, disposal: str) -> list[str]:
    """Return the stores in which store or primary are not done."""
    primary = site.config.primary.name
    with site.catalog.reading() as session:
        counts = disposals.counts(session, disposal)
        left = set(_stores_in(counts, (SUPPRESSED, LIVE_REMOVED)))
        for store in _stores_in(counts, (PRIMARY_REMOVED,)):
            row = disposals.copy_row(session, CopyKey(disposal, store, primary))
            if row is None or row.state != disposals.ABSENT:
                left.add(store)
    return sorted(left & set(site.config.stores))


def _stores(site: Site, disposal: str, states: Iterable[str]) -> list[str]:
    with site.catalog.reading() as session:
        return _stores_in(disposals.counts(session, disposal), states)


def _stores_in(counts: Mapping[tuple[str, str], int], states: Iterable[str]) -> list[str]:
    wanted = set(states)
    return sorted({store for (store, state), count in counts.items() if state in wanted and count})


def _would_go(site: Site, row: Disposal) -> Execution:
    """Decide again and say what would go, as of the last backup."""
    result = Execution(row.id, dry_run=True)
    with site.catalog.reading() as session:
        if row.state in OPEN:
            for one in disposals.studies(session, row.id, states=(SUPPRESSED, LIVE_REMOVED)):
                result.of(one.store).count(one.files, one.size_bytes)
            return result
        for store, chosen in beginning.decide_again(site, session, row).items():
            share = result.of(store)
            for facts in chosen.going:
                share.count(facts.files, facts.size_bytes)
            share.kept.update(chosen.withheld.values())
    return result
