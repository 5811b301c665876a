"""What the catalog knows to be covered by a hold: studies, files, the runs that saw them.

Queries only: what a hold keeps is decided by the actions. Keeping is safe, so wherever the catalog
cannot tell, a query here says "covered".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog.bulk import batches, table_of
from orchestrator.catalog.disposal_tables import DisposalStudy
from orchestrator.catalog.tables import File

_KEYS_A_QUERY = 500

_file, _of_disposal = table_of(File), table_of(DisposalStudy)


class Cover(NamedTuple):
    """What a hold selects, with the patient as the files of one store name it.

    Attributes:
        kind: ``study``, ``patient``, ``dates`` or ``store``.
        study: Pseudonym, for ``study``.
        patients: Pseudonyms, for ``patient``.
        dates_from: First day, for ``dates``; None for no beginning.
        dates_to: Last day, for ``dates``; None for no end.
    """

    kind: str
    study: str | None = None
    patients: frozenset[str] = frozenset()
    dates_from: dt.date | None = None
    dates_to: dt.date | None = None


class Span(NamedTuple):
    """From which run on files were there, and the run that found them gone; None for none."""

    first_run: str
    gone_run: str | None


def spans(session: Session, store: str, cover: Cover) -> list[Span]:
    """Return when the covered files of a store were there, as far as runs have seen.

    All files of a covered study count. A file that was gone and came back, or whose content is
    older than its row, counts for the time in between as well.
    """
    covered: sa.ColumnElement[bool] = _file.c.study_key.in_(_studies(store, cover))
    if cover.kind == "patient":
        # Also of files that belong to no study: they are the patient's all the same.
        covered = sa.or_(covered, _file.c.patient_key.in_(sorted(cover.patients)))
    query = (
        sa.select(_file.c.first_run, _file.c.since_run, _file.c.gone_run)
        .where(_file.c.store == store, covered)
        .distinct()
    )
    found = session.connection().execute(query)
    return [Span(min(first, since), gone) for first, since, gone in found]


def studies(
    session: Session, store: str, cover: Cover, among: Collection[str] | None = None
) -> set[str]:
    """Return the covered studies of a store, also those that a disposal has taken away.

    Args:
        session: Any session.
        store: The store.
        cover: What the hold selects.
        among: Only these; None for all.
    """
    groups: list[list[str] | None] = [None]
    if among is not None:
        groups = list(batches(among, _KEYS_A_QUERY))
    found: set[str] = set()
    for group in groups:
        for query in (_studies(store, cover, group), _disposed(store, cover, group)):
            found.update(row[0] for row in session.connection().execute(query))
    return found


def count_studies(session: Session, store: str, cover: Cover) -> int:
    """Return how many studies of a store are covered now, by their files."""
    query = sa.select(sa.func.count()).select_from(_studies(store, cover).subquery())
    return int(session.connection().execute(query).scalar_one())


def count_files(session: Session, store: str, cover: Cover) -> tuple[int, str] | None:
    """Return how many files of a store are covered, and the first run of any; None for none."""
    first = sa.case(
        (_file.c.since_run < _file.c.first_run, _file.c.since_run), else_=_file.c.first_run
    )
    query = sa.select(sa.func.count(), sa.func.min(first)).where(
        _file.c.store == store, _file.c.study_key.in_(_studies(store, cover))
    )
    count, since = session.connection().execute(query).one()
    return (int(count), str(since)) if count else None


def untouched(session: Session, store: str, cover: Cover, run_id: str) -> int:
    """Return how many covered files of a store were neither new nor changed in a run."""
    query = (
        sa.select(sa.func.count())
        .select_from(_file)
        .where(
            _file.c.store == store,
            _file.c.study_key.in_(_studies(store, cover)),
            _file.c.since_run != run_id,
        )
    )
    return int(session.connection().execute(query).scalar_one())


def disposals_with(session: Session, store: str, cover: Cover, states: Collection[str]) -> set[str]:
    """Return the disposals with a covered study of a store in one of these states."""
    query = _disposed(store, cover, None, what=_of_disposal.c.disposal)
    return {
        row[0]
        for row in session.connection().execute(
            query.where(_of_disposal.c.state.in_(sorted(states)))
        )
    }


def _studies(store: str, cover: Cover, among: Collection[str] | None = None) -> sa.Select[Any]:
    """Select the covered studies by their files."""
    query = sa.select(_file.c.study_key).where(
        _file.c.store == store, _file.c.study_key.is_not(None)
    )
    if among is not None:
        query = query.where(_file.c.study_key.in_(among))
    if cover.kind == "study":
        query = query.where(_file.c.study_key == cover.study)
    elif cover.kind == "patient":
        query = query.where(_file.c.patient_key.in_(sorted(cover.patients)))
    query = query.group_by(_file.c.study_key)
    if cover.kind == "dates":
        query = query.having(
            _overlaps(cover, sa.func.min(_file.c.study_date), sa.func.max(_file.c.study_date))
        )
    return query


def _disposed(
    store: str,
    cover: Cover,
    among: Collection[str] | None,
    *,
    what: sa.ColumnElement[str] = _of_disposal.c.study_key,
) -> sa.Select[Any]:
    """Select covered studies, or another column, from what disposals have taken away."""
    table = _of_disposal
    query = sa.select(what).where(table.c.store == store).distinct()
    if among is not None:
        query = query.where(table.c.study_key.in_(among))
    if cover.kind == "study":
        query = query.where(table.c.study_key == cover.study)
    elif cover.kind == "patient":
        query = query.where(table.c.patient_key.in_(sorted(cover.patients)))
    elif cover.kind == "dates":
        query = query.where(_overlaps(cover, table.c.dates_from, table.c.dates_to))
    return query


def _overlaps(
    cover: Cover, oldest: sa.ColumnElement[dt.date], newest: sa.ColumnElement[dt.date]
) -> sa.ColumnElement[bool]:
    """Say whether a study touches the days of a hold; without a date it may be of any day."""
    parts: list[sa.ColumnElement[bool]] = []
    if cover.dates_to is not None:
        parts.append(oldest <= cover.dates_to)
    if cover.dates_from is not None:
        parts.append(newest >= cover.dates_from)
    return sa.or_(newest.is_(None), oldest.is_(None), sa.and_(sa.true(), *parts))
