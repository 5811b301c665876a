"""A study that came back after its disposal, and two people who say that it is a record again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.actions.disposal.decide_batch import approve
from orchestrator.actions.disposal.doctor import look_at_suppression
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.propose import propose
from orchestrator.actions.disposal.readmit import readmit, withdraw
from orchestrator.actions.rebuild import rebuild
from orchestrator.actions.site import Site
from orchestrator.catalog import suppressions
from orchestrator.errors import EngineError, NotFoundError, RefusedError, UsageError
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    approve_all,
    batch_state,
    key_of,
    restored,
)
from tests.support.due_studies import NEW, OLD, fill, prepare
from tests.support.postgres_site import lose_catalog
from tests.support.site import STORE, LabSite, MakeSite, wait_for

WHY = "the patient is treated again"
TWIN = """
[actors.twin]
name = "Rivacy, P"
title = "Counsel"
roles = ["compliance"]
"""


@pytest.fixture(scope="session")
def back_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with a study that came back lies, once the first test has made it."""
    return tmp_path_factory.mktemp("back") / "site"


@pytest.fixture
def back(make_site: MakeSite, back_template: Path) -> LabSite:
    """Return a site whose disposal is complete and has one of its studies in the store again."""
    lab = make_site(more=SOON)
    if not back_template.exists():
        prepare(lab)
        approve_all(lab)
        with acting(lab, "it") as site:
            execute(site, BATCH, dry_run=False)
            assert batch_state(site) == "complete"
        fill(lab, OLD[:1], empty=False)
        lab.run("backup")
        shutil.copytree(lab.folder, back_template, symlinks=True)
    else:
        shutil.rmtree(lab.folder)
        shutil.copytree(back_template, lab.folder, symlinks=True)
        lab.moved_in()
        lab.write()
    return lab


def is_suppressed(site: Site, study: str) -> bool:
    with site.catalog.reading() as session:
        return study in suppressions.suppressed(session, STORE)


def agree(lab: LabSite) -> str:
    """Let two people take the study in; return its pseudonym."""
    with acting(lab, "privacy") as site:
        study = key_of(site, OLD[0])
        assert readmit(site, study, WHY).state == "asked"
        assert is_suppressed(site, study)
    with acting(lab, "it") as site:
        assert readmit(site, study, WHY).state == "readmitted"
        assert not is_suppressed(site, study)
    return study


def test_two_people_take_a_study_into_the_records_again_and_restores_bring_it_back(
    back: LabSite, tmp_path: Path
) -> None:
    before = restored(back, tmp_path / "before")
    assert before["suppressed"] == OLD[0].files
    with acting(back, "it") as site:
        study = key_of(site, OLD[0])
    words = ("disposal", "readmit", study, "--reason", WHY)
    assert back.ask("--as", "privacy", *words)["state"] == "asked"
    done = back.ask("--as", "it", *words)
    assert (done["state"], done["stores"], done["outstanding"]) == ("readmitted", [STORE], [])
    assert done["unrecorded"] is None
    after = restored(back, tmp_path / "after")
    assert after["suppressed"] == 0
    here = sorted((back.images / OLD[0].folder).glob("*.dcm"))
    there = sorted((tmp_path / "after" / OLD[0].folder).glob("*.dcm"))
    assert here
    assert [one.read_bytes() for one in here] == [one.read_bytes() for one in there]
    told = back.ask("retention", "explain", study)
    assert "disposed_study_is_back" not in str(told)
    with acting(back, "it") as site:
        assert {one.state for one in look_at_suppression(site)} == {"ok"}
    types = [one["type"] for one in back.ask("ledger", "list", "--study", study)["entries"]]
    assert types[-2:] == ["disposal.readmit_asked", "disposal.readmitted"]
    assert back.ask("ledger", "verify")["verdict"] == "verified"


def test_what_the_ledger_could_not_be_told_is_not_called_done(
    back: LabSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(back, "privacy") as site:
        study = key_of(site, OLD[0])
        readmit(site, study, WHY)

    def refused(*_: object) -> None:
        raise EngineError("the disk is full")

    monkeypatch.setattr("orchestrator.actions.disposal.readmit.record", refused)
    with acting(back, "it") as site:
        done = readmit(site, study, WHY)
        assert (done.state, done.unrecorded) == ("readmitted", "the disk is full")
        assert not is_suppressed(site, study)
    assert back.runs("disposal-readmit")[-1]["outcome"] == "partial"


def test_one_person_takes_nothing_into_the_records_again(back: LabSite) -> None:
    with acting(back, "it") as site:
        study = key_of(site, OLD[0])
        with pytest.raises(RefusedError, match="compliance"):
            readmit(site, study, WHY)
    with acting(back, "privacy") as site:
        readmit(site, study, WHY)
        with pytest.raises(RefusedError, match="same person"):
            readmit(site, study, WHY)
        assert is_suppressed(site, study)
        with pytest.raises(UsageError, match="--reason"):
            readmit(site, study, " ")
        with pytest.raises(RefusedError):
            readmit(site, study, f"see {back.images}/a.dcm")
    with acting(back, "it") as site:
        assert withdraw(site, study).state == "withdrawn"
        with pytest.raises(RefusedError, match="nobody has asked"):
            withdraw(site, study)
        with pytest.raises(RefusedError, match="compliance"):
            readmit(site, study, WHY)
        assert is_suppressed(site, study)


def test_what_is_no_disposed_study_is_not_taken_in(back: LabSite) -> None:
    with acting(back, "privacy") as site:
        with pytest.raises(RefusedError, match="not on the list"):
            readmit(site, key_of(site, NEW), WHY)
        with pytest.raises(NotFoundError):
            readmit(site, key_of(site, OLD[1]), WHY)


def test_a_catalog_from_before_learns_from_the_ledger_that_it_is_a_record_again(
    back: LabSite, tmp_path: Path
) -> None:
    study = agree(back)
    kit = back.state / "recovery-kit" / "suppressed.json"
    kit.unlink(missing_ok=True)
    lose_catalog(back)
    with acting(back, "it") as site:
        done = rebuild(site, "disk", [STORE])
        assert done.lost == []
        assert not is_suppressed(site, study)
    assert restored(back, tmp_path / "after")["suppressed"] == 0


def test_what_was_asked_before_a_later_disposal_does_not_count(back: LabSite) -> None:
    with acting(back, "privacy") as site:
        study = key_of(site, OLD[0])
        readmit(site, study, WHY)
    with acting(back, "it") as site:
        again = propose(site).row.id
    with acting(back, "privacy") as site:
        until = approve(site, again).row.quarantine_until
        assert until is not None
        wait_for(lambda: site.clock.now() > until)
    with acting(back, "it") as site:
        execute(site, again, dry_run=False)
    fill(back, OLD[:1], empty=False)
    back.run("backup")
    with acting(back, "it") as site:
        with pytest.raises(RefusedError, match="compliance"):
            readmit(site, study, WHY)
        assert is_suppressed(site, study)


def test_a_person_under_two_keys_is_one_person(back: LabSite) -> None:
    back.write(more=SOON + TWIN)
    with acting(back, "privacy") as site:
        study = key_of(site, OLD[0])
        readmit(site, study, WHY)
    with acting(back, "twin") as site, pytest.raises(RefusedError, match="same person"):
        readmit(site, study, WHY)
    back.write(more=SOON)
