"""Sanitizations, the chain of custody, and what retired media held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from sqlmodel import Session, col, select

from orchestrator.catalog.lookup import by_beginning
from orchestrator.catalog.sanitization_tables import CustodyAct, MediumHolding, Sanitization
from orchestrator.errors import RefusedError

PROPOSED, APPROVED, REFUSED = "proposed", "approved", "refused"
EXECUTING, EXECUTED, INTERRUPTED = "executing", "executed", "interrupted"
RECORDED = "recorded"
"""States: what a person or vendor did is `recorded`, what is run here goes through the others."""

PENDING, ACCEPTED, REJECTED = "pending", "accepted", "rejected"
"""The organization's validation."""


def add(session: Session, row: Sanitization) -> None:
    """Record a proposal, or what somebody did."""
    session.add(row)
    session.flush()


def get(session: Session, name: str) -> Sanitization:
    """Return a sanitization by its id or the beginning of it.

    Raises:
        NotFoundError: There is none.
        UsageError: There are several.
    """
    return by_beginning(
        session, Sanitization, name, what="sanitization", hint="orchestrator sanitize list"
    )


def listing(session: Session, *, state: str | None = None) -> Sequence[Sanitization]:
    """Return sanitizations, oldest first; of one state, or all."""
    query = select(Sanitization).order_by(col(Sanitization.proposed_at), col(Sanitization.id))
    if state is not None:
        query = query.where(col(Sanitization.state) == state)
    return session.exec(query).all()


def of_medium(session: Session, medium: str) -> Sequence[Sanitization]:
    """Return the sanitizations of a medium of the register, oldest first."""
    return [row for row in listing(session) if row.medium == medium]


def move(session: Session, name: str, *, before: str, after: str) -> Sanitization:
    """Take a sanitization from one state to the next, unless somebody else has.

    Raises:
        NotFoundError: There is none.
        RefusedError: It is in another state.
    """
    query = select(Sanitization).where(col(Sanitization.id) == get(session, name).id)
    row = session.exec(query.with_for_update().execution_options(populate_existing=True)).one()
    if row.state != before:
        raise RefusedError(
            f"sanitization {row.id} is {row.state}, not {before}",
            hint=f"orchestrator sanitize show {row.id}",
        )
    row.state = after
    session.add(row)
    session.flush()
    return row


def save(session: Session, row: Sanitization) -> None:
    """Write back a row that was changed."""
    session.merge(row)
    session.flush()


def keep_custody(session: Session, act: CustodyAct) -> None:
    """Record from whom, to whom and under which seal a medium went."""
    session.add(act)
    session.flush()


def custody(session: Session, medium: str) -> dict[dt.datetime, CustodyAct]:
    """Return what is known of a medium's acts of custody, by their instant."""
    query = select(CustodyAct).where(col(CustodyAct.medium) == medium)
    return {row.at: row for row in session.exec(query)}


def keep_holdings(session: Session, rows: Iterable[MediumHolding]) -> None:
    """Record what a medium held when it was retired."""
    session.add_all(list(rows))
    session.flush()


def holdings(session: Session, medium: str) -> Sequence[MediumHolding]:
    """Return what a medium held when it was retired."""
    query = (
        select(MediumHolding)
        .where(col(MediumHolding.medium) == medium)
        .order_by(col(MediumHolding.repository), col(MediumHolding.snapshot))
    )
    return session.exec(query).all()
