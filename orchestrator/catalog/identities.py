"""Every patient the catalog knows, in clear: for comparing, never for showing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog.bulk import stream, table_of
from orchestrator.catalog.encryption import FieldKeys
from orchestrator.catalog.tables import File

_file = table_of(File)


class Identity(NamedTuple):
    """What may name a patient or a study; empty where unknown.

    Attributes:
        patient_id: As in the image.
        patient_name: As in the image: ``FAMILY^GIVEN``, further writings after ``=``.
        accession_number: As in the image.
        path_parts: Folder and file names without their endings, of files without a header.
    """

    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    path_parts: tuple[str, ...] = ()


def known(session: Session, keys: FieldKeys) -> Iterator[Identity]:
    """Yield one identity per study, and the names of files that no study claims.

    Raises:
        DamageError: A field was changed in the database.
    """
    yield from _of_studies(session, keys)
    yield from _of_unattributed(session, keys)


def _of_studies(session: Session, keys: FieldKeys) -> Iterator[Identity]:
    # Several patients in one study, and several names of one patient, are faults that happen.
    newest = (
        sa.select(sa.func.max(_file.c.id))
        .where(_file.c.identity_enc.is_not(None))
        .group_by(_file.c.store, _file.c.study_key, _file.c.patient_key)
    )
    query = sa.select(_file.c.store, _file.c.path_key, _file.c.identity_enc).where(
        _file.c.id.in_(newest)
    )
    for store, path_key, field in stream(session, query):
        plain = keys.cipher.decrypt(field, f"file.identity|{store}|{path_key}")
        header: dict[str, str] = json.loads(plain)
        yield Identity(
            header.get("patient_id", ""),
            header.get("patient_name", ""),
            header.get("accession_number", ""),
        )


def _of_unattributed(session: Session, keys: FieldKeys) -> Iterator[Identity]:
    query = sa.select(_file.c.store, _file.c.path_key, _file.c.path_enc).where(
        _file.c.identity_enc.is_(None)
    )
    for store, path_key, field in stream(session, query):
        path = keys.cipher.decrypt(field, f"file.path|{store}|{path_key}")
        parts = path.decode("utf-8", "replace").split("/")
        yield Identity(path_parts=tuple(part.rpartition(".")[0] or part for part in parts))
