"""Disposals: batches, their studies, what became of each copy, and replaced snapshots.

Rows only: which step may follow which is the business of the actions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog import lookup
from orchestrator.catalog.bulk import BATCH, batches, table_of
from orchestrator.catalog.disposal_tables import (
    Disposal,
    DisposalCopy,
    DisposalStudy,
    SnapshotReplacement,
)
from orchestrator.errors import NotFoundError, RefusedError

PROPOSED, APPROVED, REFUSED = "proposed", "approved", "refused"
EXECUTING, RESIDUAL, COMPLETE = "executing", "residual", "complete"
"""States of a disposal."""

UNDECIDED = (PROPOSED, APPROVED)
OPEN = (EXECUTING, RESIDUAL)
"""Begun and not complete: something of its studies may be left somewhere."""

DUE, WITHHELD, SUPPRESSED = "due", "withheld", "suppressed"
LIVE_REMOVED, PRIMARY_REMOVED, DISPOSED = "live_removed", "primary_removed", "disposed"
"""States of a study of a disposal."""

GOING = (SUPPRESSED, LIVE_REMOVED, PRIMARY_REMOVED, DISPOSED)
"""States of the studies that a disposal really takes away."""

PENDING, ABSENT, LEFT, UNKNOWN = "pending", "absent", "residual", "unknown"
"""States of a copy: not looked at yet, proved absent, still there, not known."""

StudyRef = tuple[str, str]
"""Store and pseudonym of a study."""


class CopyKey(NamedTuple):
    """Which copy of which disposal; `copy` is `LIVE` for the store itself.

    Attributes:
        disposal: Id of the disposal.
        store: Store name.
        copy: Copy name, or `LIVE`.
        medium: Id of the medium; empty where there is none.
    """

    disposal: str
    store: str
    copy: str
    medium: str = ""

    @classmethod
    def of(cls, row: DisposalCopy) -> CopyKey:
        """Return the key of a row."""
        return cls(row.disposal, row.store, row.copy_, row.medium)


def next_id(session: Session, year: int) -> str:
    """Return the id that the next disposal of a year gets, such as ``D-2026-0001``.

    Call it in the transaction that adds the disposal, so that no id is given out twice.
    """
    start = f"D-{year}-"
    return f"{start}{lookup.next_number(session, Disposal, start):04}"


def add(session: Session, disposal: Disposal, studies: Iterable[DisposalStudy]) -> None:
    """Record a proposed batch with its studies."""
    session.add(disposal)
    session.flush()
    for batch in batches(studies, BATCH):
        session.add_all(batch)
        session.flush()


def get(session: Session, name: str) -> Disposal:
    """Return a disposal by its whole id.

    Raises:
        NotFoundError: There is none.
    """
    missing, hint = "there is no such disposal", "orchestrator disposal list"
    return lookup.by_id(session, Disposal, name, missing=missing, hint=hint)


def listing(session: Session, *, states: Collection[str] | None = None) -> Sequence[Disposal]:
    """Return disposals, oldest first; those in some states, or all."""
    query = select(Disposal).order_by(col(Disposal.proposed_at), col(Disposal.id))
    if states is not None:
        query = query.where(col(Disposal.state).in_(states))
    return session.exec(query).all()


def open_batches(session: Session) -> Sequence[Disposal]:
    """Return the disposals that were begun and are not complete, oldest first."""
    return listing(session, states=OPEN)


def change(session: Session, disposal: str, **changes: Any) -> Disposal:
    """Change columns of a disposal and return it as it is then.

    Raises:
        NotFoundError: There is none.
        ValueError: There is no such column.
    """
    row = get(session, disposal)
    for name, value in changes.items():
        setattr(row, name, value)
    session.add(row)
    session.flush()
    return row


def move(
    session: Session, disposal: str, *, before: Collection[str], after: str, **changes: Any
) -> Disposal:
    """Take a disposal from one state to the next, unless somebody else has.

    Raises:
        NotFoundError: There is none.
        RefusedError: It is in another state.
        ValueError: There is no such column.
    """
    get(session, disposal)
    query = select(Disposal).where(col(Disposal.id) == disposal)
    row = session.exec(query.with_for_update().execution_options(populate_existing=True)).one()
    if row.state not in before:
        raise RefusedError(
            f"disposal {row.id} is {row.state}, not {' or '.join(before)}",
            hint=f"orchestrator disposal show {row.id}",
        )
    return change(session, disposal, state=after, **changes)


def note_entry(session: Session, disposal: str, index: int) -> None:
    """Remember an entry of the ledger that is about a disposal.

    Raises:
        NotFoundError: There is no such disposal.
    """
    known = get(session, disposal).entries
    if index not in known:
        change(session, disposal, entries=sorted([*known, index]))


def studies(
    session: Session,
    disposal: str,
    *,
    store: str | None = None,
    states: Collection[str] | None = None,
) -> Sequence[DisposalStudy]:
    """Return a disposal's studies by store and pseudonym.

    Args:
        session: Any session.
        disposal: Id of the disposal.
        store: Only those of this store; None for all.
        states: Only those in one of these states; None for all.
    """
    query = select(DisposalStudy).where(col(DisposalStudy.disposal) == disposal)
    if store is not None:
        query = query.where(col(DisposalStudy.store) == store)
    if states is not None:
        query = query.where(col(DisposalStudy.state).in_(states))
    ordered = query.order_by(col(DisposalStudy.store), col(DisposalStudy.study_key))
    return session.exec(ordered).all()


def set_studies(session: Session, disposal: str, keys: Iterable[StudyRef], **changes: Any) -> int:
    """Change columns of some studies of a disposal; returns how many there were.

    Args:
        session: A writing session.
        disposal: Id of the disposal.
        keys: Store and pseudonym of each.
        changes: Values by column.
    """
    table = table_of(DisposalStudy)
    count = 0
    for store, group in groupby(sorted(set(keys)), key=lambda one: one[0]):
        for batch in batches((study for _, study in group), BATCH):
            count += (
                session.connection()
                .execute(
                    sa.update(table)
                    .where(
                        table.c.disposal == disposal,
                        table.c.store == store,
                        table.c.study_key.in_(batch),
                    )
                    .values(**changes)
                )
                .rowcount
            )
    return count


def counts(session: Session, disposal: str) -> dict[tuple[str, str], int]:
    """Return how many studies a disposal has, by store and state."""
    table = table_of(DisposalStudy)
    query = (
        sa.select(table.c.store, table.c.state, sa.func.count())
        .where(table.c.disposal == disposal)
        .group_by(table.c.store, table.c.state)
    )
    return {(store, state): count for store, state, count in session.connection().execute(query)}


def batched(session: Session, *, states: Collection[str] | None = None) -> frozenset[StudyRef]:
    """Return the studies of batches that are proposed, approved or under way, withheld ones apart.

    They are not proposed again: whichever of two batches came second would find them gone.

    Args:
        session: A session.
        states: Only studies in these states; None for all but withheld ones.
    """
    study, batch = table_of(DisposalStudy), table_of(Disposal)
    query = (
        sa.select(study.c.store, study.c.study_key)
        .join_from(study, batch, study.c.disposal == batch.c.id)
        .where(batch.c.state.in_((*UNDECIDED, *OPEN)), study.c.state != WITHHELD)
    )
    if states is not None:
        query = query.where(study.c.state.in_(states))
    return frozenset((store, key) for store, key in session.connection().execute(query))


def of_study(session: Session, study: str, *, store: str | None = None) -> Sequence[DisposalStudy]:
    """Return the rows of a study in every batch that had it, by batch."""
    query = select(DisposalStudy).where(col(DisposalStudy.study_key) == study)
    if store is not None:
        query = query.where(col(DisposalStudy.store) == store)
    return session.exec(query.order_by(col(DisposalStudy.disposal))).all()


def copies(session: Session, disposal: str, *, store: str | None = None) -> Sequence[DisposalCopy]:
    """Return what became of each copy, by store, copy and medium; the store itself comes first."""
    query = select(DisposalCopy).where(col(DisposalCopy.disposal) == disposal)
    if store is not None:
        query = query.where(col(DisposalCopy.store) == store)
    ordered = query.order_by(
        col(DisposalCopy.store), col(DisposalCopy.copy_), col(DisposalCopy.medium)
    )
    return session.exec(ordered).all()


def copy_row(session: Session, key: CopyKey) -> DisposalCopy | None:
    """Return what became of one copy; None if the disposal knows no such copy."""
    return session.get(DisposalCopy, tuple(key), populate_existing=True)


def put_copy(session: Session, row: DisposalCopy) -> None:
    """Record what became of a copy, in place of what was recorded before."""
    session.merge(row)
    session.flush()


def drop_copy(session: Session, key: CopyKey) -> None:
    """Take out the row of a copy that another row stands for."""
    row = copy_row(session, key)
    if row is not None:
        session.delete(row)
        session.flush()


def update_copy(session: Session, key: CopyKey, **changes: Any) -> DisposalCopy:
    """Change columns of a copy's row and return it as it is then.

    Raises:
        NotFoundError: The disposal knows no such copy.
        ValueError: There is no such column.
    """
    row = copy_row(session, key)
    if row is None:
        raise NotFoundError(
            f"disposal {key.disposal} knows nothing of copy {key.copy or 'live'} "
            f"of store {key.store}",
            hint=f"orchestrator disposal show {key.disposal}",
        )
    for name, value in changes.items():
        setattr(row, name, value)
    session.add(row)
    session.flush()
    return row


def replacements(
    session: Session, *, disposal: str | None = None, repository_id: str | None = None
) -> Sequence[SnapshotReplacement]:
    """Return replaced snapshots, oldest first.

    Args:
        session: Any session.
        disposal: Only those that this disposal replaced; None for all.
        repository_id: Only those of this repository; None for all.
    """
    query = select(SnapshotReplacement)
    if disposal is not None:
        query = query.where(col(SnapshotReplacement.disposal) == disposal)
    if repository_id is not None:
        query = query.where(col(SnapshotReplacement.repository_id) == repository_id)
    ordered = query.order_by(col(SnapshotReplacement.at), col(SnapshotReplacement.old))
    return session.exec(ordered).all()


def add_replacements(session: Session, rows: Iterable[SnapshotReplacement]) -> None:
    """Record replaced snapshots; one that is recorded already is recorded anew."""
    for row in rows:
        session.merge(row)
    session.flush()


def newest_instant(session: Session) -> dt.datetime | None:
    """Return the newest instant that any disposal bears; a clock before it was set back."""
    query = select(Disposal)
    instants = [
        at
        for row in session.exec(query)
        for at in (row.proposed_at, row.decided_at, row.executed_at, row.completed_at)
        if at is not None
    ]
    return max(instants, default=None)
