"""The rows of the catalog: runs, stores, repositories, files, snapshots, facts.

Rows only: they hold what others have validated and know nothing of what it means. Instants are
aware UTC datetimes. Rows about copies and media, drills, ledger, certificates, sanitization,
retention, holds and disposals are in the modules named after them.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog import (
    certificate_tables,
    copy_tables,
    determination_tables,
    disposal_tables,
    drill_tables,
    hold_tables,
    ledger_tables,
    place_tables,
    retention_tables,
    sanitization_tables,
)
from orchestrator.catalog.base import Row, big, json, number

FURTHER_TABLES = (
    drill_tables,
    ledger_tables,
    certificate_tables,
    sanitization_tables,
    retention_tables,
    hold_tables,
    determination_tables,
    disposal_tables,
    place_tables,
)
"""Imported so that `metadata` knows their rows, whoever asks."""

metadata = copy_tables.CopyFile.metadata
"""Every table of the catalog."""


class Run(Row, table=True):
    """One execution of a job or command."""

    __tablename__ = "run"
    __table_args__ = (
        sa.Index(None, "store", "action", "started_at"),
        sa.Index(None, "ended_at"),
    )

    id: str = Field(primary_key=True)
    action: str
    store: str | None = None
    job: str | None = None
    slot: str | None = None
    actor: str
    host: str
    pid: int
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    outcome: str | None = None
    reason: str | None = None
    metrics: dict[str, Any] = json(dict)
    attempt: int = 1


class RunStep(Row, table=True):
    """One step of a run."""

    __tablename__ = "run_step"

    run_id: str = Field(primary_key=True, foreign_key="run.id")
    seq: int = Field(primary_key=True)
    name: str
    copy_: str | None = Field(default=None, sa_column=sa.Column("copy", sa.String))
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    outcome: str | None = None
    detail: str | None = None


class JobSlot(Row, table=True):
    """A slot of a job's schedule that somebody has claimed."""

    __tablename__ = "job_slot"

    job: str = Field(primary_key=True)
    slot: str = Field(primary_key=True)
    run_id: str | None = None
    claimed_at: dt.datetime
    ended_at: dt.datetime | None = None
    outcome: str | None = None


class StoreState(Row, table=True):
    """What the last complete walk of a store found."""

    __tablename__ = "store_state"

    store: str = Field(primary_key=True)
    file_count: int = big()
    size_bytes: int = big()
    manifest_run: str | None = None
    walked_at: dt.datetime | None = None
    newest_study_date: dt.date | None = None


class Repository(Row, table=True):
    """A restic repository; its id is restic's, in full."""

    __tablename__ = "repository"

    id: str = Field(primary_key=True)
    store: str = Field(index=True)
    name: str = Field(unique=True)
    config_sha256: str
    created_at: dt.datetime


class File(Row, table=True):
    """One file of a store as the last run saw it.

    In clear stand only keyed hashes, sizes, hashes of content, modality, class and study date;
    the path and everything that names a person or a study is ciphertext.
    """

    __tablename__ = "file"
    __table_args__ = (
        sa.UniqueConstraint("store", "path_key"),
        sa.Index(None, "store", "study_key"),
        sa.Index(None, "sha256"),
    )

    id: int | None = number()
    store: str
    path_key: str
    path_enc: bytes
    kind: str
    state: str
    size_bytes: int = big()
    mtime_ns: int = big()
    sha256: str | None = None
    study_key: str | None = None
    series_key: str | None = None
    instance_key: str | None = None
    patient_key: str | None = None
    modality: str | None = None
    sop_class_uid: str | None = None
    study_date: dt.date | None = None
    study_date_source: str | None = None
    identity_enc: bytes | None = None
    note: str | None = None
    first_run: str
    since_run: str
    gone_run: str | None = None


class Snapshot(Row, table=True):
    """A snapshot in a repository; its id is restic's, in full."""

    __tablename__ = "snapshot"
    __table_args__ = (sa.Index(None, "store", "kind", "at"),)

    id: str = Field(primary_key=True)
    repository_id: str = Field(foreign_key="repository.id")
    store: str
    run_id: str
    kind: str
    at: dt.datetime
    files: int = big()
    size_bytes: int = big()
    tree: str | None = None
    complete: bool
    note: str | None = None
    forgotten_at: dt.datetime | None = None
    forgotten_run: str | None = None


class SiteFact(Row, table=True):
    """A single named value about the site."""

    __tablename__ = "site_fact"

    key: str = Field(primary_key=True)
    value: str
    at: dt.datetime
