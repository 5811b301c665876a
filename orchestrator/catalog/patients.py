"""The patient list in force: one row per patient, everything but the keys as ciphertext.

Rows only: what makes a list good or bad is judged elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import batches, stream, table_of, upsert
from orchestrator.catalog.encryption import FieldCipher
from orchestrator.catalog.retention_tables import ListedPatient, PatientList
from orchestrator.retention.listed import Listed

IN_FORCE = "in_force"
REPLACED = "replaced"
REFUSED = "refused"

_KEYS_A_QUERY = 500

_list, _listed = table_of(PatientList), table_of(ListedPatient)


def in_force(session: Session) -> PatientList | None:
    """Return the list that decisions rest on; None if there is none."""
    query = select(PatientList).where(col(PatientList.state) == IN_FORCE)
    return session.exec(query).one_or_none()


def newest(session: Session) -> PatientList | None:
    """Return the list that was imported last, taken or refused; None if there is none."""
    query = select(PatientList).order_by(
        col(PatientList.imported_at).desc(), col(PatientList.id).desc()
    )
    return session.exec(query.limit(1)).first()


def taken_since(session: Session, at: dt.datetime) -> Sequence[PatientList]:
    """Return the lists that were taken since an instant, oldest first."""
    query = select(PatientList).where(
        col(PatientList.imported_at) >= at, col(PatientList.state) != REFUSED
    )
    return session.exec(query.order_by(col(PatientList.imported_at), col(PatientList.id))).all()


def refused(session: Session) -> Sequence[PatientList]:
    """Return every list that was refused, in any order."""
    return session.exec(select(PatientList).where(col(PatientList.state) == REFUSED)).all()


def is_known(session: Session, list_id: str) -> bool:
    """Say whether a list of this id was ever imported here."""
    return session.get(PatientList, list_id) is not None


def add_refused(session: Session, row: PatientList) -> None:
    """Remember a list that was refused; nothing of what it says is kept."""
    session.add(row)
    session.flush()


def replace(
    session: Session, row: PatientList, listed: Mapping[str, Listed], *, cipher: FieldCipher
) -> None:
    """Put a list into force in the place of the one before, whole.

    Args:
        session: A writing session.
        row: The list; its state becomes `IN_FORCE`.
        listed: What it says, by the patient's pseudonym.
        cipher: Encrypts what it says.
    """
    connection = session.connection()
    connection.execute(sa.update(_list).where(_list.c.state == IN_FORCE).values(state=REPLACED))
    row.state = IN_FORCE
    session.add(row)
    session.flush()
    connection.execute(sa.delete(_listed))
    upsert(
        session,
        ListedPatient,
        (
            {
                "patient_key": key,
                "list_id": row.id,
                "merged_into": one.merged_into,
                "details_enc": cipher.encrypt(_encode(one), _context(key)),
            }
            for key, one in listed.items()
        ),
        key=["patient_key"],
    )


def every(session: Session, cipher: FieldCipher) -> Iterator[tuple[str, Listed]]:
    """Yield what the list in force says of each patient; ends with the session's transaction.

    Raises:
        DamageError: A row was changed in the database.
    """
    yield from _decoded(session, sa.select(_listed), cipher)


def listed(session: Session, cipher: FieldCipher, patients: Iterable[str]) -> dict[str, Listed]:
    """Return what the list in force says of some patients; those it does not name are left out.

    Raises:
        DamageError: A row was changed in the database.
    """
    found: dict[str, Listed] = {}
    for batch in batches(sorted(set(patients)), _KEYS_A_QUERY):
        query = sa.select(_listed).where(_listed.c.patient_key.in_(batch))
        found.update(_decoded(session, query, cipher))
    return found


def merges(session: Session) -> dict[str, str]:
    """Return into whom patients were merged in the end, by their own pseudonyms."""
    query = sa.select(_listed.c.patient_key, _listed.c.merged_into).where(
        _listed.c.merged_into.is_not(None)
    )
    return {str(patient): str(into) for patient, into in stream(session, query)}


def one_person(session: Session, patients: Collection[str]) -> frozenset[str]:
    """Return these pseudonyms and those of everybody merged with, into or from them."""
    roots = set(patients)
    for batch in batches(sorted(roots), _KEYS_A_QUERY):
        query = sa.select(_listed.c.merged_into).where(
            _listed.c.patient_key.in_(batch), _listed.c.merged_into.is_not(None)
        )
        roots |= set(session.connection().execute(query).scalars())
    found = set(roots)
    for batch in batches(sorted(roots), _KEYS_A_QUERY):
        query = sa.select(_listed.c.patient_key).where(_listed.c.merged_into.in_(batch))
        found |= set(session.connection().execute(query).scalars())
    return frozenset(found)


def _decoded(
    session: Session, query: sa.Select[Any], cipher: FieldCipher
) -> Iterator[tuple[str, Listed]]:
    columns = query.with_only_columns(
        _listed.c.patient_key, _listed.c.merged_into, _listed.c.details_enc
    )
    for key, merged_into, field in stream(session, columns):
        yield key, _decode(cipher.decrypt(field, _context(key)), merged_into)


def _encode(one: Listed) -> bytes:
    body: dict[str, Any] = {
        "last_treatment": _text(one.last_treatment),
        "died": _text(one.died),
        "incompetent": one.is_incompetent or None,
        "birth_year": one.birth_year,
        "birth_key": one.birth_key,
        "blocked": one.blocked,
    }
    said = {name: value for name, value in body.items() if value is not None}
    return json.dumps(said, separators=(",", ":")).encode()


def _decode(plain: bytes, merged_into: str | None) -> Listed:
    body: dict[str, Any] = json.loads(plain)
    return Listed(
        last_treatment=_day(body.get("last_treatment")),
        died=_day(body.get("died")),
        is_incompetent=bool(body.get("incompetent")),
        birth_year=body.get("birth_year"),
        birth_key=body.get("birth_key"),
        blocked=body.get("blocked"),
        merged_into=merged_into,
    )


def _text(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date.fromisoformat(text)


def _context(patient_key: str) -> str:
    return f"listed_patient|{patient_key}"
