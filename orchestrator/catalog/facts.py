"""Single named values about the site."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import upsert
from orchestrator.catalog.tables import SiteFact


def put(session: Session, key: str, *, value: str, now: dt.datetime) -> None:
    """Set a fact, whether it was there or not."""
    upsert(session, SiteFact, [{"key": key, "value": value, "at": now}], key=["key"])


def get(session: Session, key: str) -> SiteFact | None:
    """Return a fact with the instant it was set."""
    return session.get(SiteFact, key, populate_existing=True)


def starting_with(session: Session, prefix: str) -> dict[str, str]:
    """Return the values of all facts whose key begins with `prefix`."""
    query = select(SiteFact).where(col(SiteFact.key).startswith(prefix, autoescape=True))
    return {fact.key: fact.value for fact in session.exec(query)}


def drop(session: Session, key: str) -> None:
    """Take a fact back, if it is there."""
    session.connection().execute(sa.delete(SiteFact).where(col(SiteFact.key) == key))
