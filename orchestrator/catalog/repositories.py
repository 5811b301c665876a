"""Repositories, and what the last walk of each store found."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import upsert
from orchestrator.catalog.tables import Repository, StoreState


def add(session: Session, repository: Repository) -> None:
    """Record a repository; recording the same id again updates it."""
    upsert(session, Repository, [repository.model_dump()], key=["id"], keep=["created_at"])


def get(session: Session, repository_id: str) -> Repository | None:
    """Return a repository by restic's full id."""
    return session.get(Repository, repository_id, populate_existing=True)


def by_name(session: Session, name: str) -> Repository | None:
    """Return a repository by its name."""
    return session.exec(select(Repository).where(col(Repository.name) == name)).first()


def of_store(session: Session, store: str | None = None) -> Sequence[Repository]:
    """Return the repositories of a store, or of all, oldest first."""
    query = select(Repository).order_by(col(Repository.created_at), col(Repository.id))
    if store is not None:
        query = query.where(col(Repository.store) == store)
    return session.exec(query).all()


def put_store_state(session: Session, state: StoreState) -> None:
    """Record what a complete walk of a store found."""
    upsert(session, StoreState, [state.model_dump()], key=["store"])


def store_state(session: Session, store: str) -> StoreState | None:
    """Return what the last complete walk of a store found."""
    return session.get(StoreState, store, populate_existing=True)
