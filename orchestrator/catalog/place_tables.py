"""The rows of the catalog about the places at which copies were ever seen."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, json

PLACE_PREFIX = "P-"
"""Every id of a place begins so; no id of a medium does."""


class CopyPlace(Row, table=True):
    """One place at which a copy was seen; media have a register of their own.

    `identity` and `volume` are None as long as nobody has looked. `left_at` is when the copy was
    first found elsewhere, or no longer in the site file; whatever was written before is at the
    place still, until two people have closed it.
    """

    __tablename__ = "copy_place"

    id: str = Field(primary_key=True)
    copy_: str = Field(sa_column=sa.Column("copy", sa.String, nullable=False, index=True))
    role: str
    location: str
    address: dict[str, str] = json(dict)
    identity: str | None = None
    volume: str | None = None
    first_seen: dt.datetime
    last_seen: dt.datetime
    left_at: dt.datetime | None = None
    asked_by: str | None = None
    asked_name: str | None = None
    asked_at: dt.datetime | None = None
    asked_note: str | None = None
    how: str | None = None
    sanitization: str | None = None
    closed_by: str | None = None
    closed_at: dt.datetime | None = None
    closed_note: str | None = None
    looked: str | None = None
