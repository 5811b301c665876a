"""A catalog is made anew from the newest that is at hand, all of it or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.actions import rebuild as rebuilding
from orchestrator.actions.disposal import execute as executing
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.rebuilding import database
from orchestrator.errors import RefusedError
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    Crash,
    approve_all,
    die,
    interfere,
    restored,
)
from tests.integration.rebuilding.conftest import lose_catalog
from tests.support.due_studies import OLD
from tests.support.site import STORE, LabSite, MakeSite

SECOND_DISK = """
[copies.disk2]
role = "local"
path = "copies/disk2"
"""

SECOND_STORE = """
[stores.scans]
kind = "folder"
path = "scans"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
"""


def test_a_rebuild_that_dies_before_it_has_read_the_ledger_brings_no_study_back(
    due_site: Callable[..., LabSite], tmp_path: Path
) -> None:
    lab = due_site(more=SOON)
    lab.run("backup")
    approve_all(lab)
    shutil.rmtree(lab.state / "recovery-kit")
    with pytest.MonkeyPatch.context() as patch, acting(lab, "it") as site:
        interfere(patch, executing.suppression, "publish", before=die)
        with pytest.raises(Crash):
            execute(site, BATCH, dry_run=False)
    lose_catalog(lab)
    with pytest.MonkeyPatch.context() as patch, acting(lab, "it") as site:
        interfere(patch, rebuilding, "bring_back", before=die)
        with pytest.raises(Crash):
            rebuilding.rebuild(site, "disk", [STORE])

    to = tmp_path / "too-early"
    lab.run("restore", STORE, "--to", to, expect=10)  # there is no catalog yet

    assert not to.exists()
    answer = lab.ask("catalog", "rebuild", "--copy", "disk")
    assert answer["brought_back"]["disposed_studies"] == len(OLD)
    assert restored(lab, tmp_path / "back")["suppressed"] == sum(one.files for one in OLD)


def test_what_is_recorded_while_a_catalog_is_made_anew_is_brought_back_too(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site()
    lab.run("backup")

    def happen_meanwhile() -> None:
        words = ("hold", "place", "--store", STORE, "--matter", "2026-17", "--reason", "asked")
        lab.ask("--as", "privacy", *words)

    with pytest.MonkeyPatch.context() as patch, acting(lab, "it") as site:
        interfere(patch, rebuilding, "put_in_place", before=happen_meanwhile)
        done = rebuilding.rebuild(site, "disk", [STORE])

    assert done.brought_back["holds"] == 1
    assert len(lab.ask("hold", "list")["holds"]) == 1


def test_a_cut_between_two_renames_loses_nothing_of_the_old_catalog(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site()
    with acting(lab, "it") as site:
        record(site, [Event("key.created", {"what": "in the write-ahead log"})])
        assert (lab.state / "catalog.sqlite-wal").stat().st_size > 0
        with pytest.MonkeyPatch.context() as patch:
            interfere(patch, database, "_rename", after=die)
            with pytest.raises(Crash):
                rebuilding.rebuild(site, "disk", [STORE])
    # Cut off there, the old catalog is aside and none is in place: that is said.
    assert lab.run("status", expect=10).error["hint"]
    assert lab.ask("catalog", "rebuild", "--copy", "disk")["not_brought_back"] == []


def test_the_newest_state_of_all_stores_is_taken_with_its_ledger(make_site: MakeSite) -> None:
    lab = make_site(more=SECOND_STORE)
    (lab.folder / "scans").mkdir()
    (lab.folder / "scans/one.bin").write_bytes(b"one" * 1000)
    lab.ask("init", lab.folder)
    lab.ask("backup", STORE)
    with lab.opened() as site:
        record(site, [Event("key.created", {"what": "between two backups"})])
    lab.ask("backup", "scans")
    runs = len(lab.runs("backup"))
    lose_catalog(lab)
    for folder in ("ledger", "evidence", "certificates"):
        shutil.rmtree(lab.state / folder, ignore_errors=True)

    lab.ask("catalog", "rebuild", "--copy", "disk")

    entries = lab.ask("ledger", "list")["entries"]
    assert sum("what" in one["body"] for one in entries if one["type"] == "key.created") == 1
    assert len(lab.runs("backup")) == runs


def test_a_copy_that_lags_is_said_to_lag_and_names_the_primary(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON + SECOND_DISK)
    lab.run("init", lab.folder)
    lab.run("backup")
    disk2 = lab.folder / "copies/disk2"
    disk2.rename(lab.folder / "unplugged")
    lab.run("backup", expect=3)
    (lab.folder / "unplugged").rename(disk2)
    approve_all(lab)
    lose_catalog(lab)

    answer = lab.ask("catalog", "rebuild", "--copy", "disk2", expect=3)

    better = "orchestrator catalog rebuild --copy disk"
    assert any(better in one and "1 snapshots" in one for one in answer["not_brought_back"])
    with acting(lab, "it") as site, pytest.raises(RefusedError, match="is of no run") as told:
        execute(site, BATCH, dry_run=False)
    assert better in str(told.value.hint)
    assert lab.ask("catalog", "rebuild", "--copy", "disk")["not_brought_back"] == []
    with acting(lab, "it") as site:
        assert execute(site, BATCH, dry_run=False).problems == []
