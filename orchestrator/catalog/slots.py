"""Slots of a job's schedule: each is run by exactly one process.

A slot is a text the scheduler makes, such as a local date; this module only keeps it unique.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import insert_missing
from orchestrator.catalog.runs import Outcome
from orchestrator.catalog.tables import JobSlot

MISSED = "missed"
"""The outcome of a slot that passed while nobody was there."""


def claim(session: Session, job: str, *, slot: str, run_id: str | None, now: dt.datetime) -> bool:
    """Claim a slot; of any number of processes exactly one gets it.

    Args:
        session: A writing session; the claim stands when its transaction is committed.
        job: The job.
        slot: The slot; slots of one job sort by time as texts.
        run_id: The run that will do it, if known.
        now: When.

    Returns:
        True if it is ours now, False if somebody had it before.
    """
    row = {
        "job": job,
        "slot": slot,
        "run_id": run_id,
        "claimed_at": now,
        "ended_at": None,
        "outcome": None,
    }
    return insert_missing(session, JobSlot, [row]) == 1


def finish(
    session: Session, job: str, *, slot: str, outcome: Outcome | str, now: dt.datetime
) -> bool:
    """Record how a slot has ended.

    Returns:
        False if it was never claimed or was ended before.
    """
    ended = session.connection().execute(
        sa.update(JobSlot)
        .where(col(JobSlot.job) == job, col(JobSlot.slot) == slot, col(JobSlot.ended_at).is_(None))
        .values(ended_at=now, outcome=outcome)
    )
    return ended.rowcount == 1


def close_open(session: Session, job: str, *, before: str, now: dt.datetime) -> int:
    """Close slots that were claimed, never ended and are out of date, as `interrupted`.

    Args:
        session: A writing session.
        job: The job; nobody may be at work on it.
        before: Only slots earlier than this one.
        now: When.

    Returns:
        How many there were.
    """
    closed = session.connection().execute(
        sa.update(JobSlot)
        .where(col(JobSlot.job) == job, col(JobSlot.slot) < before, col(JobSlot.ended_at).is_(None))
        .values(ended_at=now, outcome="interrupted")
    )
    return closed.rowcount


def add_missed(session: Session, job: str, slots: Iterable[str], *, now: dt.datetime) -> int:
    """Record slots that passed while nobody was there to run them.

    Args:
        session: A writing session.
        job: The job.
        slots: The slots; those that somebody has claimed are left as they are.
        now: When it was noticed.

    Returns:
        How many were recorded.
    """
    rows = [
        {
            "job": job,
            "slot": slot,
            "run_id": None,
            "claimed_at": now,
            "ended_at": now,
            "outcome": MISSED,
        }
        for slot in slots
    ]
    return insert_missing(session, JobSlot, rows)


def drop_future(session: Session, job: str, *, after: str) -> int:
    """Forget slots that have not come yet: a clock that was wrong claimed them.

    Args:
        session: A writing session.
        job: The job.
        after: Slots later than this one.

    Returns:
        How many there were.
    """
    dropped = session.connection().execute(
        sa.delete(JobSlot).where(col(JobSlot.job) == job, col(JobSlot.slot) > after)
    )
    return dropped.rowcount


def get(session: Session, job: str, slot: str) -> JobSlot | None:
    """Return a slot that somebody has claimed, or that was missed."""
    return session.get(JobSlot, (job, slot), populate_existing=True)


def last_slot(session: Session, job: str) -> JobSlot | None:
    """Return the greatest slot of a job that anybody has claimed."""
    query = (
        select(JobSlot)
        .where(col(JobSlot.job) == job, col(JobSlot.outcome).is_distinct_from(MISSED))
        .order_by(col(JobSlot.slot).desc())
        .limit(1)
    )
    return session.exec(query).first()


def last_well(session: Session, job: str) -> str | None:
    """Return the greatest slot of a job that was done, wholly or in part; None for none."""
    query = select(sa.func.max(JobSlot.slot)).where(
        col(JobSlot.job) == job, col(JobSlot.outcome).in_(("succeeded", "partial"))
    )
    return session.exec(query).one()


def count_missed(session: Session, job: str, *, since: str) -> int:
    """Return how many slots of a job were missed from one on."""
    query = select(sa.func.count()).where(
        col(JobSlot.job) == job, col(JobSlot.slot) >= since, col(JobSlot.outcome) == MISSED
    )
    return session.exec(query).one()
