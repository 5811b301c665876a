"""What the catalog knows of the files of studies that are disposed of, and forgetting it.

A disposal keeps what its proof needs (counts, dates, a digest of the contents, pseudonyms) in its
own rows; the rows of the files, which hold paths and identities, go.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog.bulk import batches, stream, table_of
from orchestrator.catalog.drill_tables import DrillProven
from orchestrator.catalog.encryption import FieldKeys
from orchestrator.catalog.files import path_of
from orchestrator.catalog.tables import File

_KEYS_A_QUERY = 500

_file, _proven = table_of(File), table_of(DrillProven)


class Summary(NamedTuple):
    """What a disposal keeps of a study.

    Attributes:
        files: Files of it, gone ones too.
        size_bytes: Their length together.
        dates_from: The oldest date of its images; None if none has one.
        dates_to: The newest.
        content_digest: SHA-256 in hex over the files' own, in order, one per line.
    """

    files: int
    size_bytes: int
    dates_from: dt.date | None
    dates_to: dt.date | None
    content_digest: str


class Span(NamedTuple):
    """A path of a study and the runs between which it held it."""

    path: bytes
    study: str
    first_run: str
    gone_run: str | None


def summary(session: Session, store: str, study: str) -> Summary:
    """Sum up a study, its files that are gone from the store included."""
    query = sa.select(_file.c.sha256, _file.c.size_bytes, _file.c.study_date).where(
        _file.c.store == store, _file.c.study_key == study
    )
    rows = session.connection().execute(query).all()
    dates = [row.study_date for row in rows if row.study_date is not None]
    hashes = sorted(row.sha256 or "" for row in rows)
    return Summary(
        len(rows),
        sum(row.size_bytes for row in rows),
        min(dates, default=None),
        max(dates, default=None),
        hashlib.sha256("".join(f"{one}\n" for one in hashes).encode()).hexdigest(),
    )


def spans(
    session: Session, store: str, studies: Collection[str], *, keys: FieldKeys
) -> Iterator[Span]:
    """Yield the paths of studies, also those that are gone; ends with the transaction.

    Raises:
        DamageError: A path was changed in the database.
    """
    for batch in batches(sorted(studies), _KEYS_A_QUERY):
        query = sa.select(
            _file.c.path_key,
            _file.c.path_enc,
            _file.c.study_key,
            _file.c.first_run,
            _file.c.gone_run,
        ).where(_file.c.store == store, _file.c.study_key.in_(batch))
        for path_key, path_enc, study, first, gone in stream(session, query):
            yield Span(path_of(store, path_key, path_enc, keys), study, first, gone)


def there(session: Session, store: str, studies: Collection[str]) -> dict[str, int]:
    """Return how many files of each study the last walk of the store has seen; none for 0."""
    found: dict[str, int] = {}
    for batch in batches(sorted(studies), _KEYS_A_QUERY):
        query = (
            sa.select(_file.c.study_key, sa.func.count())
            .where(_file.c.store == store, _file.c.study_key.in_(batch), _file.c.gone_run.is_(None))
            .group_by(_file.c.study_key)
        )
        found |= {study: int(count) for study, count in session.connection().execute(query)}
    return found


def in_catalog(session: Session, store: str, studies: Collection[str]) -> dict[str, int]:
    """Return how many files of each study any backup since has seen, gone ones too; none for 0.

    Disposing of a study removes its rows: whatever is here came back, and snapshots may hold it.
    """
    found: dict[str, int] = {}
    for batch in batches(sorted(studies), _KEYS_A_QUERY):
        query = (
            sa.select(_file.c.study_key, sa.func.count())
            .where(_file.c.store == store, _file.c.study_key.in_(batch))
            .group_by(_file.c.study_key)
        )
        found |= {study: int(count) for study, count in session.connection().execute(query)}
    return found


def elsewhere(
    session: Session, gone: Mapping[str, Collection[str]], studies: Collection[str]
) -> frozenset[str]:
    """Return which studies have files in a store from which they have not gone.

    Args:
        session: Any session.
        gone: Studies that have gone, by store.
        studies: All of them.
    """
    found: set[str] = set()
    for batch in batches(sorted(studies), _KEYS_A_QUERY):
        query = (
            sa.select(_file.c.store, _file.c.study_key)
            .where(_file.c.study_key.in_(batch))
            .distinct()
        )
        for store, study in session.connection().execute(query):
            if study not in gone.get(store, ()):
                found.add(study)
    return frozenset(found)


def mark_gone(session: Session, store: str, study: str, *, run_id: str) -> None:
    """Record that a run has removed the files of a study from the store."""
    session.connection().execute(
        sa.update(_file)
        .where(_file.c.store == store, _file.c.study_key == study, _file.c.gone_run.is_(None))
        .values(gone_run=run_id)
    )


def kept_hashes(
    session: Session, store: str, hashes: Iterable[str], *, but: Collection[str]
) -> frozenset[str]:
    """Return which contents a file of the store has that is not of one of these studies."""
    excluded = frozenset(but)
    found: set[str] = set()
    for batch in batches(hashes, _KEYS_A_QUERY):
        query = sa.select(_file.c.sha256, _file.c.study_key).where(
            _file.c.store == store, _file.c.sha256.in_(batch)
        )
        for sha256, study in session.connection().execute(query):
            if study not in excluded:
                found.add(sha256)
    return frozenset(found)


def reduce(session: Session, store: str, studies: Iterable[str]) -> None:
    """Forget the files of studies, and what drills have proved of them."""
    for batch in batches(studies, _KEYS_A_QUERY):
        for table in (_file, _proven):
            session.connection().execute(
                sa.delete(table).where(table.c.store == store, table.c.study_key.in_(batch))
            )
