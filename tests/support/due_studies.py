"""Real DICOM studies of made-up patients whose records are due, and the list that says so.

``fill(site)`` puts them into the store of a site; ``prepare(site)`` backs them up, adopts the
schedule of the store's state and imports the patient list, so that ``OLD`` are due and ``NEW`` is
kept. Texas: five years after the last treatment.
"""

from __future__ import annotations

import datetime as dt
import io
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pydicom
from pydicom.data import get_testdata_file

from tests.support.site import LabSite

SCHEDULE = "us-tx-dental"

TODAY = dt.datetime.now(ZoneInfo("America/Chicago")).date()
"""At the site."""

BATCH = f"D-{TODAY.year}-0001"
"""The first batch that is proposed in a test."""


@dataclass(frozen=True)
class Made:
    """One study.

    Attributes:
        number: Tells it from others; its patient and UIDs are made from it.
        day: Of its images.
        patient: Number of its patient, if others share it.
        files: How many.
    """

    number: int
    day: dt.date
    patient: int | None = None
    files: int = 2

    @property
    def patient_id(self) -> str:
        """The patient's id."""
        return f"PAT{self.patient or self.number:04}"

    @property
    def uid(self) -> str:
        """The Study Instance UID."""
        return f"1.2.826.0.1.3680043.10.99.{self.number}"

    @property
    def folder(self) -> str:
        """Its folder in the store."""
        return f"{self.patient_id}/{self.day:%Y%m%d}-{self.number}"


OLD = (Made(1, dt.date(2003, 5, 6)), Made(2, dt.date(2004, 7, 8)), Made(3, dt.date(2005, 9, 10)))
_MONTHS_AGO = TODAY - dt.timedelta(days=300)
NEW = Made(9, _MONTHS_AGO.replace(day=min(_MONTHS_AGO.day, 28)))
"""Not of the 29th of February: tests count years from it."""


@cache
def _image() -> bytes:
    return Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()


def dicom(study: Made, file: int) -> bytes:
    """Return one image of a study."""
    dataset = pydicom.dcmread(io.BytesIO(_image()))
    dataset.PatientID = study.patient_id
    dataset.PatientName = f"Zzyzx{study.patient or study.number}^Quentin"
    dataset.PatientBirthDate = "19500203"
    dataset.StudyInstanceUID = study.uid
    dataset.SeriesInstanceUID = f"{study.uid}.1"
    dataset.SOPInstanceUID = f"{study.uid}.1.{file}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, f"{study.day:%Y%m%d}")
    dataset.InstanceCreationDate = f"{study.day:%Y%m%d}"
    dataset.InstanceNumber = str(file)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def fill(site: LabSite, studies: Iterable[Made] = (*OLD, NEW), *, empty: bool = True) -> None:
    """Put studies into a site's store, in the place of what is there."""
    if empty:
        shutil.rmtree(site.images)
    for study in studies:
        folder = site.images / study.folder
        folder.mkdir(parents=True)
        for file in range(1, study.files + 1):
            (folder / f"{file}.dcm").write_bytes(dicom(study, file))


def patient_list(
    site: LabSite, studies: Iterable[Made] = (*OLD, NEW), *, now: dt.datetime | None = None
) -> Path:
    """Write the practice's list of patients, each last treated on the day of the newest study."""
    last: dict[str, dt.date] = {}
    for study in studies:
        last[study.patient_id] = max(last.get(study.patient_id, study.day), study.day)
    at = (now or dt.datetime.now(dt.UTC)).isoformat(timespec="seconds")
    head = (
        "patient_id,issuer,birth_date,last_treatment_date,deceased_date,legal_hold,hold_reason,"
        "merged_into,exported_at"
    )
    lines = [head, *(f"{key},,1950-02-03,{day},,,,,{at}" for key, day in last.items())]
    path = site.folder / "patients.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def prepare(site: LabSite, studies: Iterable[Made] = (*OLD, NEW)) -> None:
    """Fill a site's store, back it up, adopt the schedule and import the patient list."""
    studies = tuple(studies)
    fill(site, studies)
    site.run("backup")
    site.run("--as", "privacy", "retention", "adopt", SCHEDULE)
    site.run("--as", "privacy", "patients", "import", patient_list(site, studies))
