"""Files of the stores and the studies they make up.

Paths and identities go in and come out in clear; in the database they are ciphertext, found by
keyed hashes. What a date or a header means is decided elsewhere.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from orchestrator.catalog.bulk import BATCH, batches, stream, table_of, upsert
from orchestrator.catalog.encryption import FieldKeys
from orchestrator.catalog.last_known import last_known
from orchestrator.catalog.tables import File, Run
from orchestrator.manifest import ManifestEntry

StudyDate = Callable[[dict[str, str]], tuple[dt.date, str] | None]
"""Gives a header's study date and the keyword it came from, or None."""

_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
_UID = re.compile(r"[0-9.]{1,64}")
_RECENT_KEYS = 4096
_HASHES_A_QUERY = 500

_file, _run = table_of(File), table_of(Run)
_to_json = json.JSONEncoder(separators=(",", ":")).encode


class StudyFile(NamedTuple):
    """One file of a study."""

    path: bytes
    sha256: str | None
    size_bytes: int


class Applied(NamedTuple):
    """How many entries were written and how many paths were marked as gone."""

    changed: int
    gone: int


def apply_changes(
    session: Session,
    store: str,
    *,
    run_id: str,
    changed: Iterable[ManifestEntry],
    gone: Iterable[bytes],
    keys: FieldKeys,
    study_date: StudyDate,
) -> Applied:
    """Record what a run has found new, changed or gone; memory stays bounded.

    A file that comes back is no longer gone and keeps the run that saw it first. A path given
    twice ends as its last entry says; one given as changed and as gone ends as gone. A file that
    cannot be read now stays with the study and the patient it was last known to be of.

    Args:
        session: A writing session.
        store: The store.
        run_id: The run that found it.
        changed: Entries that are new or differ from the last run.
        gone: Paths that are no longer in the store; unknown ones are passed over.
        keys: Cipher and pseudonyms of the catalog.
        study_date: Reads the study date from a header.
    """
    encoder = _Encoder(store, run_id, keys, study_date)
    written = upsert(
        session,
        File,
        (encoder.row(entry) for entry in changed),
        key=["store", "path_key"],
        keep=["first_run"],
        special=last_known(),
    )
    return Applied(written, _mark_gone(session, store, run_id, gone, keys))


def count(session: Session, store: str) -> int:
    """Return how many files of a store are not gone. Reads them all: prefer `store_state`."""
    query = sa.select(sa.func.count()).where(_file.c.store == store, _file.c.gone_run.is_(None))
    return int(session.connection().execute(query).scalar_one())


def newest_study_date(
    session: Session, store: str, *, at: dt.datetime, until: dt.date
) -> dt.date | None:
    """Return the newest study date that a store held at an instant, as far as runs have seen.

    Args:
        session: Any session.
        store: The store.
        at: The instant.
        until: Dates after this one are not believed.

    Returns:
        None if no file of the store has such a date.
    """
    later = sa.select(_run.c.id).where(_run.c.started_at > at)
    query = sa.select(sa.func.max(_file.c.study_date)).where(
        _file.c.store == store,
        _file.c.study_date <= until,
        _file.c.first_run.not_in(later),
        sa.or_(_file.c.gone_run.is_(None), _file.c.gone_run.in_(later)),
    )
    newest: dt.date | None = session.connection().execute(query).scalar()
    return newest


def entries_of_study(
    session: Session,
    store: str,
    *,
    study_key: str,
    keys: FieldKeys,
    present_only: bool = False,
) -> Iterator[StudyFile]:
    """Yield the files of a study, also those that are gone: a restore wants them back.

    Args:
        session: Any session; the iterator ends with its transaction.
        store: The store.
        study_key: The study's pseudonym.
        keys: Cipher and pseudonyms of the catalog.
        present_only: Only files that are not gone.

    Raises:
        DamageError: A path was changed in the database.
    """
    query = (
        sa.select(_file.c.path_key, _file.c.path_enc, _file.c.sha256, _file.c.size_bytes)
        .where(_file.c.store == store, _file.c.study_key == study_key)
        .order_by(_file.c.id)
    )
    if present_only:
        query = query.where(_file.c.gone_run.is_(None))
    for path_key, path_enc, sha256, size_bytes in stream(session, query):
        yield StudyFile(path_of(store, path_key, path_enc, keys), sha256, size_bytes)


def paths_for_hashes(
    session: Session, hashes: Iterable[str], *, keys: FieldKeys
) -> Iterator[tuple[str, str, bytes]]:
    """Yield hash, store and path of every file with one of these contents, gone ones too.

    Raises:
        DamageError: A path was changed in the database.
    """
    for batch in batches(hashes, _HASHES_A_QUERY):
        query = (
            sa.select(_file.c.sha256, _file.c.store, _file.c.path_key, _file.c.path_enc)
            .where(_file.c.sha256.in_(batch))
            .order_by(_file.c.sha256, _file.c.id)
        )
        for sha256, store, path_key, path_enc in stream(session, query):
            yield sha256, store, path_of(store, path_key, path_enc, keys)


def identity_of_study(
    session: Session, store: str, *, study_key: str, keys: FieldKeys
) -> dict[str, str] | None:
    """Return the header fields of a study's newest file, or None if there is no such study.

    Raises:
        DamageError: They were changed in the database.
    """
    query = (
        sa.select(_file.c.path_key, _file.c.identity_enc)
        .where(
            _file.c.store == store,
            _file.c.study_key == study_key,
            _file.c.identity_enc.is_not(None),
        )
        .order_by(_file.c.id.desc())
        .limit(1)
    )
    row = session.connection().execute(query).first()
    if row is None:
        return None
    plain = keys.cipher.decrypt(row.identity_enc, _context("identity", store, row.path_key))
    fields: dict[str, str] = json.loads(plain)
    return fields


def _mark_gone(
    session: Session, store: str, run_id: str, gone: Iterable[bytes], keys: FieldKeys
) -> int:
    statement = (
        sa.update(_file)
        .where(
            _file.c.store == store,
            _file.c.path_key == sa.bindparam("gone_key"),
            _file.c.gone_run.is_(None),
        )
        .values(gone_run=run_id)
    )
    given = 0
    for batch in batches(gone, BATCH):
        rows = [{"gone_key": keys.pseudonyms.path(store, path)} for path in batch]
        session.connection().execute(statement, rows)
        given += len(batch)
    return given


class _Encoder:
    """Turns manifest entries into rows; neighbours share study, series and patient."""

    def __init__(self, store: str, run_id: str, keys: FieldKeys, study_date: StudyDate) -> None:
        recent = lru_cache(maxsize=_RECENT_KEYS)
        self._store = store
        self._run_id = run_id
        self._keys = keys
        self._study_date = study_date
        self._study = recent(keys.pseudonyms.study)
        self._series = recent(keys.pseudonyms.series)
        self._patient = recent(keys.pseudonyms.patient)

    def row(self, entry: ManifestEntry) -> dict[str, Any]:
        key = self._keys.pseudonyms.path(self._store, entry.path)
        encrypt = self._keys.cipher.encrypt
        stat = entry.stat
        return {
            "store": self._store,
            "path_key": key,
            "path_enc": encrypt(entry.path, _context("path", self._store, key)),
            "kind": entry.kind,
            "state": entry.state,
            "size_bytes": stat.size_bytes if stat else 0,
            "mtime_ns": stat.mtime_ns if stat else 0,
            "sha256": entry.sha256,
            **self._dicom(entry.dicom or {}, key),
            "note": entry.note,
            "first_run": self._run_id,
            "since_run": entry.since or self._run_id,
            "gone_run": None,
        }

    def _dicom(self, header: dict[str, str], key: str) -> dict[str, Any]:
        study = header.get("study_instance_uid")
        series = header.get("series_instance_uid")
        instance = header.get("sop_instance_uid")
        date, source = (self._study_date(header) if header else None) or (None, None)
        context = _context("identity", self._store, key)
        return {
            "study_key": self._study(study) if study else None,
            "series_key": self._series(series) if series else None,
            "instance_key": self._keys.pseudonyms.instance(instance) if instance else None,
            "patient_key": self._patient(
                header.get("issuer_of_patient_id", ""), header.get("patient_id", "")
            ),
            "modality": _if_like(_CODE, header.get("modality")),
            "sop_class_uid": _if_like(_UID, header.get("sop_class_uid")),
            "study_date": date,
            "study_date_source": source,
            "identity_enc": (
                self._keys.cipher.encrypt(_to_json(header).encode(), context) if header else None
            ),
        }


def _if_like(form: re.Pattern[str], text: str | None) -> str | None:
    """Let through what has the form it must have: only that may stand in clear.

    Source: DICOM PS3.5 table 6.2-1, CS and UI.
    """
    return text if text is not None and form.fullmatch(text) else None


def _context(field: str, store: str, path_key: str) -> str:
    return f"file.{field}|{store}|{path_key}"


def path_of(store: str, path_key: str, path_enc: bytes, keys: FieldKeys) -> bytes:
    """Return the path of a file's row in clear.

    Raises:
        DamageError: It was changed in the database.
    """
    return keys.cipher.decrypt(path_enc, _context("path", store, path_key))
