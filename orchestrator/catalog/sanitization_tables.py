"""The rows of the catalog about sanitizations, custody and what retired media held."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, big, json


class Sanitization(Row, table=True):
    """One sanitization of one medium, from proposal to validation."""

    __tablename__ = "sanitization"
    __table_args__ = (sa.Index(None, "state"),)

    id: str = Field(primary_key=True)
    state: str
    basis: str
    technique: str
    device: str | None = None
    kind: str
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    identity: str | None = None
    size_bytes: int | None = big(default=None)
    medium: str | None = Field(default=None, index=True)
    property_number: str | None = None
    media_source: str | None = None
    destination: str | None = None
    required: str | None = None
    conditions: list[str] = json(list)
    facts: dict[str, Any] = json(dict)
    proposed_by: str
    proposed_at: dt.datetime
    decided_by: str | None = None
    decided_at: dt.datetime | None = None
    decision_reason: str | None = None
    run_id: str | None = None
    performed_by: str | None = None
    performer: str | None = None
    company: str | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    tool: str | None = None
    tool_version: str | None = None
    verification: str | None = None
    method: str | None = None
    reasons: list[str] = json(list)
    flags: list[str] = json(list)
    measured: dict[str, Any] = json(dict)
    evidence: dict[str, str] = json(dict)
    validation: str
    validated_by: str | None = None
    validated_at: dt.datetime | None = None
    validation_reasons: list[str] = json(list)
    certificate: str | None = None
    entries: list[int] = json(list)


class CustodyAct(Row, table=True):
    """What an act of custody says beyond the medium's register: from whom, to whom, which seal."""

    __tablename__ = "custody_act"

    medium: str = Field(primary_key=True, foreign_key="medium.id")
    at: dt.datetime = Field(primary_key=True)
    given_by: str | None = None
    taken_by: str | None = None
    seal: str | None = None


class MediumHolding(Row, table=True):
    """A snapshot that a retired medium still held, and where it is proven elsewhere."""

    __tablename__ = "medium_holding"

    medium: str = Field(primary_key=True, foreign_key="medium.id")
    snapshot: str = Field(primary_key=True)
    repository_id: str = Field(foreign_key="repository.id")
    repository: str
    keys: list[str] = json(list)
    retired_at: dt.datetime
    elsewhere: str
    elsewhere_verified_at: dt.datetime
