"""The rows of the catalog about drills: what was proven when, and what was due and did not happen.

Nothing here identifies a patient: studies are pseudonyms.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, big, json, number


class Drill(Row, table=True):
    """One drill; without an end while it runs, or after a crash."""

    __tablename__ = "drill"
    __table_args__ = (sa.Index(None, "store", "copy", "started_at"),)

    id: str = Field(primary_key=True)
    run_id: str | None = Field(default=None, index=True)
    store: str
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, nullable=False))
    role: str
    medium: str | None = None
    scope: str
    snapshot: str | None = None
    as_of: dt.datetime | None = None
    kit_only: bool
    actor: str
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    verdict: str | None = None
    exit_code: int | None = None
    rto_s: float | None = None
    rto_projected_s: float | None = None
    rpo_s: float | None = None
    files: int = big()
    size_bytes: int = big()
    report: str | None = None
    report_sha256: str | None = None
    result: dict[str, Any] = json(dict)


class DrillProven(Row, table=True):
    """When a study was last restored from a copy and found as it must be."""

    __tablename__ = "drill_proven"

    store: str = Field(primary_key=True)
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, primary_key=True))
    study_key: str = Field(primary_key=True)
    at: dt.datetime


class DrillSignOff(Row, table=True):
    """A person's signature under a drill's report."""

    __tablename__ = "drill_sign_off"

    id: int | None = number()
    drill: str = Field(foreign_key="drill.id", index=True)
    actor: str
    actor_name: str
    actor_title: str
    at: dt.datetime
    note: str


class MissedEvent(Row, table=True):
    """Something that was due and did not happen, or did not end well; each is noticed once."""

    __tablename__ = "missed_event"
    __table_args__ = (sa.Index(None, "recorded_at"),)

    job: str = Field(primary_key=True)
    slot: str = Field(primary_key=True)
    action: str
    store: str | None = None
    kind: str
    due_at: dt.datetime
    noticed_at: dt.datetime
    recorded_at: dt.datetime | None = None


class SuppressedStudy(Row, table=True):
    """A disposed study: every restore leaves it out."""

    __tablename__ = "suppressed_study"

    store: str = Field(primary_key=True)
    study_key: str = Field(primary_key=True)
    since: dt.datetime
