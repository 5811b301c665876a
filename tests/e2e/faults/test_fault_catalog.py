"""The catalog is lost: every command says so, and any copy gives it back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.restic import tree
from tests.support.site import STORE, Ended, LabSite, MakeSite

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("backup",),
    ("replicate",),
    ("rotate", "--execute"),
    ("check",),
    ("status",),
    ("snapshots",),
    ("restore", STORE, "--to", "{to}"),
    ("bucket", "coverage", "vault"),
    ("bucket", "extend", "vault"),
    ("medium", "list"),
    ("store", "list"),
    ("study", "list"),
    ("job", "run", "nightly-backup"),
    ("daemon", "--once"),
)


def _studies(site: LabSite) -> list[tuple[str, int, int]]:
    found = site.ask("study", "list", "--limit", "1000")["studies"]
    return [(one["study"], one["files"], one["size_bytes"]) for one in found]


def _snapshots(site: LabSite) -> set[str]:
    return {one["snapshot"] for one in site.ask("snapshots")["snapshots"]}


def _lose(site: LabSite) -> None:
    for name in ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"):
        (site.state / name).unlink(missing_ok=True)
    shutil.rmtree(site.state / "manifests", ignore_errors=True)


def test_every_command_says_that_the_catalog_is_lost(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(vault=True)
    _lose(site)
    for words in COMMANDS:
        process = site.start(*(word.format(to=tmp_path / "to") for word in words), warm=True)
        out, err = process.communicate(timeout=240)
        done = Ended(process.returncode, out, err)
        assert done.code == 10, (words, out, err)
        assert "catalog" in done.error["message"], words
        assert done.error["hint"].startswith("orchestrator catalog rebuild"), words
        assert "Traceback" not in err
    assert not (site.state / "catalog.sqlite").exists(), "nothing makes an empty one in its place"


@pytest.mark.slow
def test_catalog_is_rebuilt_from_any_copy(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(medium=True, vault=True)
    site.ask("backup")
    (site.images / "second.dcm").write_bytes(os.urandom(20_000))
    files = site.ask("backup")["stores"][0]["files"]
    studies = _studies(site)
    for number, copy in enumerate(("disk", "rotation", "vault")):
        known = _snapshots(site)
        assert len(known) == 2 + number
        _lose(site)

        made = site.ask("catalog", "rebuild", "--copy", copy)

        assert (made["snapshots"], made["files"]) == (2 + number, files), copy
        assert _snapshots(site) == known, copy
        again = site.ask("backup")["stores"][0]
        changes = (again["files_new"], again["files_changed"], again["files_gone"])
        assert (again["outcome"], again["files"], changes) == ("succeeded", files, (0, 0, 0)), copy
        assert [one["state"] for one in again["copies"]] == ["proven"] * 3, copy
        target = tmp_path / copy
        assert site.ask("restore", STORE, "--copy", copy, "--to", target)["verified"]
        assert tree(target) == tree(site.images)
    assert _studies(site) == studies
    for found in site.ask("check")["copies"]:
        assert (found["state"], found["damaged"]) == ("proven", []), found
    assert site.ask("bucket", "coverage", "vault")["verdict"] == "covered"
    assert site.verdict() == "met"
