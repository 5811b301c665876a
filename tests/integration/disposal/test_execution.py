"""Executing a disposal: what goes, what stays, and what is proved, looked at past the product."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.disposal.execute import execute, resume
from orchestrator.actions.disposal.live import LiveDisposal
from orchestrator.actions.disposal.outcome import Execution
from orchestrator.actions.disposal.rewriting import Manifests
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.disposal.story import story
from orchestrator.actions.holds import place
from orchestrator.catalog import suppressions
from orchestrator.errors import RefusedError
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    approve_all,
    batch_state,
    contents,
    interfere,
    key_of,
    manifest_paths,
    primary,
    snapshot_files,
    study_states,
    traces,
)
from tests.support.due_studies import NEW, OLD, Made, dicom
from tests.support.restic import tree
from tests.support.site import STORE, LabSite

KEPT = {f"{NEW.folder}/{n}.dcm" for n in range(1, NEW.files + 1)}


@pytest.fixture(scope="module")
def approved_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with an approved batch lies, once the first test has made it."""
    return tmp_path_factory.mktemp("approved") / "site"


@pytest.fixture
def ready(due_site: Callable[..., LabSite], approved_template: Path) -> LabSite:
    """Return a site with an approved batch of all that is due; its quarantine is over."""
    lab = due_site()
    if not approved_template.exists():
        lab.write(more=SOON)
        approve_all(lab)
        shutil.copytree(lab.folder, approved_template, symlinks=True)
    else:
        shutil.rmtree(lab.folder)
        shutil.copytree(approved_template, lab.folder, symlinks=True)
        lab.moved_in()
        lab.write(more=SOON)
    return lab


def test_a_dry_run_says_what_would_go_and_changes_nothing(ready: LabSite) -> None:
    before = tree(ready.images), tree(ready.primary)
    with acting(ready, "it") as site:
        (share,) = execute(site, BATCH, dry_run=True).stores
        assert (share.going, share.files) == (3, 6)
        assert batch_state(site) == "approved"
    assert (tree(ready.images), tree(ready.primary)) == before


def test_what_is_due_goes_from_store_and_every_snapshot_and_the_rest_stays(
    ready: LabSite, tmp_path: Path
) -> None:
    (ready.images / "note.txt").write_text("of nobody")
    ready.run("backup")
    with acting(ready, "it") as site:
        runs = {one.tags[2]: one.time for one in primary(site).snapshots(tags=["data"])}
        done = execute(site, BATCH, dry_run=False)
        assert done.problems == []
        assert set(study_states(site).values()) == {"primary_removed"} or batch_state(site) == (
            "complete"
        )
        engine = primary(site)
        assert traces(engine, OLD) == []
        files = snapshot_files(engine)
        assert len(files) == 3, "every snapshot is still there"
        for snapshot, paths in files.items():
            assert paths - {"note.txt"} == KEPT
            (one,) = (each for each in engine.snapshots() if each.id == snapshot)
            assert runs.get(one.tags[2], one.time) == one.time
        for one in engine.snapshots(tags=["manifest"]):
            assert manifest_paths(engine, one.id) - {"note.txt"} == KEPT
        assert len(engine.snapshots(tags=["state"])) == 1
        assert engine.check(read_data=True).errors == 0
    left = {path.decode() for path, content in tree(ready.images).items() if content is not None}
    assert left == {*KEPT, "note.txt"}
    assert not any((ready.images / study.patient_id).exists() for study in OLD)
    rows = ready.rows("SELECT COUNT(*) AS files FROM file")
    assert rows == [{"files": 3}]
    assert not list((ready.state / "disposals").iterdir())

    # Everything that is about snapshots goes on working.
    again = ready.ask("backup")["stores"][0]
    assert (again["files"], again["files_new"], again["outcome"]) == (3, 0, "succeeded")
    listed = ready.ask("snapshots")["snapshots"]
    assert len(listed) == 4
    assert {one["files"] for one in listed} == {2, 3}
    for one in listed:
        to = tmp_path / one["snapshot"][:8]
        result = ready.ask("restore", STORE, "--to", to, "--snapshot", one["snapshot"])
        assert (result["verified"], result["suppressed"]) == (True, 0)
    assert ready.ask("drill", "run", STORE, "--snapshot", listed[-1]["snapshot"])["verdict"] == (
        "verified"
    )
    ready.run("check", expect=0)
    assert ready.copies()["disk"]["state"] == "proven"
    ready.run("rotate")
    gone = ready.rows("SELECT study_key FROM suppressed_study LIMIT 1")[0]["study_key"]
    for words in (("study", "show"), ("retention", "explain")):
        told = ready.run(*words, gone, expect=10).error
        assert told["message"] == "the study was disposed of"
        assert told["hint"] == f"orchestrator disposal show {BATCH} --study {gone}"
    assert ready.ask(*told["hint"].split()[1:])["study"]["study"] == gone


def test_what_was_put_on_hold_after_the_approval_is_withheld_and_stays(ready: LabSite) -> None:
    with acting(ready, "privacy") as site:
        held = key_of(site, OLD[0])
        place.place(site, place.Wish("study", "24-CV-1", "a claim", study=held))
    with acting(ready, "it") as site:
        (share,) = execute(site, BATCH, dry_run=False).stores
        assert share.kept == {"on_hold": 1}
        assert study_states(site)[held] == "withheld"
        with site.catalog.reading() as session:
            assert held not in suppressions.suppressed(session, STORE)
        assert traces(primary(site), OLD[1:]) == []
        told = story(site, BATCH, held).chapters[-1]
        assert told.what == "left out of the batch in store xrays, and kept: on hold"
        assert told.entry is not None
    assert (ready.images / OLD[0].folder / "1.dcm").read_bytes() == dicom(OLD[0], 1)


def test_a_hold_placed_before_the_snapshots_go_keeps_the_study_in_them(
    ready: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def hold() -> None:
        with acting(ready, "privacy") as site:
            wish = place.Wish("study", "24-CV-1", "a claim", study=key_of(site, OLD[0]))
            place.place(site, wish)

    interfere(monkeypatch, Manifests, "store_anew", after=hold)
    with acting(ready, "it") as site:
        held = key_of(site, OLD[0])
        (share,) = execute(site, BATCH, dry_run=False).stores
        assert share.kept == {"on_hold": 1}
        assert (share.removed_live, share.removed_primary) == (3, 2)
        assert study_states(site)[held] == "withheld"
        assert traces(primary(site), OLD[1:]) == []
        kept = {f"{OLD[0].folder}/{n}.dcm" for n in (1, 2)}
        assert all(kept <= paths for paths in snapshot_files(primary(site)).values())
        told = [one.what for one in story(site, BATCH, held).chapters]
        assert told[-2:] == [
            "removed from store xrays",
            "left out of the batch in store xrays, and kept: on hold",
        ]
        gone = story(site, BATCH, key_of(site, OLD[1])).chapters
        assert not [one.what for one in gone if "found again" in one.what or "kept" in one.what]
    result = ready.ask("restore", STORE, "--to", tmp_path / "held", "--study", held)
    assert (result["verified"], result["files"]) == (True, 2)
    partial = ready.ask("ledger", "list", "--type", "disposal.partial")["entries"]
    assert len(partial) == 1


def test_a_file_that_changed_since_the_backup_keeps_its_study(
    ready: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = ready.images / OLD[0].folder / "2.dcm"
    beside = ready.images / OLD[1].folder / "new.dcm"

    def change() -> None:
        changed.write_bytes(b"edited after the backup")
        beside.write_bytes(dicom(NEW, 7))

    interfere(monkeypatch, LiveDisposal, "_entries", before=change)
    with acting(ready, "it") as site:
        (share,) = execute(site, BATCH, dry_run=False).stores
        assert share.kept == {"changed_since_backup": 1, "unknown_file_beside": 1}
        assert traces(primary(site), OLD[2:]) == []
        with site.catalog.reading() as session:
            assert suppressions.suppressed(session, STORE) == {key_of(site, OLD[2])}
        for paths in snapshot_files(primary(site)).values():
            assert {f"{one.folder}/1.dcm" for one in OLD[:2]} <= paths
    assert (ready.images / OLD[0].folder / "1.dcm").exists()
    assert beside.exists()


def failing_half_way(lab: LabSite, patch: pytest.MonkeyPatch) -> Execution:
    """Execute the batch; of the first study that goes, the second file cannot be removed."""
    real, calls = os.unlink, itertools.count(1)

    def unlink(path: Any, *, dir_fd: int | None = None) -> None:
        if isinstance(path, bytes) and next(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(path, dir_fd=dir_fd)

    with patch.context() as broken, acting(lab, "it") as site:
        broken.setattr(os, "unlink", unlink)
        return execute(site, BATCH, dry_run=False)


def test_a_removal_that_the_disk_refuses_half_way_keeps_no_half_study(
    ready: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = failing_half_way(ready, monkeypatch)
    assert result.stores[0].kept == {}
    assert any("cannot be removed" in one for one in result.problems)
    with acting(ready, "it") as site:
        assert sorted(study_states(site).values()) == ["primary_removed"] * 2 + ["suppressed"]
        again = execute(site, BATCH, dry_run=False)
        assert (again.stores[0].kept, again.problems) == ({}, [])
    ready.run("backup")  # a file that was not there may have been moved: another walk tells
    with acting(ready, "it") as site:
        settle(site)
        assert batch_state(site) == "complete"
        assert traces(primary(site), OLD) == []
    assert not any((ready.images / one.folder).exists() for one in OLD)


def test_who_keeps_a_study_of_which_files_are_gone_is_told_how_they_come_back(
    ready: LabSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failing_half_way(ready, monkeypatch)
    (half,) = (one for one in OLD if (ready.images / one.folder).exists())
    (left,) = (ready.images / half.folder).glob("*.dcm")
    left.write_bytes(b"edited after the backup")
    with acting(ready, "it") as site:
        result = execute(site, BATCH, dry_run=False)
        assert result.stores[0].kept == {"changed_since_backup": 1}
        study = key_of(site, half)
    (told,) = (one for one in result.problems if "1 of its files are not in the store" in one)
    _, _, command = told.partition("orchestrator ")
    back = tmp_path / "back"
    ready.run(*command.replace("DIR", str(back)).split())
    assert study in command
    there = {hashlib.sha256(one.read_bytes()).hexdigest() for one in back.rglob("*.dcm")}
    assert contents(half) & there, "what the disposal had removed"


def test_an_unmounted_store_is_not_taken_for_an_emptied_one(
    ready: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ready.folder / "away"
    interfere(monkeypatch, LiveDisposal, "perform", before=lambda: ready.images.rename(away))
    with acting(ready, "it") as site:
        with pytest.raises(Exception, match="its folder does not exist"):
            execute(site, BATCH, dry_run=False)
        assert set(study_states(site).values()) == {"suppressed"}
        away.rename(ready.images)
        assert resume(site, BATCH).problems == []
        assert traces(primary(site), OLD) == []


def test_a_path_that_was_of_another_study_before_loses_only_what_goes(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    # Where a study that goes lies now, another one lay before; and the other way round.
    swapped = lab.images / OLD[0].folder / "1.dcm"
    other = Made(9, NEW.day, files=5)
    swapped.write_bytes(dicom(other, 3))
    once = lab.images / NEW.folder / "once.dcm"
    once.write_bytes(dicom(OLD[1], 9))
    lab.run("backup")
    swapped.write_bytes(dicom(OLD[0], 1))
    once.write_bytes(dicom(other, 4))
    lab.run("backup")
    approve_all(lab)
    with acting(lab, "it") as site:
        done = execute(site, BATCH, dry_run=False)
        assert done.problems == []
        engine = primary(site)
        found = sorted(snapshot_files(engine).values(), key=len)
        with_swapped = {*KEPT, f"{OLD[0].folder}/1.dcm"}
        with_once = {*KEPT, f"{NEW.folder}/once.dcm"}
        assert sorted(map(sorted, found)) == sorted(
            map(sorted, [KEPT, with_swapped, with_once, with_once])
        )
        assert engine.contents([]).blobs == engine.contents([]).used
        for one in engine.snapshots(tags=["manifest"]):
            text = b"".join(engine.dump(one.id, "/manifest.jsonl"))
            assert not any(f'{study.uid}"'.encode() in text for study in OLD)


def test_only_an_approved_batch_is_executed_and_by_a_person(ready: LabSite) -> None:
    with acting(ready, "system") as site, pytest.raises(RefusedError, match="a person begins it"):
        execute(site, BATCH, dry_run=False)
    with acting(ready, "it") as site:
        execute(site, BATCH, dry_run=False)
        assert resume(site, BATCH).stores == [], "nothing is left to do"
        with pytest.raises(RefusedError):
            execute(site, BATCH, dry_run=True)
