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


def _lose(site: LabSite) -> None:
    for name in ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"):
        (site.state / name).unlink(missing_ok=True)
    shutil.rmtree(site.state / "manifests", ignore_errors=True)


def test_every_command_says_that_the_catalog_is_lost(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site(vault=True)
    _lose(site)
    for words in COMMANDS:
        process = site.start(*(word.format(to=tmp_path / "to") for word in words))
        out, err = process.communicate(timeout=60)
        done = Ended(process.returncode, out, err)
        assert done.code == 10, (words, out, err)
        assert "catalog" in done.error["message"], words
        assert done.error["hint"].startswith("orchestrator catalog rebuild"), words
        assert "Traceback" not in err
    assert not (site.state / "catalog.sqlite").exists(), "nothing makes an empty one in its place"


@pytest.mark.parametrize("copy", ["disk", "rotation", "vault"])
def test_catalog_is_rebuilt_from_any_copy(make_site: MakeSite, tmp_path: Path, copy: str) -> None:
    site = make_site(medium=True, vault=True)
    site.ask("backup")
    (site.images / "second.dcm").write_bytes(os.urandom(20_000))
    second = site.ask("backup")["stores"][0]
    known = {one["snapshot"] for one in site.ask("snapshots")["snapshots"]}
    studies = _studies(site)
    _lose(site)
    assert site.run("status", expect=10).error["hint"]

    made = site.ask("catalog", "rebuild", "--copy", copy)

    assert made["snapshots"] == 2
    assert made["files"] == second["files"]
    assert {one["snapshot"] for one in site.ask("snapshots")["snapshots"]} == known
    assert _studies(site) == studies
    again = site.ask("backup")["stores"][0]
    assert (again["files_new"], again["files_changed"], again["files_gone"]) == (0, 0, 0)
    assert (again["outcome"], again["files"]) == ("succeeded", second["files"])
    for found in site.ask("check")["copies"]:
        assert (found["structure"], found["damaged"]) == ("sound", []), found
    assert site.copies()["vault"]["state"] == "present", "what the state did not know is not known"
    site.ask("bucket", "extend", "vault")
    assert {one["state"] for one in site.copies().values()} == {"proven"}
    assert site.verdict() == "met"
    cover = site.ask("bucket", "coverage", "vault")
    assert cover["verdict"] == "covered"
    done = site.ask("restore", STORE, "--copy", copy, "--to", tmp_path / "restored")
    assert done["verified"]
    assert tree(tmp_path / "restored") == tree(site.images)
