"""Runs and their steps.

A run that was ended is ended for good: a process that comes back late changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.tables import Run, RunStep, Snapshot

Outcome = Literal["succeeded", "partial", "failed", "refused", "interrupted"]


def start(session: Session, run: Run) -> None:
    """Record that a run has begun."""
    session.add(run)
    session.flush()


def finish(
    session: Session,
    run_id: str,
    *,
    outcome: Outcome,
    now: dt.datetime,
    reason: str | None = None,
    metrics: dict[str, Any] | None = None,
) -> bool:
    """Record how a run has ended; steps still open are closed as interrupted.

    Args:
        session: A writing session.
        run_id: The run.
        outcome: How it ended.
        now: When.
        reason: Why, if it did not succeed; without any identity or path.
        metrics: Figures; None leaves those recorded before.

    Returns:
        False if there is no such run or it was ended before; nothing was changed then.
    """
    values: dict[str, Any] = {"ended_at": now, "outcome": outcome, "reason": reason}
    if metrics is not None:
        values["metrics"] = metrics
    ended = session.connection().execute(
        sa.update(Run).where(col(Run.id) == run_id, col(Run.ended_at).is_(None)).values(values)
    )
    if ended.rowcount == 0:
        return False
    session.connection().execute(
        sa.update(RunStep)
        .where(col(RunStep.run_id) == run_id, col(RunStep.ended_at).is_(None))
        .values(ended_at=now, outcome="interrupted")
    )
    return True


def add_step(
    session: Session, run_id: str, *, name: str, now: dt.datetime, copy: str | None = None
) -> int:
    """Record that a step has begun.

    Returns:
        Its number within the run, from 1.
    """
    last_seq = session.exec(
        select(sa.func.max(RunStep.seq)).where(col(RunStep.run_id) == run_id)
    ).one()
    seq = (last_seq or 0) + 1
    session.add(RunStep(run_id=run_id, seq=seq, name=name, copy_=copy, started_at=now))
    session.flush()
    return seq


def finish_step(
    session: Session,
    run_id: str,
    *,
    seq: int,
    outcome: Outcome,
    now: dt.datetime,
    detail: str | None = None,
) -> bool:
    """Record how a step has ended.

    Returns:
        False if there is no such step or it was ended before.
    """
    ended = session.connection().execute(
        sa.update(RunStep)
        .where(
            col(RunStep.run_id) == run_id,
            col(RunStep.seq) == seq,
            col(RunStep.ended_at).is_(None),
        )
        .values(ended_at=now, outcome=outcome, detail=detail)
    )
    return ended.rowcount == 1


def get(session: Session, run_id: str) -> Run | None:
    """Return a run."""
    return session.get(Run, run_id, populate_existing=True)


def latest_id(session: Session, store: str) -> str | None:
    """Return the greatest run id a store has seen, in its runs or its snapshots; None for none.

    A catalog that was made anew may know a run by its snapshot only.
    """
    of_runs = select(sa.func.max(Run.id)).where(col(Run.store) == store)
    of_snapshots = select(sa.func.max(Snapshot.run_id)).where(col(Snapshot.store) == store)
    found = [session.exec(query).one() for query in (of_runs, of_snapshots)]
    return max((one for one in found if one is not None), default=None)


def most_attempts(session: Session, job: str, *, slot: str) -> int:
    """Return the highest attempt number among the runs of a slot of a job; 0 if there are none."""
    query = select(sa.func.max(Run.attempt)).where(col(Run.job) == job, col(Run.slot) == slot)
    return session.exec(query).one() or 0


def outcomes_of_slot(session: Session, job: str, *, slot: str) -> set[str]:
    """Return how the runs of a slot of a job ended."""
    query = select(Run.outcome).where(
        col(Run.job) == job, col(Run.slot) == slot, col(Run.outcome).is_not(None)
    )
    return {str(outcome) for outcome in session.exec(query)}


def ended_well(session: Session, job: str, *, after: dt.datetime, before: dt.datetime) -> bool:
    """Say whether a run that was made by hand for a job began in a time and ended well.

    Args:
        session: Any session.
        job: The job.
        after: Begun then or later.
        before: Begun before.
    """
    query = select(sa.func.count()).where(
        col(Run.job) == job,
        col(Run.slot).is_(None),
        col(Run.started_at) >= after,
        col(Run.started_at) < before,
        col(Run.outcome).in_(("succeeded", "partial")),
    )
    return session.exec(query).one() > 0


def later_than(session: Session, at: dt.datetime) -> dict[str, dt.datetime]:
    """Return the runs that began after an instant: their ids, with when they began."""
    query = select(Run.id, Run.started_at).where(col(Run.started_at) > at)
    return dict(session.exec(query).all())


def steps(session: Session, run_id: str) -> Sequence[RunStep]:
    """Return a run's steps in order."""
    query = select(RunStep).where(col(RunStep.run_id) == run_id).order_by(col(RunStep.seq))
    return session.exec(query).all()


def unfinished(session: Session) -> Sequence[Run]:
    """Return the runs without an end, oldest first."""
    query = select(Run).where(col(Run.ended_at).is_(None)).order_by(col(Run.started_at))
    return session.exec(query).all()


def last(
    session: Session,
    store: str | None,
    *,
    action: str,
    outcomes: Collection[str] = ("succeeded",),
) -> Run | None:
    """Return the run that began last among those with one of these outcomes.

    Args:
        session: Any session.
        store: Of this store; None for runs that belong to no store.
        action: Of this action.
        outcomes: With one of these outcomes (`Outcome`).
    """
    query = (
        select(Run)
        .where(
            col(Run.store) == store if store is not None else col(Run.store).is_(None),
            col(Run.action) == action,
            col(Run.outcome).in_(outcomes),
        )
        .order_by(col(Run.started_at).desc())
        .limit(1)
    )
    return session.exec(query).first()


def recent(
    session: Session,
    store: str | None = None,
    *,
    action: str | None = None,
    limit: int = 50,
) -> Sequence[Run]:
    """Return the newest runs, newest first.

    Args:
        session: Any session.
        store: Only those of this store; None for all.
        action: Only those of this action; None for all.
        limit: At most so many, 1 or more.
    """
    query = select(Run)
    if store is not None:
        query = query.where(col(Run.store) == store)
    if action is not None:
        query = query.where(col(Run.action) == action)
    return session.exec(query.order_by(col(Run.started_at).desc()).limit(limit)).all()
