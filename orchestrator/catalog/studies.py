"""Studies as a view of the files: by pseudonym, with counts and dates."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog.bulk import table_of
from orchestrator.catalog.tables import File

_file = table_of(File)


class StudyRow(NamedTuple):
    """One study of one store.

    Attributes:
        store: The store.
        study: The study's pseudonym.
        patient: The patient's pseudonym; None if no file has a patient id, or files disagree.
        files: Files that are not gone.
        size_bytes: Their length together.
        gone: Files that are gone from the store.
        modalities: Modalities of all its files, sorted.
        newest_study_date: The newest date of its files; None if none has one.
        first_run: The run that saw its first file.
    """

    store: str
    study: str
    patient: str | None
    files: int
    size_bytes: int
    gone: int
    modalities: tuple[str, ...]
    newest_study_date: dt.date | None
    first_run: str


def studies(
    session: Session,
    store: str | None = None,
    *,
    study: str | None = None,
    limit: int | None = None,
) -> list[StudyRow]:
    """Return studies by store and pseudonym; files that belong to no study are left out.

    Args:
        session: Any session.
        store: Of this store; None for all.
        study: Only this study.
        limit: At most so many, 1 or more; None for all.
    """
    wanted = sa.and_(
        _file.c.study_key.is_not(None),
        *([_file.c.store == store] if store is not None else []),
        *([_file.c.study_key == study] if study is not None else []),
    )
    rows = session.connection().execute(_summary(wanted, limit)).all()
    kinds = _modalities(session, wanted, rows)
    return [
        StudyRow(
            store=row.store,
            study=row.study_key,
            patient=row.patient if row.patient == row.other_patient else None,
            files=int(row.files),
            size_bytes=int(row.size_bytes),
            gone=int(row.gone),
            modalities=tuple(sorted(kinds.get((row.store, row.study_key), ()))),
            newest_study_date=row.newest,
            first_run=row.first_run,
        )
        for row in rows
    ]


def _summary(wanted: sa.ColumnElement[bool], limit: int | None) -> sa.Select[Any]:
    present = _file.c.gone_run.is_(None)
    grouped = (
        sa.select(
            _file.c.store,
            _file.c.study_key,
            sa.func.min(_file.c.patient_key).label("patient"),
            sa.func.max(_file.c.patient_key).label("other_patient"),
            sa.func.sum(sa.case((present, 1), else_=0)).label("files"),
            sa.func.sum(sa.case((present, _file.c.size_bytes), else_=0)).label("size_bytes"),
            sa.func.sum(sa.case((present, 0), else_=1)).label("gone"),
            sa.func.max(_file.c.study_date).label("newest"),
            sa.func.min(_file.c.id).label("first_id"),
        )
        .where(wanted)
        .group_by(_file.c.store, _file.c.study_key)
        .order_by(_file.c.store, _file.c.study_key)
        .limit(limit)
        .subquery()
    )
    first = _file.alias("first")
    return (
        sa.select(grouped, first.c.first_run)
        .join(first, first.c.id == grouped.c.first_id)
        .order_by(grouped.c.store, grouped.c.study_key)
    )


def _modalities(
    session: Session, wanted: sa.ColumnElement[bool], rows: Any
) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    if not rows:
        return found
    query = (
        sa.select(_file.c.store, _file.c.study_key, _file.c.modality)
        .where(
            wanted,
            _file.c.modality.is_not(None),
            # rows are in order, so a page is a range and needs no list of keys
            sa.tuple_(_file.c.store, _file.c.study_key)
            >= sa.tuple_(sa.literal(rows[0].store), sa.literal(rows[0].study_key)),
            sa.tuple_(_file.c.store, _file.c.study_key)
            <= sa.tuple_(sa.literal(rows[-1].store), sa.literal(rows[-1].study_key)),
        )
        .distinct()
    )
    for store, study_key, modality in session.connection().execute(query):
        found.setdefault((store, study_key), set()).add(modality)
    return found
