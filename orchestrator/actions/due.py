"""Which slot of a job is due, and who may run it. Knows no action and no scheduler.

A slot is claimed once, by a unique row. The mark of a job says whether its claimer lives: a slot
that was begun and has no living claimer was cut off, and is due again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator import schedule
from orchestrator.actions.lock import is_marked
from orchestrator.actions.returned import returned
from orchestrator.actions.site import Site
from orchestrator.actions.targets import idle
from orchestrator.catalog import runs, slots, snapshots
from orchestrator.config.jobs import Job

if TYPE_CHECKING:
    from sqlmodel import Session

_log = logging.getLogger(__name__)

LONGEST_LOOK_BACK = timedelta(days=400)
"""How far back the first slot of a job that never ran is looked for."""

MISSED_WITHIN = timedelta(days=30)
"""How long a slot that nobody ran is counted; further back none is recorded."""

MOST_MISSED = 1000
"""A job for every minute must not fill the catalog after a month's absence."""

MOST_ATTEMPTS = 5
"""How often a slot is begun again after crashes and restarts, before the next slot's turn."""

RUNNING, INTERRUPTED = "running", "interrupted"


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job with when it ran and will run.

    Attributes:
        job: The definition.
        last_slot: The newest slot that was claimed; None for none.
        last_outcome: How that ended, or `running`; None without a slot.
        missed: Slots of the last `MISSED_WITHIN` that nobody ran.
        next_at: The next slot; None if nobody can know.
        idle: Why it has nothing to do on this site; None if it has.
    """

    job: Job
    last_slot: str | None
    last_outcome: str | None
    missed: int
    next_at: datetime | None
    idle: str | None


def listing(site: Site, jobs: dict[str, Job]) -> list[JobFacts]:
    """Return every job with its last and its next slot."""
    now = site.clock.now()
    found = []
    with site.catalog.reading() as session:
        for job in jobs.values():
            last = slots.last_slot(session, job.name)
            outcome = last.outcome if last is not None else None
            if last is not None and last.ended_at is None:
                outcome = RUNNING if is_marked(site.lock_dir, mark_of(job)) else INTERRUPTED
            found.append(
                JobFacts(
                    job,
                    last.slot if last is not None else None,
                    outcome,
                    slots.count_missed(session, job.name, since=slot_name(now - MISSED_WITHIN)),
                    _next(site, job, now),
                    idle(site, job),
                )
            )
    return found


def _next(site: Site, job: Job, now: datetime) -> datetime | None:
    if job.schedule is None or idle(site, job) is not None:
        return None
    return schedule.next_due(job.schedule, site.config.timezone, now)


def due_slot(site: Site, job: Job) -> str | None:
    """Return the newest slot of a job that is due and not done; None if there is none.

    After a pause, however long, one slot is due: the newest. A job that has never run is due at
    once, for its newest slot in the past: a new site wants its first backup now; a drill, for its
    first slot after the first complete snapshot. A slot that was begun and cut off, by a crash or
    by the end of the daemon, is due again. A job that has nothing to do on this site is never due.
    """
    if idle(site, job) is not None:
        return None
    now = site.clock.now()
    with site.catalog.reading() as session:
        ahead = slots.last_slot(session, job.name)
    if ahead is not None and ahead.slot > slot_name(now):
        # The clock was wrong once: that must not silence the job until then.
        with site.catalog.transaction() as session:
            slots.drop_future(session, job.name, after=slot_name(now))
    with site.catalog.reading() as session:
        last = slots.last_slot(session, job.name)
        after = _look_back(session, job, now) if last is None else datetime.fromisoformat(last.slot)
    due = _newest(site, job, after, now)
    if due is not None:
        return slot_name(due)
    if last is None or last.ended_at is not None or is_marked(site.lock_dir, mark_of(job)):
        return None
    return last.slot


def _look_back(session: Session, job: Job, now: datetime) -> datetime:
    """Return after which instant a job that never ran may have its first slot."""
    if job.action != "drill" or job.schedule is None:
        return now - LONGEST_LOOK_BACK
    # Whole stores restored right after the first backup would take the disk and the network that
    # the other copies still need; `status` warns meanwhile that nothing was ever drilled.
    first = snapshots.first_complete_at(session)
    return now if first is None else max(first, now - LONGEST_LOOK_BACK)


def _newest(site: Site, job: Job, after: datetime, now: datetime) -> datetime | None:
    if job.schedule is not None:
        return schedule.latest_due(job.schedule, site.config.timezone, after, now)
    newest = max((one.written_at for one in returned(site, job)), default=after)
    return newest if slot_name(newest) > slot_name(after) else None


def slot_name(at: datetime) -> str:
    """Return a slot as text; slots of one job sort by time."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def take(site: Site, job: Job, slot: str) -> int | None:
    """Claim a slot nobody has, or one that was cut off.

    Args:
        site: The site.
        job: The job; its mark is held by the caller.
        slot: The slot.

    Returns:
        How often it was begun, this time included; None if somebody else has done it, or if it
        was begun too often.
    """
    now = site.clock.now()
    with site.catalog.transaction() as session:
        last = slots.last_slot(session, job.name)
        if slots.claim(session, job.name, slot=slot, run_id=None, now=now):
            slots.close_open(session, job.name, before=slot, now=now)
            if last is not None:
                _note_missed(site, session, job, (last.slot, slot))
            return 1
        row = slots.get(session, job.name, slot)
        if row is None or row.ended_at is not None:
            return None
        attempt = runs.most_attempts(session, job.name, slot=slot) + 1
        if attempt <= MOST_ATTEMPTS:
            return attempt
        slots.finish(session, job.name, slot=slot, outcome=INTERRUPTED, now=now)
    _log.error("job %s: given up after %d attempts, until its next slot", job.name, MOST_ATTEMPTS)
    return None


def _note_missed(site: Site, session: Session, job: Job, between: tuple[str, str]) -> None:
    """Record the slots after one and before another, as far back as misses are counted."""
    if job.schedule is None:
        return
    first, last = map(datetime.fromisoformat, between)
    at = max(first, last - MISSED_WITHIN)
    found: list[str] = []
    while (at := schedule.next_due(job.schedule, site.config.timezone, at)) < last:
        found.append(slot_name(at))
        if len(found) == MOST_MISSED:
            break
    if slots.add_missed(session, job.name, found, now=site.clock.now()):
        _log.warning("job %s: %d slots passed while nobody ran it", job.name, len(found))


def mark_of(job: Job) -> str:
    """Return the name of the mark that whoever runs a job holds."""
    return f"job-{job.name}"
