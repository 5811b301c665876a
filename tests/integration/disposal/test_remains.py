"""What outlives a study on the machine itself, and what makes a proof worth nothing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.actions.disposal.absence import prove_copy
from orchestrator.actions.disposal.execute import execute, resume
from orchestrator.actions.disposal.live import LiveDisposal
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.manifests import seal_context
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals
from orchestrator.catalog.disposal_tables import LIVE
from orchestrator.catalog.disposals import CopyKey
from orchestrator.engines.restic.repository import Repository
from orchestrator.errors import OrchestratorError
from orchestrator.keys.sealed import SealedReader
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    approve_all,
    batch_state,
    contents,
    interfere,
    key_of,
    primary,
    traces,
)
from tests.support.clock import ShiftedClock
from tests.support.due_studies import NEW, OLD
from tests.support.site import STORE, LabSite

SECOND = """
[copies.second]
role = "local"
path = "copies/second"
"""


def _pictures(lab: LabSite) -> set[str]:
    (path,) = (lab.state / "reports/drills").glob("*.previews.json")
    return {one["study"] for one in json.loads(path.read_text())["shown"]}


def _sealed(site: Site) -> str:
    """Return what the sealed manifests on this machine say."""
    text = ""
    for path in (site.state_dir / "manifests").iterdir():
        store, run, _ = path.name.split(".")
        context = seal_context("manifest", store, run)
        reader = SealedReader(path, site.keyring.stream_key(), context)
        text += b"".join(reader.lines()).decode()
    return text


def test_nothing_in_the_state_folder_shows_or_names_what_was_disposed_of(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    lab.run("drill", "run", STORE, "--previews")
    lab.run("backup")
    lab.run("catalog", "rebuild", "--copy", "disk")
    (aside,) = lab.state.glob("catalog.*Z.sqlite")
    approve_all(lab)
    with acting(lab, "it") as site:
        old = {key_of(site, one) for one in OLD}
        assert _pictures(lab) & old
        done = execute(site, BATCH, dry_run=False)
        assert (done.problems, batch_state(site)) == ([], "complete")
        assert _pictures(lab) == {key_of(site, NEW)}
        (page,) = (lab.state / "reports/drills").glob("*.html")
        assert page.read_text().count("data:image") == len(
            json.loads(next(page.parent.glob("*.previews.json")).read_text())["shown"]
        )
        with closing(sqlite3.connect(aside)) as connection:
            rows = connection.execute("SELECT study_key FROM file").fetchall()
            assert {row[0] for row in rows} == {key_of(site, NEW)}
        assert not any(one.uid + '"' in _sealed(site) for one in OLD)
    there = {path.name for path in (lab.primary / "data").rglob("*") if path.is_file()}
    cached = {path.name for path in (lab.state / "cache").glob("*/data/*/*")}
    assert cached <= there, "restic's cache holds nothing the primary gave up"


def test_an_old_catalog_that_cannot_forget_keeps_a_disposal_open(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    approve_all(lab)
    aside = lab.state / "catalog.20260101T000000Z.sqlite"
    aside.write_bytes(b"it was put aside because it was damaged")
    with acting(lab, "it") as site:
        done = execute(site, BATCH, dry_run=False)
        assert aside.name in done.problems[0]
        assert batch_state(site) == "residual"
        aside.unlink()
        assert settle(site) == []
        assert batch_state(site) == "complete"


def test_files_that_were_moved_are_looked_for_before_the_store_counts_as_free(
    due_site: Callable[..., LabSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = due_site(more=SOON)
    approve_all(lab)
    moved = lab.images / "archive"
    interfere(
        monkeypatch,
        LiveDisposal,
        "_entries",
        after=lambda: (lab.images / OLD[0].folder).rename(moved),
    )
    with acting(lab, "it") as site:
        execute(site, BATCH, dry_run=False)
        assert (moved / "1.dcm").exists()
        assert batch_state(site) == "residual", "nobody has looked where they went"
        assert settle(site) == []
        lab.run("backup")
        assert prove_copy(site, BATCH, CopyKey(BATCH, STORE, LIVE)).state == "residual"
        (problem,) = settle(site)
        assert "1 disposed studies are in store xrays again" in problem
        execute(site, BATCH, dry_run=False)
        assert not moved.exists()
        assert traces(primary(site), OLD) == []
        lab.run("backup")
        assert settle(site) == []
        assert batch_state(site) == "complete"


def test_a_clock_set_back_between_prune_and_proof_frees_no_replica(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    lab.write(more=SOON + SECOND)
    lab.run("init", lab.folder)
    lab.run("backup")
    approve_all(lab)
    second = lab.folder / "copies/second" / STORE
    before = {path: path.read_bytes() for path in (second / "data").rglob("*") if path.is_file()}
    clock = ShiftedClock()

    def set_back() -> None:
        clock.ahead = timedelta(hours=-3)

    from orchestrator.actions import primary as primaries

    with pytest.MonkeyPatch.context() as patch, acting(lab, "it", ahead=clock) as site:
        interfere(patch, primaries, "finish_rotation", after=set_back)
        execute(site, BATCH, dry_run=False)
    gone = [path for path in before if not path.exists()]
    assert gone
    gone[0].parent.mkdir(exist_ok=True)
    gone[0].write_bytes(before[gone[0]])
    with acting(lab, "it") as site:
        found = prove_copy(site, BATCH, CopyKey(BATCH, STORE, "second"))
        assert (found.state, found.evidence["given_up"]) == ("residual", 1)


def test_a_prune_that_fails_half_way_completes_nothing_and_is_done_again(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    approve_all(lab)
    stuck: list[Path] = []
    real = Repository.prune

    def prune(engine: Repository, **options: str) -> object:
        wanted = {sha for one in OLD for sha in contents(one)}
        assert engine.contents(wanted).blobs > engine.contents(wanted).used
        for path in (lab.primary / "data").rglob("*"):
            if path.is_file():
                subprocess.run(["chattr", "+i", path], check=True)
                stuck.append(path)
        return real(engine, **options)

    try:
        with pytest.MonkeyPatch.context() as patch, acting(lab, "it") as site:
            patch.setattr(Repository, "prune", prune)
            with pytest.raises(OrchestratorError):
                execute(site, BATCH, dry_run=False)
            with site.catalog.reading() as session:
                row = disposals.copy_row(session, CopyKey(BATCH, STORE, "disk"))
                assert row is not None
                assert row.state == "pending"
            assert batch_state(site) == "executing"
            assert all("again" not in one for one in settle(site))
            assert batch_state(site) == "executing"
    finally:
        for path in stuck:
            subprocess.run(["chattr", "-i", path], check=False)
    with acting(lab, "it") as site:
        assert resume(site, BATCH).problems == []
        assert (traces(primary(site), OLD), batch_state(site)) == ([], "complete")
        assert primary(site).check(read_data=True).errors == 0
