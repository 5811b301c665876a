"""One run: lock, start row, steps, outcome. Every command that changes something is one."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.actions import run_ids
from orchestrator.actions.lock import StoreLock, is_marked, locked, marked, run_mark
from orchestrator.actions.site import Site
from orchestrator.catalog import runs
from orchestrator.catalog.runs import Outcome
from orchestrator.catalog.tables import Run as RunRow
from orchestrator.engines.orphans import reap_recorded
from orchestrator.errors import OrchestratorError, RefusedError, StoppedError

_log = logging.getLogger(__name__)

EXCLUSIVE_ACTIONS = frozenset({"backup", "replicate", "rotate", "sweep", "rebuild", "disposal"})
"""Actions that hold their store's lock from start to end."""

EXIT_CODE_OF: dict[str, int] = {
    "succeeded": 0,
    "partial": 3,
    "failed": 1,
    "refused": 5,
    "interrupted": 130,
}


@dataclass
class Run:
    """A run that is under way.

    Attributes:
        id: Sorts by time of start.
        site: What it works with.
        action: The kind of work.
        started_at: When it began.
        lock: The store's lock, if the run is exclusive.
        metrics: Counts and durations for the record.
        shortfalls: Why the outcome is `partial`; empty if nothing fell short.
    """

    id: str
    site: Site
    action: str
    started_at: datetime
    lock: StoreLock | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    shortfalls: list[str] = field(default_factory=list)

    def fell_short(self, reason: str) -> None:
        """Note that something was not done; the outcome is then at best `partial`."""
        self.shortfalls.append(reason)

    @property
    def outcome(self) -> Outcome:
        """The outcome as it stands."""
        return "partial" if self.shortfalls else "succeeded"

    @contextmanager
    def step(self, name: str, *, copy: str | None = None) -> Iterator[None]:
        """Record one step with its outcome; an exception makes it failed and goes on up."""
        self.site.check_stop()
        self.site.progress.step(name if copy is None else f"{name} · {copy}")
        catalog, clock = self.site.catalog, self.site.clock
        # Steps explain a run; what they did is in the records that follow, which do wait.
        with catalog.transaction(may_be_lost=True) as session:
            seq = runs.add_step(session, self.id, name=name, copy=copy, now=clock.now())
        outcome: Outcome = "failed"
        detail = None
        try:
            yield
            outcome = "succeeded"
        except OrchestratorError as error:
            outcome = _outcome_of(error)
            detail = error.message
            raise
        finally:
            with catalog.transaction(may_be_lost=True) as session:
                runs.finish_step(
                    session, self.id, seq=seq, now=clock.now(), outcome=outcome, detail=detail
                )


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a run happens.

    Attributes:
        job: Name of the job it belongs to; None for a command.
        slot: The job's slot.
        wait_s: How long to wait for a store's lock, in seconds.
        attempt: How often this slot was begun, this time included.
    """

    job: str | None = None
    slot: str | None = None
    wait_s: float = 0
    attempt: int = 1


BY_HAND = Occasion()


@contextmanager
def run(
    site: Site,
    action: str,
    *,
    store: str | None = None,
    exclusive: bool = True,
    occasion: Occasion = BY_HAND,
) -> Iterator[Run]:
    """Hold the lock, record start and end, and settle what earlier runs left unfinished.

    Args:
        site: What to work with.
        action: The kind of work.
        store: The store it is about; None if it is about none.
        exclusive: Whether the store's repositories may be changed; its lock is then held.
        occasion: Why it happens.

    Raises:
        LockedError: Another run holds one of the locks.
        StoppedError: The work was told to stop while it waited for one.
    """
    now = site.clock.now()
    run_id = run_ids.fresh(now)
    with ExitStack() as stack:
        # The mark comes before the lock: a lock without one belongs to a dead run.
        stack.enter_context(marked(site.lock_dir, run_mark(run_id)))
        lock = None
        if store is not None and exclusive:
            lock = stack.enter_context(
                locked(
                    site.lock_dir,
                    store,
                    run_id,
                    clock=site.clock,
                    end_leftovers=lambda: reap_recorded(site.engine_dir / store),
                    stop=site.stop,
                    wait_s=occasion.wait_s,
                )
            )
            with site.catalog.reading() as session:
                in_order = run_ids.after(run_id, runs.latest_id(session, store))
            if in_order != run_id:
                run_id = in_order
                stack.enter_context(marked(site.lock_dir, run_mark(run_id)))
                lock.note_holder(run_id)
        close_unfinished(site)
        with site.catalog.transaction() as session:
            runs.start(
                session,
                RunRow(
                    id=run_id,
                    action=action,
                    store=store,
                    job=occasion.job,
                    slot=occasion.slot,
                    actor=site.actor,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    started_at=now,
                    metrics={},
                    attempt=occasion.attempt,
                ),
            )
        current = Run(run_id, site, action, now, lock)
        try:
            yield current
            _account_for(current)
        except OrchestratorError as error:
            _finish(current, _outcome_of(error), error.message)
            raise
        except BaseException as error:
            _finish(current, "failed", f"unexpected {type(error).__name__}")
            raise
        _finish(current, current.outcome, "; ".join(current.shortfalls) or None)


def _account_for(current: Run) -> None:
    """Bring the ledger up to date at the end of a run; if that fails, the run is `partial`.

    What was done is not undone for it: a backup that cannot be recorded is a backup.
    """
    from orchestrator.actions.ledger.events import RECORDED_ACTIONS, record_happenings

    if current.action not in RECORDED_ACTIONS:
        return
    try:
        record_happenings(current.site, ending=current.id)
    except OrchestratorError as error:
        _log.error("the ledger was not written: %s", error.message)
        current.fell_short(f"the ledger was not written: {error.message}")


def _finish(current: Run, outcome: Outcome, reason: str | None) -> None:
    site = current.site
    current.metrics["duration_s"] = round(
        (site.clock.now() - current.started_at).total_seconds(), 3
    )
    with site.catalog.transaction() as session:
        runs.finish(
            session,
            current.id,
            outcome=outcome,
            reason=reason,
            metrics=current.metrics,
            now=site.clock.now(),
        )
    _log.info("run %s: %s %s", current.id, current.action, outcome)


def _outcome_of(error: OrchestratorError) -> Outcome:
    if isinstance(error, StoppedError):
        return "interrupted"
    if isinstance(error, RefusedError):
        return "refused"
    return "failed"


def close_unfinished(site: Site) -> list[str]:
    """Close runs that a crash left open as `interrupted`.

    Returns:
        Ids of the runs that were closed.
    """
    with site.catalog.reading() as session:
        open_runs = list(runs.unfinished(session))
    dead = [row for row in open_runs if not _is_alive(site, row)]
    if dead:
        with site.catalog.transaction() as session:
            for row in dead:
                runs.finish(
                    session,
                    row.id,
                    outcome="interrupted",
                    reason="found unfinished at the start of a later run",
                    metrics=row.metrics,
                    now=site.clock.now(),
                )
    return [row.id for row in dead]


def _is_alive(site: Site, row: RunRow) -> bool:
    if site.config.catalog.url is not None and row.host != socket.gethostname():
        # Another host's run on a shared catalog: only that host can know.
        return True
    return is_marked(site.lock_dir, run_mark(row.id))
