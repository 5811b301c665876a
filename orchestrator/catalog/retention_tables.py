"""The rows of the catalog about adopted schedules and the patient list."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlmodel import Field

from orchestrator.catalog.base import Row, big, number


class AdoptedSchedule(Row, table=True):
    """A retention schedule as it was adopted, with its text; replaced ones stay."""

    __tablename__ = "adopted_schedule"
    __table_args__ = (sa.Index(None, "schedule_id", "adopted_at"),)

    id: int | None = number()
    schedule_id: str
    version: str
    digest: str
    kind: str
    jurisdiction: str | None = None
    text: str
    image_clock: bool = False
    adopted_by: str
    adopted_at: dt.datetime
    replaced_at: dt.datetime | None = None


class PatientList(Row, table=True):
    """One imported patient list, or one that was refused."""

    __tablename__ = "patient_list"
    __table_args__ = (sa.Index(None, "state", "imported_at"),)

    id: str = Field(primary_key=True)
    state: str
    sha256: str
    exported_at: dt.datetime | None = None
    imported_at: dt.datetime
    imported_by: str
    rows: int = big()
    accepted: int = big(default=0)
    rejected: int = big(default=0)
    refusal: str | None = None


class ListedPatient(Row, table=True):
    """What the list in force says of one patient; everything but the keys is ciphertext."""

    __tablename__ = "listed_patient"

    patient_key: str = Field(primary_key=True)
    list_id: str = Field(foreign_key="patient_list.id", index=True)
    merged_into: str | None = Field(default=None, index=True)
    details_enc: bytes
