"""The demo's last years of a record: a schedule, a patient list, a hold, a disposal, its proof.

The images are pydicom's. Most of them are test images without a patient or with odd dates, and
the product keeps those until a person has looked; a few are of patients whom nobody has seen for
years. What the practice knows about its patients is made up here.
"""

from __future__ import annotations

import csv
import datetime as dt
import filecmp
import warnings
from pathlib import Path

from deploy.lab import demo_places
from deploy.lab.demo_stage import (
    HERE,
    IMAGES,
    INTO_THE_SAFE,
    MEDIUM,
    MEDIUM_FILE,
    SITE,
    Failed,
    Orchestrator,
    tell,
)

SCHEDULE = "us-tx-dental"
STATEMENT = HERE / "disposal.pdf"
PLAN = HERE / "plan.csv"
RESTORED = HERE / "restored-after-disposal"

STILL_COMES = ("ID1", "12345678")
"""Patients with old images who were treated a season ago."""

BORN = "1962-07-17"
"""For patients whose images do not say it, or say what cannot be."""

COLUMNS = ("patient_id", "issuer", "birth_date", "last_treatment_date", "exported_at")


def let_go(orchestrator: Orchestrator, *, bucket: bool, has_medium: bool) -> str:
    """Dispose of what is due, through every copy, as far as its locks allow.

    Args:
        orchestrator: The command line.
        bucket: There is an immutable copy.
        has_medium: The medium is a file system of its own.

    Returns:
        The state in which the disposal is left.
    """
    _decide(orchestrator)
    held, gone = _hold(orchestrator)
    before = dt.datetime.now(dt.UTC)
    name = _dispose(orchestrator)
    _come_back(orchestrator, name, has_medium=has_medium)
    state = str(orchestrator.ask("disposal", "show", name)["state"])
    _prove(orchestrator, name, gone, is_complete=state == "complete")
    _restore(orchestrator, "vault" if bucket else "disk", before, held)
    tell("The medium goes back into the safe")
    orchestrator("--as", "it", "medium", "release", "rotation", *INTO_THE_SAFE)
    return state


def _decide(orchestrator: Orchestrator) -> None:
    tell(
        "How long must images be kept? The officer adopts the schedule of the state",
        "From now on its exact text decides, whatever a later version of the product ships.",
    )
    orchestrator("--as", "privacy", "retention", "adopt", SCHEDULE)
    tell("Who was treated when, the practice knows: its patient list is taken in")
    people = HERE / "patients.csv"
    print(f"{_patient_list(people)} patients, made up for the demo's images")
    orchestrator("--as", "it", "patients", "import", str(people))
    people.unlink()
    tell(
        "What may go, what is kept, and what is unknown and therefore kept?",
        "Many of these images were made to test programs: no patient, no date, a wrong one.",
    )
    orchestrator("retention", "plan", "--export", str(PLAN))


def _patient_list(file: Path) -> int:
    """Write what a practice would export; return how many patients it has."""
    last: dict[tuple[str, str], str] = {}
    born: dict[tuple[str, str], str] = {}
    for patient, birth, day in _headers():
        last[patient] = max(last.get(patient, ""), day)
        born[patient] = max(born.get(patient, ""), birth)
    now = dt.datetime.now(dt.UTC)
    recent = f"{now - dt.timedelta(days=90):%Y%m%d}"
    with file.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, delimiter=";")
        table.writerow(COLUMNS)
        for (number, issuer), day in sorted(last.items()):
            birth = born[number, issuer]
            table.writerow(
                [
                    number,
                    issuer,
                    birth if "1900" < birth < "2020" and len(birth) == 8 else BORN,
                    recent if number in STILL_COMES else day,
                    f"{now:%Y-%m-%dT%H:%M:%SZ}",
                ]
            )
    return len(last)


def _headers() -> list[tuple[tuple[str, str], str, str]]:
    """Return patient, birth date and newest date of each image that names a patient."""
    from pydicom import dcmread

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted((IMAGES / "patients").rglob("*")):
            if not path.is_file():
                continue
            header = dcmread(path, stop_before_pixels=True)
            if header.get("PatientID"):
                names = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
                days = [str(header.get(name) or "") for name in names]
                newest = max(day if len(day) == 8 and day.isdigit() else "" for day in days)
                patient = (str(header.PatientID), str(header.get("IssuerOfPatientID") or ""))
                found.append((patient, str(header.get("PatientBirthDate") or ""), newest))
    return found


def _hold(orchestrator: Orchestrator) -> tuple[str, list[str]]:
    """Put one study on hold; return it, and those that are still due."""
    plan = orchestrator.ask("retention", "plan", "--verdict", "dispose")["decisions"]
    due = sorted(str(one["study"]) for one in plan)
    if len(due) < 3:
        raise Failed(f"{len(due)} studies are due: too few for this story")
    held, *gone = due
    tell("Why may one of them go?")
    orchestrator("retention", "explain", held)
    tell("A lawyer's letter asks for just that one: a legal hold beats every schedule")
    orchestrator(
        *("--as", "privacy", "hold", "place", "--study", held),
        *("--matter", "22-cv-100", "--reason", "letter of counsel"),
    )
    orchestrator("retention", "explain", held)
    tell("It holds on every copy: the medium that has the study cannot be retired (exit code 5)")
    orchestrator("--as", "it", "medium", "retire", "red", code=5)
    return held, gone


def _dispose(orchestrator: Orchestrator) -> str:
    tell(
        "One person proposes all that is due: no study can be singled out",
        "How early each copy can be free is said before anybody agrees. For this demo the",
        "quarantine between approval and execution is one second; else it is 14 days.",
    )
    with (SITE / "site.toml").open("a", encoding="utf-8") as stream:
        stream.write('\n[retention]\nquarantine = "1s"               # 14 days if left out\n')
    orchestrator("--as", "it", "disposal", "propose")
    name = str(orchestrator.ask("disposal", "list")["disposals"][-1]["disposal"])
    tell("Another person approves")
    orchestrator("--as", "privacy", "disposal", "approve", name)
    tell("Without --execute it only says what would go")
    orchestrator("--as", "it", "disposal", "execute", name)
    tell(
        "All is decided again, then it goes: from the folder, file by file against the manifest,",
        "and from every snapshot on the disk. What cannot be reached yet is named.",
    )
    orchestrator("--as", "it", "disposal", "execute", name, "--execute")
    return name


def _come_back(orchestrator: Orchestrator, name: str, *, has_medium: bool) -> None:
    tell("The medium comes back from the safe, and what the disk gave up goes from it too")
    if has_medium and not demo_places.connect(MEDIUM_FILE, MEDIUM):
        raise Failed("the medium could not be mounted again")
    orchestrator("--as", "it", "medium", "receive", "red")
    orchestrator("replicate", "rotation")
    tell("Each night this job looks what is left, and proves it")
    orchestrator("job", "run", "disposal-settle")
    orchestrator("disposal", "show", name)


def _prove(orchestrator: Orchestrator, name: str, gone: list[str], *, is_complete: bool) -> None:
    if is_complete:
        tell("No copy is left, and a signed certificate says so")
        number = orchestrator.ask("disposal", "show", name)["certificate"]
        orchestrator("certificate", "export", number, "--to", str(STATEMENT))
        orchestrator("certificate", "verify", str(STATEMENT))
    else:
        tell(
            "The bucket keeps its promise: nobody removes anything from it before its time",
            "So there is no certificate yet, but a statement of what remains and until when.",
        )
        orchestrator("disposal", "statement", name, "--to", str(STATEMENT))
    tell("The whole story of one study, without a name")
    orchestrator("disposal", "show", name, "--study", gone[0])


def _restore(orchestrator: Orchestrator, copy: str, before: dt.datetime, held: str) -> None:
    target = ["--to", str(RESTORED)]
    if copy == "vault":
        tell(
            "Does a restore bring them back? The bucket as it was before the disposal:",
            "their bytes are still there under lock, and are left out.",
        )
        target += ["--as-of", f"{before:%Y-%m-%dT%H:%M:%SZ}"]
    else:
        tell("What a restore brings back by now")
    orchestrator("restore", "xrays", "--copy", copy, *target)
    back, there = _files(RESTORED), _files(IMAGES)
    if back != there:
        raise Failed(f"the restore brought {len(back)} files back, and there are {len(there)}")
    if any(not filecmp.cmp(RESTORED / one, IMAGES / one, shallow=False) for one in back):
        raise Failed("a restored file differs from the one in the imaging folder")
    if not orchestrator.ask("study", "show", held)["studies"][0]["files"]:
        raise Failed("the study on hold is gone")
    print(
        f"Compared with the imaging folder byte by byte: {len(back)} files, the study on hold "
        "among them;\nnothing of what was disposed of."
    )


def _files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
