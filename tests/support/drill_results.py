"""Drill results of every kind, for reports to be rendered and looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from orchestrator.drills.result import (
    Check,
    Coverage,
    DrillResult,
    PastDrill,
    RecoveryPoint,
    RecoveryTime,
    SignOff,
    Traffic,
    Verdict,
)

CHICAGO = ZoneInfo("America/Chicago")
START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
LONG_NAME = (
    "The Greater Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch Centre for Oral and "
    "Maxillofacial Radiology, Orthodontics and Paediatric Dentistry, Branch Office Northwest"
)
SCRIPTS = "エルム通り歯科 · عيادة الأسنان · Стоматология на Вязовой · Οδοντιατρείο · 엘름 치과"


def verified(scope: str = "3/12") -> DrillResult:
    """A slice restored from the bucket and found good."""
    partial = scope != "all"
    return DrillResult(
        drill="20261122T093000Z-5f3a9c",
        site="Elm Street Dental",
        store="xrays",
        copy="vault",
        role="immutable",
        scope=scope,
        started_at=START,
        actor="it",
        actor_name="Robin Okafor",
        actor_title="IT administrator",
        rto=RecoveryTime(
            target_s=4 * 3600,
            measured_s=431.2,
            projected_s=5160.0 if partial else 431.2,
            projected_low_s=4300.0 if partial else 431.2,
            projected_high_s=6900.0 if partial else 431.2,
            assumptions=(
                "The connection to the bucket is as fast as it was during this drill.",
                "The studies of this part are like the others in size and number of files.",
            )
            if partial
            else (),
            met=True,
        ),
        rpo=RecoveryPoint(
            target_s=24 * 3600,
            measured_s=7 * 3600 + 1860,
            largest_gap_s=24 * 3600 - 40,
            newest_image_on="2026-11-21",
            store_newest_image_on="2026-11-21",
            met=True,
        ),
        snapshot="9c1f" * 16,
        snapshot_at=START - timedelta(hours=7, minutes=31),
        ended_at=START + timedelta(seconds=455),
        verdict="verified",
        reason="All 1,204 files restored are, byte for byte, what was backed up; RTO and RPO "
        "were met.",
        exit_code=0,
        checks=[
            Check("snapshot age", "passed", "the newest complete snapshot is 7 h 31 min old"),
            Check("restore", "passed", "restic brought back 1,204 files"),
            Check(
                "content",
                "passed",
                "size and SHA-256 of 1,204 files equal the manifest of backup time",
                proves_data=True,
            ),
            Check("file set", "passed", "nothing missing, nothing extra", proves_data=True),
            Check("dicom", "passed", "1,188 of 1,188 images can be read", proves_data=True),
            Check("identity", "passed", "UIDs and patients of 1,188 images equal the manifest"),
            Check("counts", "passed", "37 studies and 92 series hold as many images as backed up"),
            Check("decoding", "passed", "one image of each of 92 series was decoded"),
            Check("disposed studies", "passed", "none of 4 disposed studies came back"),
        ],
        traffic=Traffic(requests=312, bytes=1_310_000_000),
        coverage=Coverage(
            studies=448, within_30_days=0.25, within_90_days=0.7545, within_365_days=1.0
        ),
        files=1204,
        bytes=1_284_000_000,
        studies=37,
        sandbox="The restored files were removed. They were not overwritten first: the disk is an "
        "SSD, where overwriting does not reach the old bytes.",
        remarks=["2 series are JPEG Extended with 12 bits, which cannot be decoded here."],
        versions={"imaging-orchestrator": "0.1.0", "restic": "0.19.1", "pydicom": "3.0.2"},
    )


def damaged() -> DrillResult:
    """A restore from a medium that brought back two wrong files and left one out."""
    result = verified("all")
    bad = Check(
        "content",
        "failed",
        "2 of 1,204 files differ from the manifest of backup time, in 1 study (k7h2q9mwd4xb3c5z)",
        proves_data=True,
        damage=True,
        advice="Do not use this copy for a restore. Check it with `orchestrator check rotation`, "
        "then bring it up to date again from the primary.",
    )
    missing = Check(
        "file set",
        "failed",
        "1 file is missing, nothing extra",
        damage=True,
        advice="Replace the medium if its disk reports errors.",
    )
    skipped = Check(
        "decoding",
        "skipped",
        "the image decoder does not start: exit code 1",
        advice="Run `orchestrator doctor`.",
    )
    checks = [*result.checks[:2], bad, missing, *result.checks[4:7], skipped, result.checks[8]]
    return replace(
        result,
        copy="rotation",
        role="offline",
        medium="Disk B (blue)",
        kit_only=True,
        coverage=None,
        actor="system",
        actor_name=None,
        actor_title=None,
        verdict="not_verified",
        reason="Damage: content, file set. 2 of 1,204 files differ from the manifest.",
        exit_code=4,
        checks=checks,
        files=1201,
        studies=36,
        rto=replace(result.rto, met=True),
        rpo=replace(result.rpo, measured_s=9 * 86400.0, largest_gap_s=None, met=False),
        traffic=Traffic(),
        remarks=[],
    )


def not_run() -> DrillResult:
    """A drill whose bucket did not answer."""
    result = verified()
    return replace(
        result,
        verdict="could_not_run",
        reason="The bucket of copy vault does not answer.",
        exit_code=1,
        checks=[],
        snapshot=None,
        snapshot_at=None,
        files=0,
        bytes=0,
        studies=0,
        rto=RecoveryTime(target_s=4 * 3600),
        rpo=RecoveryPoint(target_s=24 * 3600),
        sandbox="Nothing was restored, so nothing had to be removed.",
        remarks=[],
        traffic=Traffic(requests=3, bytes=0),
    )


def crowded() -> DrillResult:
    """A drill with long names and long lists."""
    result = damaged()
    many = [
        Check(
            f"series count {number}",
            "failed",
            f"study k7h2q9mwd4xb3c{number:02d} holds {number} images less than were backed up",
            advice="Restore this study from another copy and compare.",
        )
        for number in range(1, 31)
    ]
    return replace(
        result,
        site=LONG_NAME,
        actor="it",
        actor_name="Dr. Maximiliana Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh",
        actor_title="Deputy Head of Information Technology, Medical Devices and Facilities",
        checks=[*result.checks, *many],
        remarks=[
            f"Series {number} of study k7h2q9mwd4xb3c{number:02d} could not be decoded here."
            for number in range(1, 61)
        ],
        store="images-of-the-northwest-branch-since-1998",
        copy="rotation-of-disks-in-the-bank-vault",
        medium="A label as long as a label on the spine of a disk can be, and then some",
    )


def foreign() -> DrillResult:
    """A drill at a practice whose names need other scripts."""
    return replace(
        verified(), site=SCRIPTS, actor_name="山田 太郎 / محمد العربي", actor_title="Администратор"
    )


def history(count: int, *, copy: str = "vault") -> list[PastDrill]:
    """Past drills, a week apart, with a bad week now and then."""
    past = []
    for back in range(count, 0, -1):
        verdict: Verdict = "verified"
        rto_s: float | None = 5000.0 + 900 * ((back * 7) % 5)
        rpo_s: float | None = 6 * 3600.0 + 1700 * ((back * 3) % 7)
        if back % 17 == 5:
            verdict, rto_s, rpo_s = "not_verified", 16500.0, 30 * 3600.0
        elif back % 23 == 9:
            verdict, rto_s, rpo_s = "could_not_run", None, None
        started = START - timedelta(days=7 * back)
        past.append(PastDrill(f"past-{back:03d}", started, copy, "3/12", verdict, rto_s, rpo_s))
    return past


def signature() -> SignOff:
    """A recorded sign-off."""
    return SignOff(
        "Dana Whitfield, DDS",
        "Compliance officer",
        START + timedelta(days=1, hours=6),
        "Reviewed.\nCorrective action: replace disk B by 1 December; repeat the drill from it.",
    )
