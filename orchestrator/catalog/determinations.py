"""Determinations: the rows of doubts that people have looked into, one for each finding.

Rows only: who may settle what, and whether a finding still counts, is decided by the actions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlmodel import Session, col, select

from orchestrator.catalog import lookup
from orchestrator.catalog.bulk import batches
from orchestrator.catalog.determination_tables import Determination

_KEYS_A_QUERY = 500


def id_of(year: int, number: int) -> str:
    """Return the id of a year's determination, such as ``DET-2026-0001``."""
    return f"DET-{year}-{number:04}"


def next_id(session: Session, year: int, known: Iterable[str] = ()) -> str:
    """Return the id that the next determination of a year gets; no id is given out twice.

    Args:
        session: The transaction that adds it.
        year: Of the site's clock.
        known: Further ids that were given out, of any year.
    """
    return id_of(year, lookup.next_number(session, Determination, f"DET-{year}-", known))


def add(session: Session, row: Determination) -> None:
    """Record a determination."""
    session.add(row)
    session.flush()


def save(session: Session, row: Determination) -> None:
    """Write back what has changed of a determination."""
    session.add(row)
    session.flush()


def get(session: Session, name: str) -> Determination:
    """Return a determination by its id.

    Raises:
        NotFoundError: There is none of this id.
    """
    return lookup.by_id(
        session,
        Determination,
        name,
        missing="there is no such determination",
        hint="orchestrator retention determinations",
    )


def listing(
    session: Session, *, study: str | None = None, doubt: str | None = None
) -> Sequence[Determination]:
    """Return determinations, withdrawn ones too, by id; of one study, or about one doubt."""
    query = select(Determination).order_by(col(Determination.asked_at), col(Determination.id))
    if study is not None:
        query = query.where(col(Determination.study_key) == study)
    if doubt is not None:
        query = query.where(col(Determination.doubt) == doubt)
    return session.exec(query).all()


def made(session: Session, studies: Collection[str] | None = None) -> list[Determination]:
    """Return what two people have made and nobody has withdrawn, by id.

    Args:
        session: Any session.
        studies: Only of these studies; None for all.
    """
    query = (
        select(Determination)
        .where(col(Determination.made_at).is_not(None), col(Determination.withdrawn_at).is_(None))
        .order_by(col(Determination.id))
    )
    if studies is None:
        return list(session.exec(query))
    found: list[Determination] = []
    for batch in batches(sorted(set(studies)), _KEYS_A_QUERY):
        found += session.exec(query.where(col(Determination.study_key).in_(batch)))
    return found
