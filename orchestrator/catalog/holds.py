"""Legal holds: their rows, the gate, and the patients and studies that one can name.

Rows and queries only: who may place or release a hold, and what a hold keeps, is decided by the
actions; what one covers is in `hold_cover`.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog import facts, lookup
from orchestrator.catalog.bulk import batches, stream, table_of
from orchestrator.catalog.disposal_tables import DisposalStudy, SnapshotReplacement
from orchestrator.catalog.encryption import FieldKeys
from orchestrator.catalog.hold_tables import Hold
from orchestrator.catalog.retention_tables import ListedPatient
from orchestrator.catalog.tables import File

_KEYS_A_QUERY = 500

_file, _hold, _of_disposal = table_of(File), table_of(Hold), table_of(DisposalStudy)


def gate(session: Session) -> None:
    """Let nobody place or release a hold until this transaction ends, or wait for who does.

    On SQLite a writing transaction is the only one anyhow; on PostgreSQL the table of the holds
    is locked against writers. Readers are not held up.

    Args:
        session: A writing session, before anything was read in it.

    Raises:
        LockedError: Somebody else holds it for longer than we wait.
        EngineError: The session cannot write: it would shut nobody out.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE hold IN SHARE ROW EXCLUSIVE MODE"))
    # Refused in a session that only reads, where SQLite's gate would stand open.
    connection.execute(sa.update(_hold).where(sa.false()).values(matter=""))


def add(session: Session, hold: Hold) -> None:
    """Record a hold."""
    session.add(hold)
    session.flush()


def next_number(session: Session, year: int) -> int:
    """Return the number of the next hold of a year, from 1; released ones keep theirs."""
    return lookup.next_number(session, Hold, f"H-{year}-")


def get(session: Session, hold_id: str) -> Hold:
    """Return a hold by its id.

    Raises:
        NotFoundError: There is none of this id.
    """
    missing = "there is no such hold"
    return lookup.by_id(session, Hold, hold_id, missing=missing, hint="orchestrator hold list")


def listing(session: Session, *, released: bool = False) -> Sequence[Hold]:
    """Return the holds in force, oldest first; also those that were released, if asked."""
    query = select(Hold).order_by(col(Hold.placed_at), col(Hold.id))
    if not released:
        query = query.where(col(Hold.released_at).is_(None))
    return session.exec(query).all()


def save(session: Session, hold: Hold) -> None:
    """Write back what has changed of a hold."""
    session.add(hold)
    session.flush()


def keep_second_reason(session: Session, hold: str, field: bytes, now: dt.datetime) -> None:
    """Keep why the second person has released a hold: the row has room for the first one's."""
    value = base64.b64encode(field).decode("ascii")
    facts.put(session, f"hold-release:{hold}", value=value, now=now)


def merges(session: Session) -> list[tuple[str, str]]:
    """Return which patient the list in force says was merged into which."""
    query = select(ListedPatient.patient_key, ListedPatient.merged_into).where(
        col(ListedPatient.merged_into).is_not(None)
    )
    return [(one, other) for one, other in session.exec(query) if other is not None]


def knows_patient(session: Session, keys: Collection[str]) -> bool:
    """Say whether a file or the patient list names one of these patients."""
    for column in (_file.c.patient_key, table_of(ListedPatient).c.patient_key):
        query = sa.select(sa.literal(1)).where(column.in_(keys)).limit(1)
        if session.connection().execute(query).first() is not None:
            return True
    return False


def knows_study(session: Session, study: str, store: str | None) -> bool:
    """Say whether a file, or a disposal, of the store (None: of any) is of this study."""
    for table in (_file, _of_disposal):
        query = sa.select(sa.literal(1)).where(table.c.study_key == study).limit(1)
        if store is not None:
            query = query.where(table.c.store == store)
        if session.connection().execute(query).first() is not None:
            return True
    return False


def unissued_patients(
    session: Session, store: str, keys: FieldKeys, among: Collection[str] | None = None
) -> Iterator[tuple[str, str]]:
    """Yield patient key and patient id where the newest of a patient's images names no issuer.

    Such a key was computed without an issuer; where the site file names the store's, the patient
    list knows the same person by another key.

    Args:
        session: Any session; the iterator ends with its transaction.
        store: The store.
        keys: Cipher and pseudonyms of the catalog.
        among: Only patients of these studies; None for all.

    Raises:
        DamageError: A field was changed in the database.
    """
    groups: list[list[str] | None] = [None]
    if among is not None:
        groups = list(batches(among, _KEYS_A_QUERY))
    for group in groups:
        newest = (
            sa.select(sa.func.max(_file.c.id))
            .where(_file.c.store == store, _file.c.patient_key.is_not(None))
            .group_by(_file.c.patient_key)
        )
        if group is not None:
            newest = newest.where(_file.c.study_key.in_(group))
        query = sa.select(_file.c.path_key, _file.c.patient_key, _file.c.identity_enc).where(
            _file.c.id.in_(newest), _file.c.identity_enc.is_not(None)
        )
        for path_key, patient_key, field in stream(session, query):
            plain = keys.cipher.decrypt(field, f"file.identity|{store}|{path_key}")
            header: dict[str, str] = json.loads(plain)
            if not header.get("issuer_of_patient_id", "").strip():
                yield patient_key, header.get("patient_id", "")


def patient_id(session: Session, patient_key: str, keys: FieldKeys) -> tuple[str, str] | None:
    """Return issuer (may be empty) and id of a patient as an image names it; None if none does.

    Raises:
        DamageError: A field was changed in the database.
    """
    query = (
        sa.select(_file.c.store, _file.c.path_key, _file.c.identity_enc)
        .where(_file.c.patient_key == patient_key, _file.c.identity_enc.is_not(None))
        .limit(1)
    )
    row = session.connection().execute(query).first()
    if row is None:
        return None
    plain = keys.cipher.decrypt(row.identity_enc, f"file.identity|{row.store}|{row.path_key}")
    header: dict[str, str] = json.loads(plain)
    return header.get("issuer_of_patient_id", ""), header.get("patient_id", "")


def replacements(session: Session, repository_id: str) -> Sequence[SnapshotReplacement]:
    """Return what disposals have put in the place of which data snapshot."""
    query = select(SnapshotReplacement).where(
        col(SnapshotReplacement.repository_id) == repository_id,
        col(SnapshotReplacement.kind) == "data",
    )
    return session.exec(query).all()
