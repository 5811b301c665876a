"""The images of studies as decisions about them need it: each with its header, in clear.

Streams; memory does not grow with the number of images. Gone files count like present ones: as
long as they have a row, some snapshot or copy may hold them. What a header means is judged
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog.bulk import batches, stream, table_of
from orchestrator.catalog.encryption import FieldKeys
from orchestrator.catalog.tables import File

_KEYS_A_QUERY = 500

_file = table_of(File)
_columns = (
    _file.c.store,
    _file.c.study_key,
    _file.c.patient_key,
    _file.c.state,
    _file.c.size_bytes,
    _file.c.mtime_ns,
    _file.c.modality,
    _file.c.sop_class_uid,
    _file.c.sha256,
    _file.c.gone_run,
    _file.c.path_key,
    _file.c.identity_enc,
)


class Image(NamedTuple):
    """One file of a study.

    Attributes:
        store: Store name.
        study: Pseudonym of the study; None if it names a patient and no study.
        patient: Pseudonym of the patient by the header alone; None if it has no patient id.
        state: As the manifest has it.
        size_bytes: Its length.
        mtime_ns: When it was last written, in nanoseconds since the epoch; 0 if that is not known.
        modality: As in the header; None if absent.
        sop_class_uid: As in the header; None if absent.
        header: The recorded header fields by keyword.
        mark: Stands for the file, wherever it lies: its SHA-256, or else the hash of its path.
        is_gone: It is not in the store any more.
    """

    store: str
    study: str | None
    patient: str | None
    state: str
    size_bytes: int
    mtime_ns: int
    modality: str | None
    sop_class_uid: str | None
    header: dict[str, str]
    mark: str = ""
    is_gone: bool = False


def images(
    session: Session,
    keys: FieldKeys,
    *,
    store: str | None = None,
    studies: Collection[str] | None = None,
) -> Iterator[Image]:
    """Yield images of studies, those of one study of one store behind each other.

    Ordered by store and study unless `studies` narrow it down.

    Args:
        session: Any session; the iterator ends with its transaction.
        keys: Cipher and pseudonyms of the catalog.
        store: Only of this store.
        studies: Only of these studies.

    Raises:
        DamageError: A header was changed in the database.
    """
    query = sa.select(*_columns).where(_file.c.study_key.is_not(None))
    if store is not None:
        query = query.where(_file.c.store == store)
    query = query.order_by(_file.c.store, _file.c.study_key, _file.c.id)
    for part in _narrowed(query, _file.c.study_key, studies):
        for row in stream(session, part):
            yield _image(keys, row)


def images_of_patients(
    session: Session, keys: FieldKeys, *, patients: Collection[str] | None = None
) -> Iterator[Image]:
    """Yield images of studies or of patients; those that name a patient and no study too.

    Those of one study of one store come behind each other unless `patients` narrow it down.

    Args:
        session: Any session; the iterator ends with its transaction.
        keys: Cipher and pseudonyms of the catalog.
        patients: Only with one of these values of `Image.patient`.

    Raises:
        DamageError: A header was changed in the database.
    """
    query = (
        sa.select(*_columns)
        .where(sa.or_(_file.c.study_key.is_not(None), _file.c.patient_key.is_not(None)))
        .order_by(_file.c.store, _file.c.study_key, _file.c.id)
    )
    for part in _narrowed(query, _file.c.patient_key, patients):
        for row in stream(session, part):
            yield _image(keys, row)


def patient_samples(
    session: Session, keys: FieldKeys, *, stores: Collection[str] | None = None
) -> Iterator[Image]:
    """Yield one image for each patient of each store.

    Args:
        session: Any session; the iterator ends with its transaction.
        keys: Cipher and pseudonyms of the catalog.
        stores: Only of these.

    Raises:
        DamageError: A header was changed in the database.
    """
    first = (
        sa.select(sa.func.min(_file.c.id))
        .where(
            _file.c.patient_key.is_not(None),
            *([] if stores is None else [_file.c.store.in_(sorted(stores))]),
        )
        .group_by(_file.c.store, _file.c.patient_key)
    )
    for row in stream(session, sa.select(*_columns).where(_file.c.id.in_(first))):
        yield _image(keys, row)


def shared_studies(session: Session) -> frozenset[str]:
    """Return the studies of which more than one store has files."""
    first, last = (
        session.connection()
        .execute(sa.select(sa.func.min(_file.c.store), sa.func.max(_file.c.store)))
        .one()
    )
    if first == last:
        return frozenset()
    query = (
        sa.select(_file.c.study_key)
        .where(_file.c.study_key.is_not(None))
        .group_by(_file.c.study_key)
        .having(sa.func.min(_file.c.store) != sa.func.max(_file.c.store))
    )
    return frozenset(study for (study,) in stream(session, query))


def _narrowed(
    query: sa.Select[Any], column: sa.ColumnElement[Any], wanted: Collection[str] | None
) -> Iterator[sa.Select[Any]]:
    if wanted is None:
        yield query
        return
    for batch in batches(sorted(set(wanted)), _KEYS_A_QUERY):
        yield query.where(column.in_(batch))


def _image(keys: FieldKeys, row: tuple[Any, ...]) -> Image:
    store, study, patient, state, size_bytes, mtime_ns, *kind, path_key, identity = row
    modality, sop_class_uid, sha256, gone_run = kind
    header: dict[str, str] = {}
    if identity is not None:
        plain = keys.cipher.decrypt(identity, f"file.identity|{store}|{path_key}")
        header = json.loads(plain.decode())
    return Image(
        store,
        study,
        patient,
        state,
        size_bytes,
        mtime_ns,
        modality,
        sop_class_uid,
        header,
        sha256 or path_key,
        gone_run is not None,
    )
