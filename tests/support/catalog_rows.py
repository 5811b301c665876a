"""Made-up rows and manifest entries for catalog tests, and the real sample headers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from orchestrator.catalog.certificate_tables import Certificate
from orchestrator.catalog.drill_tables import MissedEvent
from orchestrator.catalog.tables import Repository, Run, Snapshot
from orchestrator.drills.result import DrillResult, RecoveryPoint, RecoveryTime
from orchestrator.manifest import FileStat, ManifestEntry

NOW = dt.datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=dt.UTC)
REPOSITORY = "ab" * 32


def study_date(header: dict[str, str]) -> tuple[dt.date, str] | None:
    text = header.get("study_date", "")
    if len(text) != 8 or not text.isdigit():
        return None
    return dt.date(int(text[:4]), int(text[4:6]), int(text[6:])), "study_date"


def entry(
    path: bytes,
    *,
    size: int = 1000,
    sha256: str | None = None,
    state: str = "good",
    dicom: dict[str, str] | None = None,
    since: str = "",
) -> ManifestEntry:
    return ManifestEntry(
        path=path,
        kind="file",
        state=state,  # type: ignore[arg-type]
        stat=FileStat(size, 1_700_000_000_111_222_333, 1, 2),
        sha256=sha256,
        dicom=dicom,
        since=since,
    )


def image(study: int, number: int, **fields: str) -> ManifestEntry:
    return entry(
        f"p/{study}/{number}.dcm".encode(),
        size=1000 + number,
        sha256=f"{study:032x}{number:032x}",
        dicom={
            "study_instance_uid": f"1.2.3.{study}",
            "series_instance_uid": f"1.2.3.{study}.1",
            "sop_instance_uid": f"1.2.3.{study}.1.{number}",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
            "patient_id": f"P{study}",
            "modality": "CT",
            "study_date": f"202601{number % 28 + 1:02d}",
            **fields,
        },
    )


def run_row(run_id: str = "r1", **changes: object) -> Run:
    values: dict[str, object] = {
        "id": run_id,
        "action": "backup",
        "store": "xrays",
        "actor": "system",
        "host": "h",
        "pid": 1,
        "started_at": NOW,
    }
    return Run(**(values | changes))


def repository_row(repository_id: str = REPOSITORY, name: str = "xrays") -> Repository:
    return Repository(
        id=repository_id, store="xrays", name=name, config_sha256="c" * 64, created_at=NOW
    )


def snapshot_row(snapshot_id: str, **changes: object) -> Snapshot:
    values: dict[str, object] = {
        "id": snapshot_id,
        "repository_id": REPOSITORY,
        "store": "xrays",
        "run_id": "r1",
        "kind": "data",
        "at": NOW,
        "files": 3,
        "size_bytes": 3000,
        "complete": True,
    }
    return Snapshot(**(values | changes))


def drill_result(drill: str = "d1", **changes: object) -> DrillResult:
    """Give a drill that has begun."""
    values: dict[str, object] = {
        "drill": drill,
        "site": "Elm Street Dental",
        "store": "xrays",
        "copy": "vault",
        "role": "immutable",
        "scope": "all",
        "started_at": NOW,
        "actor": "it",
        "rto": RecoveryTime(target_s=14400.0),
        "rpo": RecoveryPoint(target_s=86400.0),
    }
    return DrillResult(**(values | changes))  # type: ignore[arg-type]


def missed_event(slot: str, **changes: object) -> MissedEvent:
    values: dict[str, object] = {
        "job": "monthly-drill",
        "slot": slot,
        "action": "drill",
        "kind": "not_run",
        "due_at": NOW,
        "noticed_at": NOW + dt.timedelta(days=1),
    }
    return MissedEvent(**(values | changes))


def certificate_row(number: str, **changes: object) -> Certificate:
    values: dict[str, object] = {
        "number": number,
        "kind": "media_sanitization",
        "subject": f"sanitization/{number}",
        "active_subject": f"sanitization/{number}",
        "state": "drafted",
        "record": "{}",
        "record_sha256": "d" * 64,
        "drafted_at": NOW,
        "ledger_origin": "ledger.test/disposal/1",
        "ledger_size": 1,
    }
    return Certificate(**(values | changes))


_SAMPLED = {
    "SOPInstanceUID": "sop_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
    "StudyInstanceUID": "study_instance_uid",
    "SOPClassUID": "sop_class_uid",
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
    "PatientName": "patient_name",
    "PatientBirthDate": "patient_birth_date",
    "AccessionNumber": "accession_number",
    "InstitutionName": "institution_name",
    "Modality": "modality",
    "StudyDate": "study_date",
}


@cache
def sample_entries() -> list[ManifestEntry]:
    """Give a manifest entry for each readable DICOM file that ships with pydicom."""
    return list(_sample_entries())


def _sample_entries() -> Iterator[ManifestEntry]:
    import warnings

    import pydicom
    from pydicom.errors import InvalidDicomError

    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = pydicom.dcmread(path, stop_before_pixels=True)
                header = {
                    name: str(dataset.get(keyword))
                    for keyword, name in _SAMPLED.items()
                    if dataset.get(keyword) not in (None, "")
                }
            except (InvalidDicomError, EOFError, NotImplementedError, KeyError, ValueError):
                continue
        raw = str(path.relative_to(folder)).encode()
        yield entry(b"patients/" + raw, size=path.stat().st_size, dicom=header or None)
