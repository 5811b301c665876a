"""Doing what a job says: one plain function per action, unaware of any scheduler."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.actions import backup, bucket, check, replicate, rotate, status, sweep
from orchestrator.actions.due import mark_of, take
from orchestrator.actions.ledger import anchor
from orchestrator.actions.lock import marked
from orchestrator.actions.retention.jobs import DO
from orchestrator.actions.run import Occasion, close_unfinished
from orchestrator.actions.site import Site
from orchestrator.actions.targets import copies_of, stores_of
from orchestrator.catalog import runs, slots
from orchestrator.catalog.runs import Outcome
from orchestrator.catalog.tables import Run
from orchestrator.config.jobs import Action, Job
from orchestrator.errors import DamageError, OrchestratorError, StoppedError

WAIT_FOR_LOCK_S = 4 * 3600.0
"""A scheduled job waits for another run of its store rather than being dropped."""


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
        to_be_resumed: It was told to stop before its time: its slot is still due.
    """

    job: str
    slot: str | None
    outcome: str
    message: str | None
    exit_code: int
    runs: tuple[str, ...] = ()
    to_be_resumed: bool = False


@dataclass(frozen=True, slots=True)
class _Shortfall:
    """Why a job did not quite succeed.

    Attributes:
        message: What fell short, on which store or copy.
        exit_code: What the action's own command would answer.
        outcome: What that makes of the job.
    """

    message: str
    exit_code: int = 3
    outcome: Outcome = "partial"


def run_slot(site: Site, job: Job, slot: str) -> JobResult | None:
    """Claim a slot and do the job; None if somebody else has claimed it.

    A slot that is cut off because the work was told to stop stays open, and is due again.
    """
    with marked(site.lock_dir, mark_of(job)) as alone:
        attempt = take(site, job, slot) if alone else None
        if attempt is None:
            return None
        result = run_job(site, job, slot=slot, attempt=attempt)
        if result.to_be_resumed:
            return result
        with site.catalog.transaction() as session:
            slots.finish(session, job.name, slot=slot, outcome=result.outcome, now=site.clock.now())
    return result


def run_job(site: Site, job: Job, *, slot: str | None = None, attempt: int = 1) -> JobResult:
    """Do a job now; never raises for what goes wrong in it.

    Args:
        site: A site of its own: its stop flag is set when the job takes too long.
        job: What to do.
        slot: The slot it is for; None if it is run by hand.
        attempt: How often this slot was begun, this time included.
    """
    started = site.clock.now()
    wait_s = WAIT_FOR_LOCK_S if slot is not None else 0
    result = _do(site, job, Occasion(job.name, slot, wait_s, attempt))
    with site.catalog.reading() as session:
        found = [run for run in runs.recent(session, limit=200) if run.started_at >= started]
    result.runs = tuple(run.id for run in found if (run.job, run.slot) == (job.name, slot))
    return result


def _do(site: Site, job: Job, occasion: Occasion) -> JobResult:
    slot = occasion.slot
    overdue = threading.Event()

    def give_up() -> None:
        overdue.set()
        site.stop.set()

    watchdog = threading.Timer(job.max_duration.total_seconds(), give_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        shortfall = _ACTIONS[job.action](site, job, occasion)
    except StoppedError as error:
        late = overdue.is_set()
        text = f"stopped after max_duration, {job.max_duration}" if late else error.message
        return JobResult(
            job.name, slot, "interrupted", text, error.exit_code, to_be_resumed=not late
        )
    except OrchestratorError as error:
        outcome = "refused" if error.exit_code == 5 else "failed"
        return JobResult(job.name, slot, outcome, error.message, error.exit_code)
    finally:
        watchdog.cancel()
    if shortfall is not None:
        return JobResult(job.name, slot, shortfall.outcome, shortfall.message, shortfall.exit_code)
    return JobResult(job.name, slot, "succeeded", None, 0)


def missed(site: Site) -> list[Run]:
    """Close what a crash left open, and return the runs that were closed."""
    closed = close_unfinished(site)
    with site.catalog.reading() as session:
        found = [runs.get(session, run_id) for run_id in closed]
    return [run for run in found if run is not None]


def _back_up(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    results = backup.back_up(
        site, stores_of(site, job), copies=copies_of(site, job), occasion=occasion
    )
    return _of_stores([(result.store, result.outcome) for result in results])


def _replicate(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    names = copies_of(site, job)
    if not names:
        return None
    results = replicate.replicate(site, stores_of(site, job), copies=names, occasion=occasion)
    return _of_stores([(result.store, result.outcome) for result in results])


def _check(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    part = check.slice_of_today(site, job.slices)
    _, results = check.check(
        site, stores_of(site, job), names=copies_of(site, job), part=part, occasion=occasion
    )
    bad = sorted({result.copy for result in results if result.damaged})
    unread = sorted({r.copy for r in results if r.state == "unknown" or r.detail})
    if bad:
        return _Shortfall(f"damage on copy {', '.join(bad)}", DamageError.exit_code)
    return _Shortfall(f"something to look at on copy {', '.join(unread)}") if unread else None


def _extend(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    def one(name: str) -> _Shortfall | None:
        stores = stores_of(site, job)
        _, results = bucket.extend(site, name, stores, occasion=occasion)
        if site.bucket_config(name).sweeper is not None:
            swept = sweep.sweep(site, name, stores, occasion=occasion)
            problem = next((one.problem for one in swept if one.problem is not None), None)
            if problem is not None:
                return _Shortfall(problem)
        failed = sum(result.failed for result in results)
        return _Shortfall(f"copy {name}: {failed} locks not extended") if failed else None

    return _each(copies_of(site, job), one)


def _probe(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    def one(name: str) -> _Shortfall | None:
        verdict = bucket.probe(site, name, occasion=occasion)[1].verdict
        if verdict == "held":
            return None
        code = DamageError.exit_code if verdict == "breached" else 3
        return _Shortfall(f"copy {name}: tamper probe {verdict}", code)

    return _each(copies_of(site, job), one)


def _drill(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    from orchestrator.actions.drills.jobs import drill_all
    from orchestrator.actions.drills.status import WORDS

    results = drill_all(site, job, occasion)
    bad = [result for result in results if result.verdict != "verified"]
    if not bad:
        return None
    words = "; ".join(
        f"store {one.store}, copy {one.copy}: {WORDS[one.verdict]}: {one.reason}" for one in bad
    )
    codes = {one.exit_code for one in bad}
    code = DamageError.exit_code if DamageError.exit_code in codes else max(codes)
    ran = any(result.verdict != "could_not_run" for result in results)
    return _Shortfall(words, code, "partial" if ran else "failed")


def _purge_cache(site: Site, _job: Job, occasion: Occasion) -> _Shortfall | None:
    from orchestrator.actions import purge_cache

    def one(name: str) -> _Shortfall | None:
        done = purge_cache.purge(site, name, execute=True, occasion=occasion)
        return _Shortfall(f"cache {name}: {done.problem}") if done.problem else None

    return _each(list(site.config.caches), one)


def _of_retention(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    return _shortfall(DO[job.action](site, occasion))


def _rotate(site: Site, job: Job, occasion: Occasion) -> _Shortfall | None:
    def one(store: str) -> None:
        rotate.rotate(site, [store], dry_run=False, occasion=occasion)

    return _each(stores_of(site, job), one)


def _anchor(site: Site, _job: Job, occasion: Occasion) -> _Shortfall | None:
    found = anchor.anchor(site, occasion=occasion).targets
    failed = [one for one in found if one.state != "anchored"]
    return _shortfall([f"{one.target}: {one.detail or one.state}" for one in failed])


def _verify_ledger(site: Site, _job: Job, occasion: Occasion) -> _Shortfall | None:
    from orchestrator.actions.ledger.verifying import verify_on_schedule

    verify_on_schedule(site, occasion=occasion)
    return None


def _status(site: Site, job: Job, _occasion: Occasion) -> _Shortfall | None:
    found = status.status(site, stores_of(site, job))
    status.record_status(site, found)
    return _of_stores(
        [(one.store, "succeeded" if one.verdict == "met" else one.verdict) for one in found]
    )


def _each(names: list[str], one: Callable[[str], _Shortfall | None]) -> _Shortfall | None:
    """Do the same for several stores or copies: what fails in one keeps no other from its turn.

    Raises:
        StoppedError: The work was told to stop.
        OrchestratorError: There is one only, and it failed.
    """
    found = []
    for name in names:
        try:
            shortfall = one(name)
        except StoppedError:
            raise
        except OrchestratorError as error:
            if len(names) == 1:
                raise
            shortfall = _Shortfall(error.message)
        found += [] if shortfall is None else [shortfall]
    if not found:
        return None
    return _Shortfall("; ".join(s.message for s in found), max(s.exit_code for s in found))


def _of_stores(outcomes: list[tuple[str, str]]) -> _Shortfall | None:
    return _shortfall([f"store {name}: {how}" for name, how in outcomes if how != "succeeded"])


def _shortfall(words: list[str]) -> _Shortfall | None:
    return _Shortfall("; ".join(words)) if words else None


_ACTIONS: dict[Action, Callable[[Site, Job, Occasion], _Shortfall | None]] = {
    "backup": _back_up,
    "replicate": _replicate,
    "extend": _extend,
    "disposal-settle": _of_retention,
    "check": _check,
    "probe": _probe,
    "drill": _drill,
    "rotate": _rotate,
    "purge-cache": _purge_cache,
    "retention-plan": _of_retention,
    "overdue-review": _of_retention,
    "anchor": _anchor,
    "ledger-verify": _verify_ledger,
    "status": _status,
}

ORDER: tuple[Action, ...] = tuple(_ACTIONS)
"""In which order jobs that are due at the same time run."""
