"""Slots of a job's schedule: each is run by exactly one process.

A slot is a text the scheduler makes, such as a local date; this module only keeps it unique.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import insert_missing
from orchestrator.catalog.runs import Outcome
from orchestrator.catalog.tables import JobSlot


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


def last_slot(session: Session, job: str) -> JobSlot | None:
    """Return the greatest slot of a job that anybody has claimed."""
    query = (
        select(JobSlot).where(col(JobSlot.job) == job).order_by(col(JobSlot.slot).desc()).limit(1)
    )
    return session.exec(query).first()
