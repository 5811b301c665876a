"""Doing what a job says: one plain function per action, unaware of any scheduler."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator import schedule
from orchestrator.actions import backup, bucket, check, replicate, rotate, status
from orchestrator.actions.run import Occasion, close_unfinished
from orchestrator.actions.site import Site
from orchestrator.catalog import runs, slots
from orchestrator.catalog.tables import Run
from orchestrator.config.jobs import Action, Job
from orchestrator.errors import OrchestratorError, StoppedError

WAIT_FOR_LOCK_S = 4 * 3600.0
"""A scheduled job waits for another run of its store rather than being dropped."""

LONGEST_LOOK_BACK = timedelta(days=400)
"""How far back the first slot of a job that never ran is looked for."""

ORDER: tuple[Action, ...] = (
    "backup",
    "replicate",
    "extend",
    "check",
    "probe",
    "rotate",
    "status",
)
"""In which order jobs that are due at the same time run."""


@dataclass(slots=True)
class JobResult:
    """How one execution of a job ended.

    Attributes:
        job: Name.
        slot: The slot it was for; None if it was run by hand.
        outcome: The worst outcome among its runs.
        message: Why it is not `succeeded`; None if it is.
        exit_code: What the command line answers.
        runs: Ids of the runs it was made of, newest first; none for `status`.
    """

    job: str
    slot: str | None
    outcome: str
    message: str | None
    exit_code: int
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job with when it ran and will run.

    Attributes:
        job: The definition.
        last_slot: The newest slot that was claimed; None for none.
        last_outcome: How that ended; None if it has not.
        next_at: The next slot.
    """

    job: Job
    last_slot: str | None
    last_outcome: str | None
    next_at: datetime


def listing(site: Site, jobs: dict[str, Job]) -> list[JobFacts]:
    """Return every job with its last and its next slot."""
    now = site.clock.now()
    found = []
    with site.catalog.reading() as session:
        for job in jobs.values():
            last = slots.last_slot(session, job.name)
            next_at = schedule.next_due(job.schedule, site.config.timezone, now)
            found.append(
                JobFacts(
                    job,
                    last.slot if last is not None else None,
                    last.outcome if last is not None else None,
                    next_at,
                )
            )
    return found


def due_slot(site: Site, job: Job) -> str | None:
    """Return the newest slot of a job that is due and nobody has claimed; None if there is none.

    After a pause, however long, one slot is due: the newest. A job that has never run is due at
    once, for its newest slot in the past: a new site wants its first backup now.
    """
    now = site.clock.now()
    with site.catalog.reading() as session:
        last = slots.last_slot(session, job.name)
    after = now - LONGEST_LOOK_BACK if last is None else datetime.fromisoformat(last.slot)
    # The clock was wrong once: a slot in the future must not silence the job until then.
    after = min(after, now)
    due = schedule.latest_due(job.schedule, site.config.timezone, after, now)
    return None if due is None else slot_name(due)


def slot_name(at: datetime) -> str:
    """Return a slot as text; slots of one job sort by time."""
    return at.isoformat(timespec="seconds")


def run_slot(site: Site, job: Job, slot: str) -> JobResult | None:
    """Claim a slot and do the job; None if somebody else has claimed it."""
    with site.catalog.transaction() as session:
        if not slots.claim(session, job.name, slot=slot, run_id=None, now=site.clock.now()):
            return None
    result = run_job(site, job, slot=slot)
    with site.catalog.transaction() as session:
        slots.finish(session, job.name, slot=slot, outcome=result.outcome, now=site.clock.now())
    return result


def run_job(site: Site, job: Job, *, slot: str | None = None) -> JobResult:
    """Do a job now; never raises for what goes wrong in it.

    Args:
        site: A site of its own: its stop flag is set when the job takes too long.
        job: What to do.
        slot: The slot it is for; None if it is run by hand.
    """
    started = site.clock.now()
    result = _do(site, job, slot)
    with site.catalog.reading() as session:
        found = [run for run in runs.recent(session, limit=200) if run.started_at >= started]
    result.runs = tuple(run.id for run in found if (run.job, run.slot) == (job.name, slot))
    return result


def _do(site: Site, job: Job, slot: str | None) -> JobResult:
    occasion = Occasion(job.name, slot, WAIT_FOR_LOCK_S if slot is not None else 0)
    overdue = threading.Event()

    def give_up() -> None:
        overdue.set()
        site.stop.set()

    watchdog = threading.Timer(job.max_duration.total_seconds(), give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        message = _ACTIONS[job.action](site, job, occasion)
    except StoppedError as error:
        text = f"stopped after {job.max_duration}" if overdue.is_set() else error.message
        return JobResult(job.name, slot, "interrupted", text, error.exit_code)
    except OrchestratorError as error:
        outcome = "refused" if error.exit_code == 5 else "failed"
        return JobResult(job.name, slot, outcome, error.message, error.exit_code)
    finally:
        watchdog.cancel()
    if message is not None:
        return JobResult(job.name, slot, "partial", message, 3)
    return JobResult(job.name, slot, "succeeded", None, 0)


def missed(site: Site) -> list[Run]:
    """Close what a crash left open, and return the runs that were closed."""
    closed = close_unfinished(site)
    with site.catalog.reading() as session:
        found = [runs.get(session, run_id) for run_id in closed]
    return [run for run in found if run is not None]


def _stores(site: Site, job: Job) -> list[str]:
    return [name for name in site.config.stores if job.selects_store(name)]


def _copies(site: Site, job: Job) -> list[str]:
    return [name for name, copy in site.config.copies.items() if job.selects_copy(name, copy.role)]


def _back_up(site: Site, job: Job, occasion: Occasion) -> str | None:
    results = backup.back_up(site, _stores(site, job), copies=_copies(site, job), occasion=occasion)
    return _shortfall([(result.store, result.outcome) for result in results])


def _replicate(site: Site, job: Job, occasion: Occasion) -> str | None:
    first = site.config.primary.name
    names = [name for name in _copies(site, job) if name != first]
    if not names:
        return None
    results = replicate.replicate(site, _stores(site, job), copies=names, occasion=occasion)
    return _shortfall([(result.store, result.outcome) for result in results])


def _check(site: Site, job: Job, occasion: Occasion) -> str | None:
    part = check.slice_of_today(site, job.slices)
    _, results = check.check(
        site, _stores(site, job), names=_copies(site, job), part=part, occasion=occasion
    )
    bad = sorted({result.copy for result in results if result.damaged})
    unread = sorted({r.copy for r in results if r.state == "unknown" or r.detail})
    if bad:
        return f"damage on copy {', '.join(bad)}"
    return f"something to look at on copy {', '.join(unread)}" if unread else None


def _extend(site: Site, job: Job, occasion: Occasion) -> str | None:
    failed = []
    for name in _immutable(site, job):
        _, results = bucket.extend(site, name, _stores(site, job), occasion=occasion)
        failed += [name for result in results if result.failed]
        if site.bucket_config(name).sweeper is not None:
            bucket.sweep(site, name, _stores(site, job), occasion=occasion)
    return f"locks not extended on copy {', '.join(failed)}" if failed else None


def _probe(site: Site, job: Job, occasion: Occasion) -> str | None:
    verdicts = {
        name: bucket.probe(site, name, occasion=occasion)[1].verdict
        for name in _immutable(site, job)
    }
    bad = [f"{name}: {verdict}" for name, verdict in verdicts.items() if verdict != "held"]
    return f"tamper probe: {', '.join(bad)}" if bad else None


def _rotate(site: Site, job: Job, occasion: Occasion) -> str | None:
    rotate.rotate(site, _stores(site, job), dry_run=False, occasion=occasion)
    return None


def _status(site: Site, job: Job, _occasion: Occasion) -> str | None:
    found = status.status(site, _stores(site, job))
    status.record_status(site, found)
    return _shortfall(
        [(one.store, "succeeded" if one.verdict == "met" else one.verdict) for one in found]
    )


def _immutable(site: Site, job: Job) -> list[str]:
    return [name for name in _copies(site, job) if site.config.copies[name].role == "immutable"]


def _shortfall(outcomes: list[tuple[str, str]]) -> str | None:
    bad = [f"store {name}: {outcome}" for name, outcome in outcomes if outcome != "succeeded"]
    return "; ".join(bad) or None


_ACTIONS: dict[Action, Callable[[Site, Job, Occasion], str | None]] = {
    "backup": _back_up,
    "replicate": _replicate,
    "check": _check,
    "extend": _extend,
    "probe": _probe,
    "rotate": _rotate,
    "status": _status,
}
