"""Drills of a real site: what a verdict rests on, and what it leaves behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from orchestrator.actions.drills.drill import drill
from orchestrator.actions.drills.keeping import settle_killed
from orchestrator.actions.drills.wish import Wish
from orchestrator.actions.restore import Wish as Wanted
from orchestrator.actions.restore import restore
from orchestrator.catalog import drills, facts, suppressions
from orchestrator.drills.result import DrillResult
from orchestrator.drills.scope import slice_of
from orchestrator.engines.restic.repository import Repository
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.keys.kit import load_kit
from orchestrator.keys.kit_contents import checksum
from tests.integration.drills.conftest import SOUND
from tests.support.clock import ShiftedClock
from tests.support.site import STORE, LabSite


def make(site: LabSite, clock: Any = None, **wish: Any) -> DrillResult:
    with site.opened(clock) as opened:
        return drill(opened, Wish(STORE, **wish))


def state_of(result: DrillResult) -> dict[str, str]:
    return {check.name: check.state for check in result.checks}


def kit_of(site: LabSite) -> Path:
    return site.state / "recovery-kit" / "recovery-kit.txt"


def test_a_sound_copy_is_verified_and_recorded(site: LabSite) -> None:
    result = make(site)
    assert (result.verdict, result.exit_code) == ("verified", 0), result.reason
    assert set(state_of(result).values()) == {"passed"}
    assert result.files == len(SOUND) + 1
    assert result.studies == len(SOUND)
    assert result.coverage is not None
    assert result.coverage.within_30_days == 1
    assert result.rto.projected_s == result.rto.measured_s
    assert result.sandbox.startswith("The restored data was")
    (run,) = site.runs("drill")
    assert (run["id"], run["outcome"]) == (result.drill, "succeeded")
    (row,) = site.rows("SELECT * FROM drill")
    assert (row["verdict"], row["exit_code"]) == ("verified", 0)
    report = site.state / "reports" / "drills" / f"{result.drill}.html"
    assert report.stat().st_mode & 0o077 == 0


def test_slices_cover_every_study_once(site: LabSite) -> None:
    with site.opened() as opened:
        with opened.catalog.reading() as session:
            keys = sorted(drills.study_keys(session, STORE))
        parts = {slice_of(key, 2) for key in keys}
        results = [drill(opened, Wish(STORE, scope=f"{part}/2")) for part in sorted(parts)]
    assert [result.verdict for result in results] == ["verified"] * len(parts)
    assert sum(result.studies for result in results) == len(SOUND) == len(keys)
    last = results[-1]
    assert last.coverage is not None
    assert last.coverage.within_30_days == 1
    assert last.rto.projected_high_s is not None
    assert last.rto.measured_s is not None
    assert last.rto.projected_high_s >= last.rto.measured_s
    assert last.rto.assumptions


def test_a_study_alone_is_restored_and_nothing_else(site: LabSite) -> None:
    with site.opened() as opened, opened.catalog.reading() as session:
        key = next(drills.study_keys(session, STORE))
    result = make(site, scope=f"study:{key}")
    assert (result.verdict, result.files, result.studies) == ("verified", 1, 1)


def test_a_study_or_slice_without_anything_could_not_run(site: LabSite) -> None:
    missing = make(site, scope="study:aaaaaaaaaaaaaaaa")
    assert (missing.verdict, missing.exit_code) == ("could_not_run", NotFoundError.exit_code)
    with site.opened() as opened, opened.catalog.reading() as session:
        names = {*drills.study_keys(session, STORE)}
        names |= {opened.catalog.keys.pseudonyms.path(STORE, one) for one in (b"note.txt", b"link")}
    empty = next(part for part in range(1, 101) if part not in {slice_of(n, 100) for n in names})
    nothing = make(site, scope=f"{empty}/100")
    assert (nothing.verdict, nothing.exit_code) == ("could_not_run", UsageError.exit_code)


def test_a_wish_that_makes_no_sense_is_no_drill(site: LabSite) -> None:
    for wish in (
        {"scope": "5/4"},
        {"snapshot": "ab", "random_within": timedelta(days=1)},
    ):
        with pytest.raises(UsageError):
            make(site, **wish)
    with pytest.raises(NotFoundError):
        make(site, copy="nowhere")
    assert site.runs("drill") == []


def test_an_old_snapshot_is_restored_and_not_verified(site: LabSite) -> None:
    result = make(site, ShiftedClock(timedelta(days=3)))
    assert state_of(result)["content"] == "passed"
    assert state_of(result)["snapshot age"] == "failed"
    assert (result.verdict, result.exit_code) == ("not_verified", 1)


def test_a_missed_rto_is_not_verified(backed_up: Callable[..., LabSite]) -> None:
    result = make(backed_up(store={"rto": "1s"}), SlowClock())
    assert result.rto.met is False
    assert (result.verdict, result.exit_code) == ("not_verified", 1)


class SlowClock(ShiftedClock):
    """A clock by which everything takes an hour."""

    asked = 0

    def monotonic(self) -> float:
        self.asked += 1
        return super().monotonic() + 20 * self.asked


def after_restore(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], object]) -> None:
    """Do something to what restic has restored, as a broken disk or an intruder would."""
    real = Repository.restore

    def restore(self: Repository, snapshot: str, target: Path, **more: Any) -> Any:
        summary = real(self, snapshot, target, **more)
        spoil(target)
        return summary

    monkeypatch.setattr(Repository, "restore", restore)


def test_an_image_that_was_broken_before_is_a_remark_and_no_failure(site: LabSite) -> None:
    image = site.images / "p0/study/000.dcm"
    os.truncate(image, image.stat().st_size - 1000)
    site.ask("backup")
    result = make(site)
    assert (result.verdict, result.exit_code) == ("verified", 0), result.reason
    assert result.coverage is not None
    assert result.coverage.within_30_days == 1
    (detail,) = (check.detail for check in result.checks if check.name == "pixels")
    assert "1 more could not be shown when they were backed up" in detail
    assert "exactly those of backup time" in result.remarks[0]
    page = (site.state / "reports" / "drills" / f"{result.drill}.html").read_text()
    assert "exactly those of backup time" in page
    with site.opened() as opened, opened.catalog.reading() as session:
        (study,) = (key for key in drills.study_keys(session, STORE) if key in result.remarks[0])
    alone = make(site, scope=f"study:{study}")
    assert state_of(alone)["pixels"] == "skipped"
    assert (alone.verdict, alone.exit_code) == ("not_verified", 1)


def test_an_image_that_eats_the_decoders_memory_is_not_verified(site: LabSite) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("SC_rgb_rle.dcm", download=False)))
    dataset.SeriesInstanceUID, dataset.Rows, dataset.Columns = "1.2.3.4", 60_000, 60_000
    dataset.save_as(site.images / "bomb.dcm")
    site.ask("backup")
    result = make(site)
    assert state_of(result)["content"] == "passed"
    assert (result.verdict, result.exit_code) == ("not_verified", 1), result.checks


def test_the_newest_image_is_dated_by_one_rule_in_backup_and_store(site: LabSite) -> None:
    image = site.images / "p1/study/001.dcm"
    dataset = pydicom.dcmread(image)
    dataset.StudyDate, dataset.SeriesDate = "", "20250717"
    dataset.save_as(image)
    site.ask("backup")
    seen_at = datetime.now(UTC)
    first = make(site).rpo
    assert first.newest_image_on == first.store_newest_image_on == "2025-07-17"
    dataset.SeriesDate = "20260101"
    dataset.save_as(image.with_name("later.dcm"))
    site.ask("backup")
    assert make(site).rpo.store_newest_image_on == "2026-01-01"
    before = make(site, as_of=seen_at).rpo
    assert before.newest_image_on == before.store_newest_image_on == "2025-07-17"


def test_another_manifest_with_the_same_tags_is_not_believed(site: LabSite) -> None:
    with site.opened() as opened:
        engine = opened.primary_engine(STORE, STORE)
        (real,) = engine.snapshots(tags=["manifest"])
        text = b"".join(engine.dump(real.id, "/manifest.jsonl"))
        forged = text.replace(b'"sha256":"', b'"sha256":"00', 1)
        assert forged != text
        engine.backup_stream("manifest.jsonl", [forged], tags=list(real.tags))
        assert drill(opened, Wish(STORE)).verdict == "verified"
        engine.forget([real.id])
        result = drill(opened, Wish(STORE))
    assert result.verdict == "not_verified"


def test_a_disposed_study_stays_away(site: LabSite, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.opened() as opened:
        with opened.catalog.transaction() as session:
            key = next(drills.study_keys(session, STORE))
            suppressions.add(session, STORE, [key], now=opened.clock.now())
        result = drill(opened, Wish(STORE))
        assert (result.verdict, result.files) == ("verified", len(SOUND)), result.reason
        kept = list(site.images.glob("p*/*/*.dcm"))
        after_restore(monkeypatch, lambda to: [shutil.copy(path, to / path.name) for path in kept])
        risen = drill(opened, Wish(STORE))
    assert state_of(risen)["suppressed studies"] == "failed"
    assert risen.verdict == "not_verified"


def test_the_kit_alone_is_enough(site: LabSite, tmp_path: Path) -> None:
    kit = tmp_path / "kit.txt"
    shutil.copyfile(kit_of(site), kit)
    result = make(site, kit=kit)
    assert (result.verdict, result.exit_code) == ("verified", 0), result.reason
    assert state_of(result)["recovery kit"] == "passed"
    with site.opened() as opened, opened.catalog.reading() as session:
        fact = facts.get(session, "kit_drilled")
    assert fact is not None
    assert fact.value == checksum(load_kit(kit))
    shutil.rmtree(site.state)
    bare = site.ask("drill", "run", STORE, "--kit", kit)
    assert (bare["verdict"], bare["files"]) == ("verified", len(SOUND) + 1), bare["reason"]
    assert bare["report"] is None
    assert any("was not recorded" in one for one in bare["remarks"])


def test_a_copy_that_is_not_there_could_not_run(site: LabSite) -> None:
    (site.folder / "copies/disk").rename(site.folder / "away")
    result = make(site)
    assert (result.verdict, result.exit_code) == ("could_not_run", 1)
    assert result.ended_at is not None


def test_a_drill_that_was_killed_is_closed_by_the_next_one(site: LabSite) -> None:
    result = make(site)
    with site.opened() as opened:
        result.drill, result.ended_at, result.verdict = "20200101T000000Z-abcdef", None, "verified"
        with opened.catalog.transaction() as session:
            drills.begin(session, result, run_id=None)
        assert settle_killed(opened) == 1
        assert settle_killed(opened) == 0
    (row,) = site.rows("SELECT * FROM drill WHERE id = '20200101T000000Z-abcdef'")
    assert (row["verdict"], row["exit_code"]) == ("could_not_run", 130)


def test_a_restore_leaves_disposed_studies_out(site: LabSite, tmp_path: Path) -> None:
    with site.opened() as opened:
        with opened.catalog.transaction() as session:
            gone = next(drills.study_keys(session, STORE))
            suppressions.add(session, STORE, [gone], now=opened.clock.now())
        done = restore(opened, Wanted(STORE, tmp_path / "all"))
        assert (done.suppressed, done.files, done.verified) == (1, len(SOUND), True)
        with pytest.raises(NotFoundError):
            restore(opened, Wanted(STORE, tmp_path / "one", study=gone))
    assert len(list((tmp_path / "all").rglob("*.dcm"))) == len(SOUND) - 1
