"""What a restore leaves out leaves no folder behind: its name may be a patient's."""

from __future__ import annotations

from pathlib import Path

from orchestrator.actions.restore_from import drop_folders_of


def test_folders_that_only_held_what_was_left_out_do_not_come_back(tmp_path: Path) -> None:
    for folder in ("one/a/b", "two/a", "three", "never full", "elsewhere/link-target"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "two/kept.dcm").write_bytes(b"kept")
    (tmp_path / "three/kept.dcm").write_bytes(b"kept")
    drop_folders_of(tmp_path, [b"one/a/b/1.dcm", b"two/a/2.dcm", b"three/3.dcm", b"4.dcm"])
    found = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*"))
    assert found == [
        "elsewhere",
        "elsewhere/link-target",
        "never full",
        "three",
        "three/kept.dcm",
        "two",
        "two/kept.dcm",
    ]


def test_no_folder_is_dropped_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside/a").mkdir(parents=True)
    (tmp_path / "back").mkdir()
    (tmp_path / "back/one").symlink_to(tmp_path / "outside")
    drop_folders_of(tmp_path / "back", [b"one/a/1.dcm", b"../outside/a/2.dcm"])
    assert (tmp_path / "outside/a").is_dir()
