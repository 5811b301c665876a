"""The rows of the catalog about ledgers: commitments, open intents, anchors.

The ledger itself is files; a row here can be lost without any entry becoming less true. What
a subject's commitment stands for is kept nowhere else: deleting the row unlinks the entry.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, big, json, number


class Ledger(Row, table=True):
    """One ledger of the site; the one with the highest number is written."""

    __tablename__ = "ledger"

    number: int = Field(primary_key=True)
    origin: str = Field(unique=True)
    vkey: str
    opened_at: dt.datetime
    mirrored: int = big()
    closed_at: dt.datetime | None = None


class LedgerSubject(Row, table=True):
    """What one commitment of an entry stands for."""

    __tablename__ = "ledger_subject"
    __table_args__ = (sa.Index(None, "value_key"),)

    entry_id: str = Field(primary_key=True)
    seq: int = Field(primary_key=True)
    kind: str
    value_key: str
    sealed: str
    entry: int | None = big(default=None)


class LedgerSeen(Row, table=True):
    """An occasion that stands in the ledger, so that it is not recorded twice."""

    __tablename__ = "ledger_seen"

    occasion: str = Field(primary_key=True)
    ledger: int
    entry: int = big()


class LedgerIntent(Row, table=True):
    """An announced act of which no outcome stands in the ledger yet."""

    __tablename__ = "ledger_intent"

    entry_id: str = Field(primary_key=True)
    ledger: int
    entry: int = big()
    type: str
    at: dt.datetime


class LedgerAnchor(Row, table=True):
    """One checkpoint that lies, or is vouched for, outside this machine."""

    __tablename__ = "ledger_anchor"
    __table_args__ = (sa.Index(None, "ledger", "size"),)

    id: int | None = number()
    ledger: int
    kind: str
    target: str
    size: int = big()
    root: str
    at: dt.datetime
    detail: dict[str, Any] = json(dict)


class LedgerObject(Row, table=True):
    """One file of the ledger in a bucket."""

    __tablename__ = "ledger_object"

    copy_: str = Field(sa_column=sa.Column("copy", sa.String, primary_key=True))
    path: str = Field(primary_key=True)
    version_id: str
    sha256: str
    retain_until: dt.datetime | None = None


class LedgerOutside(Row, table=True):
    """What an anchor said when it was last asked for the newest checkpoint."""

    __tablename__ = "ledger_outside"

    target: str = Field(primary_key=True)
    ledger: int
    asked_at: dt.datetime
    state: str
    size: int | None = big(default=None)
    root: str | None = None
    detail: str | None = None
