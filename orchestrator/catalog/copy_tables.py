"""The rows of the catalog about copies: files, states, checks, media, buckets."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, big, json, number

NO_MEDIUM = ""
"""The medium of a copy that is not kept on media."""


class CopyFile(Row, table=True):
    """One repository file in one copy."""

    __tablename__ = "copy_file"

    copy_: str = Field(sa_column=sa.Column("copy", sa.String, primary_key=True))
    medium: str = Field(primary_key=True)
    repository_id: str = Field(primary_key=True, foreign_key="repository.id")
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    size_bytes: int = big()
    version_id: str | None = None
    retain_until: dt.datetime | None = None
    stored_at: dt.datetime
    verified_at: dt.datetime | None = None
    state: str
    removed_at: dt.datetime | None = None


class CopyState(Row, table=True):
    """What is known of one repository in one copy."""

    __tablename__ = "copy_state"

    copy_: str = Field(sa_column=sa.Column("copy", sa.String, primary_key=True))
    medium: str = Field(primary_key=True)
    repository_id: str = Field(primary_key=True, foreign_key="repository.id")
    state: str
    newest_snapshot: str | None = None
    newest_at: dt.datetime | None = None
    replicated_at: dt.datetime | None = None
    verified_at: dt.datetime | None = None
    protected_until: dt.datetime | None = None
    observed_at: dt.datetime | None = None
    detail: str | None = None


class CheckResult(Row, table=True):
    """What one check of a copy, or of a slice of it, found."""

    __tablename__ = "check_result"
    __table_args__ = (sa.Index(None, "copy", "medium", "repository_id", "at"),)

    id: int | None = number()
    run_id: str
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, nullable=False))
    medium: str
    repository_id: str = Field(foreign_key="repository.id")
    at: dt.datetime
    slice_n: int
    slice_t: int
    files: int = big()
    size_bytes: int = big()
    damaged: list[str] = json(list)


class Medium(Row, table=True):
    """A physical carrier of an offline copy and where it is."""

    __tablename__ = "medium"

    id: str = Field(primary_key=True)
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, nullable=False, index=True))
    label: str
    serial: str | None = None
    fs_uuid: str
    state: str
    holder: str | None = None
    location: str | None = None
    registered_at: dt.datetime
    last_seen: dt.datetime | None = None
    due_at: dt.datetime | None = None
    retired_at: dt.datetime | None = None


class MediumEvent(Row, table=True):
    """One act of custody."""

    __tablename__ = "medium_event"

    id: int | None = number()
    medium: str = Field(foreign_key="medium.id", index=True)
    at: dt.datetime
    actor: str
    event: str
    holder: str | None = None
    location: str | None = None
    note: str | None = None


class BucketProbe(Row, table=True):
    """One tamper probe of a bucket."""

    __tablename__ = "bucket_probe"
    __table_args__ = (sa.Index(None, "copy", "at"),)

    id: int | None = number()
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, nullable=False))
    at: dt.datetime
    verdict: str
    attempts: list[dict[str, Any]] = json(list)


class BucketCoverage(Row, table=True):
    """Until when one listing proved a snapshot's files to be protected."""

    __tablename__ = "bucket_coverage"
    __table_args__ = (sa.Index(None, "copy", "repository_id", "at"),)

    id: int | None = number()
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, nullable=False))
    repository_id: str = Field(foreign_key="repository.id")
    snapshot: str
    at: dt.datetime
    files: int = big()
    missing: int = big()
    protected_until: dt.datetime | None = None
    requests: int = big()
