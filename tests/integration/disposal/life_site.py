"""The studies of a round, what the test knows of them, and the copies they lie on."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import random
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pydicom

from tests.support.due_studies import SCHEDULE, TODAY, Made, dicom
from tests.support.loop import LoopFileSystem, loop_file_system
from tests.support.site import STORE, LabSite

MEDIA = ("red", "blue")
DISK_MIB = 96
OLD = TODAY.replace(year=TODAY.year - 20, day=1)
NEW = TODAY - dt.timedelta(days=200)
CHILD = "PAT0004"
"""A minor: the record is kept until the age of 21."""

STUDIES = (
    Made(1, OLD),
    Made(2, OLD + dt.timedelta(40)),
    Made(3, OLD + dt.timedelta(80), files=1),
    Made(4, TODAY - dt.timedelta(days=8 * 365)),
    Made(5, NEW),
    Made(6, OLD + dt.timedelta(120), patient=1),
    Made(7, NEW, files=1),
    Made(8, OLD + dt.timedelta(160)),
)
LARGE = (2, 5)
"""Of more than one chunk each, with the same pixels: all but the first chunk is the other's too."""

SHARED = (3, 7)
"""In one folder."""


@cache
def image(study: Made, file: int) -> bytes:
    """Return one image of a study."""
    dataset = pydicom.dcmread(io.BytesIO(dicom(study, file)))
    if study.patient_id == CHILD:
        dataset.PatientBirthDate = f"{TODAY.year - 15}0203"
    if study.number in LARGE:
        dataset.Rows = dataset.Columns = 1100
        dataset.PixelData = random.Random(file).randbytes(2 * 1100 * 1100)
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


@dataclass
class Life:
    """What the test knows of a store, written down as it is done and never asked of the product.

    Attributes:
        images: The store's folder.
        live: SHA-256 of every file that must be there, by path.
        owner: Number of the study of each content; none for notes.
        studies: By number.
        treated: Last treatment of every patient by the list in force.
        local_years: Of the site's own schedule as adopted.
    """

    images: Path
    live: dict[str, str] = field(default_factory=dict)
    owner: dict[str, int] = field(default_factory=dict)
    studies: dict[int, Made] = field(default_factory=lambda: {one.number: one for one in STUDIES})
    treated: dict[str, dt.date] = field(default_factory=dict)
    local_years: int = 0

    def fill(self) -> None:
        """Put the first studies into the store."""
        shutil.rmtree(self.images)
        self.images.mkdir()
        for study in STUDIES:
            folder = "shared" if study.number in SHARED else study.folder
            for file in range(1, study.files + 1):
                self.put(f"{folder}/{study.number}-{file}.dcm", image(study, file), study.number)
        self.put("duplicates/ä 6.dcm", image(self.studies[6], 1), 6)
        self.put("note.txt", b"of nobody", None)

    def put(self, path: str, content: bytes, study: int | None) -> None:
        """Write a file, in the place of one that is there."""
        target = self.images / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content)
        self.live[path] = sha = hashlib.sha256(content).hexdigest()
        if study is not None:
            self.owner[sha] = study

    def take(self, path: str) -> bytes:
        """Take a file out of the store."""
        content = (self.images / path).read_bytes()
        (self.images / path).unlink()
        del self.live[path]
        return content

    def contents(self, study: int) -> frozenset[str]:
        """Return every content a study ever had."""
        return frozenset(sha for sha, number in self.owner.items() if number == study)

    def paths(self, study: int) -> list[str]:
        """Return where a study's files lie."""
        return sorted(path for path, sha in self.live.items() if self.owner.get(sha) == study)

    def patients(self) -> set[str]:
        return {one.patient_id for one in self.studies.values()}

    def is_due(self, study: int) -> bool:
        """Say whether a study may be disposed of, holds apart: Texas, and the site's own rule."""
        patient = self.studies[study].patient_id
        if patient == CHILD or patient not in self.treated:
            return False
        there = {self.owner[sha] for sha in self.live.values() if sha in self.owner}
        days = [one.day for one in self.studies.values()
                if one.patient_id == patient and one.number in there]  # fmt: skip
        last = max([self.treated[patient], self.studies[study].day, *days])
        return last.replace(year=last.year + max(5, self.local_years), day=1) < TODAY.replace(day=1)


def patients_file(lab: LabSite, treated: dict[str, dt.date], now: dt.datetime) -> Path:
    """Write the practice's list."""
    head = (
        "patient_id,issuer,birth_date,last_treatment_date,deceased_date,legal_hold,hold_reason,"
        "merged_into,exported_at"
    )
    at = now.isoformat(timespec="seconds")
    born = {CHILD: f"{TODAY.year - 15}-02-03"}
    lines = [f"{one},,{born.get(one, '1950-02-03')},{day},,,,,{at}" for one, day in treated.items()]
    path = lab.folder / "patients.csv"
    path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return path


def local_schedule(lab: LabSite, version: int, years: int) -> None:
    """Write the site's own schedule, which adds to the law."""
    folder = lab.folder / "retention_policies"
    folder.mkdir(exist_ok=True)
    (folder / "own.toml").write_text(_OWN.format(version=version, years=years), encoding="utf-8")


class Disks:
    """File systems of their own for the primary and for each medium, one of which is connected.

    Args:
        lab: The site, its store filled.
        stack: Takes them down.
    """

    def __init__(self, lab: LabSite, stack: ExitStack) -> None:
        self._lab = lab
        self.connected: str | None = None
        aside = lab.folder / "aside"
        (lab.folder / "copies").rename(aside)
        self.primary = stack.enter_context(
            loop_file_system(lab.folder, size_mib=DISK_MIB, mount_point=lab.folder / "copies")
        )
        shutil.copytree(aside / "disk", lab.folder / "copies/disk", symlinks=True)
        shutil.rmtree(aside)
        self.media: dict[str, LoopFileSystem] = {
            label: stack.enter_context(
                loop_file_system(
                    lab.folder,
                    size_mib=DISK_MIB,
                    mount_point=lab.folder / "media" / label,
                    mounted=False,
                )
            )
            for label in MEDIA
        }

    def connect(self, label: str | None) -> None:
        """Connect one medium, or none, in the place of what is connected."""
        if self.connected is not None and self.is_mounted(self.connected):
            self.media[self.connected].unmount(lazily=True)
        self.connected = label
        if label is not None:
            self.media[label].mount()

    def is_mounted(self, label: str) -> bool:
        return self.media[label].mount_point.is_mount()

    def repository(self, label: str) -> Path:
        return self.media[label].mount_point / "imaging-orchestrator" / STORE


MORE = """
[retention]
quarantine = "1s"

[rotation]
keep_last = 2
minimum = 1
keep_daily = 0
keep_weekly = 0
keep_monthly = 0
keep_yearly = 0

[copies.attic]
role = "local"
path = "attic"
"""

_OWN = """
id = "own"
version = "{version}"
kind = "local"
title = "What this practice adds"
reviewer = "counsel"
reviewed_on = 2026-01-02
review_by = 2099-01-02

[[rule]]
id = "everything"
record_class = "patient_record"
trigger = "last_treatment"
adult = "{years}y"
images = "with_record"
confidence = "high"
[rule.minor]
form = "not_applicable"
[rule.citation]
instrument = "House rule"
section = "3"
read_on = 2026-01-02
"""

__all__ = ["SCHEDULE"]
