"""What is proved of a copy after a disposal, and what speaks against it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.actions.disposal import inside
from orchestrator.actions.disposal.absence import Proof, prove_copy
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.rotate import rotate
from orchestrator.catalog import disposals
from orchestrator.catalog.disposal_tables import LIVE
from orchestrator.catalog.disposals import CopyKey
from orchestrator.errors import AbsentCopyError, DamageError
from tests.integration.disposal.conftest import MORE, acting
from tests.integration.disposal.executing import (
    BATCH,
    approve_all,
    contents,
    key_of,
    primary,
)
from tests.support.due_studies import OLD, dicom
from tests.support.site import STORE, LabSite

SECOND = """
[copies.second]
role = "local"
path = "copies/second"
"""
KEEP_ONE = """
[rotation]
keep_last = 1
minimum = 1
keep_daily = 0
keep_weekly = 0
keep_monthly = 0
keep_yearly = 0
"""
SOON = MORE.replace('quarantine = "14d"', 'quarantine = "1s"')


@pytest.fixture(scope="module")
def disposed_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disposed") / "site"


@pytest.fixture
def before(disposed_template: Path) -> Path:
    """Return where the second copy lies as it was before the disposal."""
    return disposed_template.with_name("before")


@pytest.fixture
def lab(due_site: Callable[..., LabSite], disposed_template: Path, before: Path) -> LabSite:
    """Return a site with two local copies on which three studies were disposed of."""
    if disposed_template.exists():
        lab = due_site()
        shutil.rmtree(lab.folder)
        shutil.copytree(disposed_template, lab.folder, symlinks=True)
        lab.moved_in()
        lab.write(more=SOON + SECOND)
        return lab
    lab = due_site(more=SOON)
    lab.write(more=SOON + SECOND)
    lab.run("init", lab.folder)
    lab.run("backup")
    approve_all(lab)
    shutil.copytree(lab.folder / "copies/second", before)
    with acting(lab, "it") as site:
        execute(site, BATCH, dry_run=False)
    shutil.copytree(lab.folder, disposed_template, symlinks=True)
    return lab


def _proof(lab: LabSite, copy: str, medium: str = "") -> Proof:
    with acting(lab, "it") as site:
        return prove_copy(site, BATCH, CopyKey(BATCH, STORE, copy, medium))


def test_each_place_is_free_and_says_by_what(lab: LabSite) -> None:
    live, disk, second = (_proof(lab, copy) for copy in (LIVE, "disk", "second"))
    assert {one.state for one in (live, disk, second)} == {"absent"}
    assert (live.evidence["files"], live.evidence["vanished"]) == (6, 0)
    assert disk.evidence["blobs"] == disk.evidence["blobs_used"]
    assert disk.evidence["contents_looked_for"] == 6
    assert disk.evidence["contents_of_kept_files"] == 0
    assert (second.evidence["given_up"], second.evidence["unknown"]) == (0, 0)
    assert second.evidence["snapshots"] == disk.evidence["snapshots"]
    assert all(one.evidence["technique"] for one in (live, disk, second))


def test_a_copy_that_still_has_one_file_the_primary_gave_up_is_not_free(
    lab: LabSite, before: Path
) -> None:
    old = {path.relative_to(before) for path in before.rglob("*") if path.is_file()}
    now = lab.folder / "copies/second"
    gone = sorted(path for path in old if not (now / path).exists())
    assert {path.parts[1] for path in gone} >= {"data", "index", "snapshots"}
    for kind in ("data", "snapshots"):
        path = next(path for path in gone if path.parts[1] == kind)
        (now / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(before / path, now / path)
        found = _proof(lab, "second")
        assert (found.state, found.evidence["given_up"]) == ("residual", 1)
        (now / path).unlink()
    assert _proof(lab, "second").state == "absent"


def test_a_file_that_nobody_knows_is_not_taken_for_harmless(lab: LabSite) -> None:
    name = "ab" * 32
    (lab.folder / "copies/second" / STORE / "snapshots" / name).write_bytes(b"what is this?")
    found = _proof(lab, "second")
    assert (found.state, found.evidence["unknown"]) == ("unknown", 1)


def test_a_copy_that_is_away_proves_nothing(lab: LabSite) -> None:
    (lab.folder / "copies/second").rename(lab.folder / "copies/elsewhere")
    with pytest.raises(AbsentCopyError):
        _proof(lab, "second")
    with pytest.raises(AbsentCopyError, match="another medium"):
        _proof(lab, "disk", "a-medium")


def test_a_study_that_is_back_in_the_store_is_seen_by_the_next_backup(lab: LabSite) -> None:
    folder = lab.images / OLD[0].folder
    folder.mkdir(parents=True)
    (folder / "1.dcm").write_bytes(dicom(OLD[0], 1))
    lab.run("backup")
    assert _proof(lab, LIVE).state == "residual"
    assert _proof(lab, "disk").state == "residual"


def test_what_restic_still_has_of_a_study_is_found_although_every_record_says_it_is_gone(
    lab: LabSite, tmp_path: Path
) -> None:
    leftover = tmp_path / "leftover"
    leftover.mkdir()
    (leftover / "innocent.bin").write_bytes(dicom(OLD[0], 1))
    with acting(lab, "it") as site:
        engine, repository = primary(site), site.repository(STORE)
        studies = [key_of(site, study) for study in OLD]
        hashes = {sha for study in OLD for sha in contents(study)}

        def prove() -> dict[str, object]:
            return inside.prove_repository(site, repository, engine, hashes=hashes, studies=studies)

        assert prove()["contents_looked_for"] == 6
        stray = engine.backup(leftover, tags=["data"]).snapshot_id
        with pytest.raises(DamageError, match="snapshots are other than recorded"):
            prove()
        engine.forget([stray])
        with pytest.raises(DamageError, match="blobs that no snapshot needs"):
            prove()
        engine.prune(max_unused="0")
        assert prove()["contents_of_kept_files"] == 0
        pack = Path(site.primary_root(STORE)) / "data" / "ab" / ("ab" * 32)
        pack.parent.mkdir(exist_ok=True)
        pack.write_bytes(os.urandom(100))
        with pytest.raises(DamageError, match="packs differ"):
            prove()
        with site.catalog.reading() as session:
            assert disposals.get(session, BATCH).state == "complete"


def test_what_lies_beside_a_repository_in_its_folder_is_not_taken_for_harmless(
    lab: LabSite, before: Path
) -> None:
    pack = next(path for path in (before / STORE / "data").rglob("*") if path.is_file())
    for copy in ("disk", "second"):
        root = lab.folder / "copies" / copy / STORE
        for name in (f"data/{pack.name[:2]}/{pack.name}.bak", "data.old/pack", "copy of index"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pack, root / name)
            assert _proof(lab, copy).state == "unknown", (copy, name)
            (root / name).unlink()
        assert _proof(lab, copy).state == "absent"


def test_a_pack_that_is_back_in_the_primary_and_in_no_index_is_seen(
    lab: LabSite, before: Path
) -> None:
    old = {path.relative_to(before) for path in before.rglob("*") if path.is_file()}
    primary_root = lab.folder / "copies/disk"
    gone = sorted(path for path in old if not (primary_root / path).exists())
    pack = next(path for path in gone if path.parts[1] == "data")
    (primary_root / pack).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(before / pack, primary_root / pack)
    found = _proof(lab, "disk")
    assert (found.state, found.detail) == (
        "residual",
        "1 files that it had given up are there again",
    )


def test_a_snapshot_that_rotation_took_after_the_proof_keeps_no_copy_from_being_free(
    lab: LabSite,
) -> None:
    lab.run("backup")
    (lab.images / "note.txt").write_text("of nobody")
    lab.run("backup")
    lab.write(more=SOON + SECOND + KEEP_ONE)
    with acting(lab, "it") as site:
        (rotation,) = rotate(site, [STORE], dry_run=False)
        assert rotation.remove
        assert prove_copy(site, BATCH, CopyKey(BATCH, STORE, "second")).state == "absent"
