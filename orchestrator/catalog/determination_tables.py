"""The rows of the catalog about doubts that people have settled."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row


class Determination(Row, table=True):
    """One doubt about one study: what two people have found; it counts once it is made."""

    __tablename__ = "determination"
    __table_args__ = (sa.Index(None, "study_key", "doubt"),)

    id: str = Field(primary_key=True)
    study_key: str
    doubt: str
    facts: str
    asked_by: str
    asked_at: dt.datetime
    finding_enc: bytes
    made_by: str | None = None
    made_at: dt.datetime | None = None
    second_finding_enc: bytes | None = None
    withdrawn_by: str | None = None
    withdrawn_at: dt.datetime | None = None
