"""The rows of the catalog about disposals: batches, their studies, what became of each copy."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, big, json

LIVE = ""
"""The `copy` of the live store itself."""


class Disposal(Row, table=True):
    """One batch of studies that a schedule lets go."""

    __tablename__ = "disposal"
    __table_args__ = (sa.Index(None, "state"),)

    id: str = Field(primary_key=True)
    state: str
    paused: str | None = None
    plan_digest: str
    plan: dict[str, Any] = json(dict)
    proposed_by: str
    proposed_at: dt.datetime
    earliest_completion: dt.date | None = None
    decided_by: str | None = None
    decided_at: dt.datetime | None = None
    decision_reason: str | None = None
    notice: str | None = None
    quarantine_until: dt.datetime | None = None
    executed_by: str | None = None
    executed_at: dt.datetime | None = None
    holds_checked_at: dt.datetime | None = None
    completed_at: dt.datetime | None = None
    certificate: str | None = None
    entries: list[int] = json(list)


class DisposalStudy(Row, table=True):
    """One study of a batch: why it may go, and how far its disposal has come."""

    __tablename__ = "disposal_study"
    __table_args__ = (sa.Index(None, "store", "study_key"),)

    disposal: str = Field(primary_key=True, foreign_key="disposal.id")
    store: str = Field(primary_key=True)
    study_key: str = Field(primary_key=True)
    patient_key: str | None = None
    state: str
    withheld: str | None = None
    due: dt.date
    schedule_id: str
    schedule_version: str
    rule: str
    citation: str
    record_class: str
    files: int = big(default=0)
    size_bytes: int = big(default=0)
    dates_from: dt.date | None = None
    dates_to: dt.date | None = None
    content_digest: str | None = None
    live_removed_at: dt.datetime | None = None
    primary_removed_at: dt.datetime | None = None
    came_at: dt.datetime | None = None


class DisposalCopy(Row, table=True):
    """What became of a batch's studies on one copy of one store; `LIVE` for the store itself."""

    __tablename__ = "disposal_copy"

    disposal: str = Field(primary_key=True, foreign_key="disposal.id")
    store: str = Field(primary_key=True)
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, primary_key=True))
    medium: str = Field(primary_key=True)
    role: str
    state: str
    residual_until: dt.datetime | None = None
    proved_at: dt.datetime | None = None
    detail: str | None = None
    evidence: dict[str, Any] = json(dict)


class SnapshotReplacement(Row, table=True):
    """A snapshot that a disposal has replaced, or removed, so that it names no disposed study."""

    __tablename__ = "snapshot_replacement"

    old: str = Field(primary_key=True)
    new: str | None = None
    disposal: str = Field(foreign_key="disposal.id", index=True)
    repository_id: str = Field(foreign_key="repository.id")
    kind: str
    at: dt.datetime
