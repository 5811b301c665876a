"""Noticing what was due and did not happen, or did not end well. Knows no action.

A slot of a job counts until the next one, at most `WINDOW`: what has not been done by then was
missed. Each is noticed once, whoever looks first; what was noticed stays, also when it is made up
for later. Where a job was first seen its account begins: what was due before is nobody's fault.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from orchestrator import schedule
from orchestrator.actions.due import mark_of, slot_name
from orchestrator.actions.lock import is_marked
from orchestrator.actions.site import Site
from orchestrator.actions.targets import idle
from orchestrator.catalog import drill_history, facts, missed, runs, slots
from orchestrator.catalog.drill_tables import MissedEvent
from orchestrator.config.jobs import Job

if TYPE_CHECKING:
    from sqlmodel import Session

_log = logging.getLogger(__name__)

Kind = Literal["not_run", "failed", "interrupted"]

WINDOW = timedelta(days=7)
"""The longest time after which something that was due counts as missed."""

SHOWN_WITHIN = timedelta(days=90)
"""How long what was missed is shown."""

MOST_AT_ONCE = 1000
"""A job for every minute is accounted for bit by bit after a month's absence."""

_SINCE = "missed:"
_WELL = ("succeeded", "partial")


@dataclass(frozen=True, slots=True)
class Missed:
    """Something that was due and did not happen.

    Attributes:
        job: The job.
        action: What it does.
        slot: When it was due, as a slot.
        due_at: When it was due.
        kind: `not_run`, `failed` or `interrupted`, or what other rooms record.
        noticed_at: When somebody noticed.
        made_up: It was done since, by a later slot of the job or by hand.
    """

    job: str
    action: str
    slot: str
    due_at: datetime
    kind: str
    noticed_at: datetime
    made_up: bool


def notice(site: Site, jobs: Mapping[str, Job]) -> list[MissedEvent]:
    """Look for what was missed since the last look, and record it.

    Args:
        site: The site.
        jobs: Its active jobs.

    Returns:
        What is new, oldest first.
    """
    now = site.clock.now()
    new: list[MissedEvent] = []
    judged: dict[str, datetime] = {}
    ended: list[str] = []
    with site.catalog.reading() as session:
        for job in jobs.values():
            if job.schedule is None or job.action == "status":
                continue
            since = _since(session, job, now)
            if idle(site, job) is not None:
                ended += [] if since is None else [job.name]
                continue
            if since is None:
                judged[job.name] = now
                continue
            for due, verdict in _judge(site, session, job, (since, now)):
                judged[job.name] = due
                if verdict is not None:
                    new.append(_event(job, due, verdict, now))
    if ended:
        _close_accounts(site, ended)
    if judged:
        new = _record(site, new, judged, now)
    for event in new:
        _log.warning("job %s: %s, due %s", event.job, event.kind, event.slot)
    return new


def shown(site: Site, jobs: Mapping[str, Job]) -> list[Missed]:
    """Return what was missed of late, newest first.

    Args:
        site: The site.
        jobs: Its active jobs, as far as they are known.
    """
    now = site.clock.now()
    with site.catalog.reading() as session:
        rows = missed.since(session, now - SHOWN_WITHIN)
        return [
            Missed(
                job=row.job,
                action=row.action,
                slot=row.slot,
                due_at=row.due_at,
                kind=row.kind,
                noticed_at=row.noticed_at,
                made_up=_is_made_up(session, row, jobs.get(row.job), now),
            )
            for row in rows
        ]


def _is_made_up(session: Session, row: MissedEvent, job: Job | None, now: datetime) -> bool:
    later = slots.last_well(session, row.job)
    if later is not None and later >= row.slot:
        return True
    return job is not None and _done_by_hand(session, job, row.due_at, now)


def _close_accounts(site: Site, jobs: list[str]) -> None:
    """Forget up to when jobs were judged that have nothing to do now.

    When they have again, nothing was missed in between.
    """
    with site.catalog.transaction() as session:
        for job in jobs:
            facts.drop(session, _SINCE + job)


def _since(session: Session, job: Job, now: datetime) -> datetime | None:
    """Return up to when a job's slots were judged; None if it was never looked at.

    An instant in the future was noted under a wrong clock and is not believed.
    """
    fact = facts.get(session, _SINCE + job.name)
    if fact is None:
        return None
    since = datetime.fromisoformat(fact.value)
    return since if since <= now else None


def _judge(
    site: Site, session: Session, job: Job, between: tuple[datetime, datetime]
) -> Iterator[tuple[datetime, Kind | None]]:
    """Yield slots of which the time is over, each with what was wrong; None for nothing."""
    at, now = between
    for _ in range(MOST_AT_ONCE):
        at = schedule.next_due(job.schedule or "", site.config.timezone, at)
        end = min(schedule.next_due(job.schedule or "", site.config.timezone, at), at + WINDOW)
        if end > now:
            return
        if _is_at_work(site, session, job, at):
            return
        yield at, _verdict(session, job, at, end)


def _is_at_work(site: Site, session: Session, job: Job, due: datetime) -> bool:
    row = slots.get(session, job.name, slot_name(due))
    return row is not None and row.ended_at is None and is_marked(site.lock_dir, mark_of(job))


def _verdict(session: Session, job: Job, due: datetime, end: datetime) -> Kind | None:
    if _done_by_hand(session, job, due, end):
        return None
    row = slots.get(session, job.name, slot_name(due))
    if row is None or row.outcome == slots.MISSED or row.claimed_at > end:
        return "not_run"
    if row.ended_at is None or row.outcome == "interrupted":
        return "interrupted"
    if row.outcome not in _WELL:
        return "failed"
    if row.outcome == "partial" and job.action != "drill":
        # A job with one store is `partial` also when that one failed: its runs know.
        outcomes = runs.outcomes_of_slot(session, job.name, slot=row.slot)
        if outcomes and not outcomes & set(_WELL):
            return "failed"
    return None


def _done_by_hand(session: Session, job: Job, due: datetime, end: datetime) -> bool:
    """Say whether a person did in time what the slot was for."""
    if job.drill.from_kit and drill_history.kit_drilled(session, due, end):
        return True
    if job.action == "drill":
        return drill_history.ran_for(session, job.name, due, end)
    return runs.ended_well(session, job.name, after=due, before=end)


def _event(job: Job, due: datetime, kind: Kind, now: datetime) -> MissedEvent:
    store = job.stores[0] if job.stores is not None and len(job.stores) == 1 else None
    return MissedEvent(
        job=job.name,
        slot=slot_name(due),
        action=job.action,
        store=store,
        kind=kind,
        due_at=due,
        noticed_at=now,
    )


def _record(
    site: Site, events: Iterable[MissedEvent], judged: Mapping[str, datetime], now: datetime
) -> list[MissedEvent]:
    with site.catalog.transaction() as session:
        missed.drop_future(session, after=now)
        new = [event for event in events if missed.add(session, [event])]
        for job, due in judged.items():
            facts.put(session, _SINCE + job, value=slot_name(due), now=now)
    return new
