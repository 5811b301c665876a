"""The sample folder is real, repeatable and carries no name in a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.lab.sample_store import Counts, build
from orchestrator.stores.folder import FolderStore
from orchestrator.stores.interface import ReadResult


def read_all(root: Path) -> dict[bytes, ReadResult]:
    store = FolderStore("sample", root, workers=1)
    return {result.listed.path: result for result in store.read(store.walk())}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counts]:
    root = tmp_path_factory.mktemp("sample") / "images"
    return root, build(root)


def test_it_holds_readable_images_and_what_else_a_real_folder_holds(
    sample: tuple[Path, Counts],
) -> None:
    root, counts = sample
    results = read_all(root)
    images = [r for r in results.values() if r.dicom and "study_instance_uid" in r.dicom]
    assert counts.dicom >= 200
    assert len(images) >= counts.dicom
    assert len({r.dicom["modality"] for r in images if r.dicom and "modality" in r.dicom}) >= 6
    assert len([r for r in results.values() if r.sha256]) == counts.files
    assert results[b"import/newest"].listed.kind == "symlink"
    assert results[b"import/empty.dcm"].dicom is None
    assert results[b"scans/front.jpg"].dicom is None
    assert results[b"import/cd01/DICOMDIR"].dicom is not None


def test_the_same_packages_give_the_same_folder(
    sample: tuple[Path, Counts], tmp_path: Path
) -> None:
    root, counts = sample
    assert build(tmp_path / "again") == counts
    first, second = read_all(root), read_all(tmp_path / "again")
    assert {p: (r.sha256, r.stat and r.stat.mtime_ns) for p, r in first.items()} == {
        p: (r.sha256, r.stat and r.stat.mtime_ns) for p, r in second.items()
    }


def test_the_later_part_only_adds_files(tmp_path: Path) -> None:
    root = tmp_path / "images"
    build(root, with_data_package=False)
    before = read_all(root)
    counts = build(root, part="later", with_data_package=False)
    after = read_all(root)
    assert 5 <= counts.files <= 20
    assert len(after) == len(before) + counts.files
    assert {p: r.sha256 for p, r in before.items()}.items() <= {
        p: r.sha256 for p, r in after.items()
    }.items()


def test_paths_carry_no_patient_identity(sample: tuple[Path, Counts]) -> None:
    for path, result in read_all(sample[0]).items():
        fields = result.dicom or {}
        parts = [fields.get("patient_id", ""), *fields.get("patient_name", "").split("^")]
        for part in parts:
            assert len(part) < 5 or part.encode() not in path


def test_a_folder_in_use_is_refused(sample: tuple[Path, Counts], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="not empty"):
        build(sample[0])
    with pytest.raises(SystemExit, match="does not exist"):
        build(tmp_path / "gone", part="later")
