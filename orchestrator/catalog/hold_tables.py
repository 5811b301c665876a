"""The rows of the catalog about legal holds."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row


class Hold(Row, table=True):
    """One legal hold, in force until two people have released it."""

    __tablename__ = "hold"
    __table_args__ = (sa.Index(None, "released_at"),)

    id: str = Field(primary_key=True)
    kind: str
    store: str | None = None
    study_key: str | None = Field(default=None, index=True)
    patient_key: str | None = Field(default=None, index=True)
    dates_from: dt.date | None = None
    dates_to: dt.date | None = None
    matter: str
    reason_enc: bytes
    source: str
    starts_at: dt.datetime
    placed_by: str
    placed_at: dt.datetime
    release_asked_by: str | None = None
    release_asked_at: dt.datetime | None = None
    release_reason_enc: bytes | None = None
    released_by: str | None = None
    released_at: dt.datetime | None = None
