"""Entries of the ledger that only a bucket has: taken in if they are whole and continue what is
here, with what they tell of; never instead of another history."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.media import register
from orchestrator.actions.rebuilding import learn as learning
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import Crash, die, interfere
from tests.integration.rebuilding.conftest import ROTATION, lose_catalog, media_of
from tests.support.site import LabSite, MakeSite


def add(site: LabSite, **body: str) -> None:
    with site.opened() as opened:
        record(opened, [Event("key.created", body)])


def put_aside(site: LabSite) -> Path:
    return Path(shutil.copytree(site.state / "ledger", site.folder / "ledger-aside"))


def put_back(site: LabSite, aside: Path) -> None:
    shutil.rmtree(site.state / "ledger")
    shutil.copytree(aside, site.state / "ledger")


def size_of(site: LabSite) -> int:
    return int(site.ask("ledger", "list")["size"])


def test_a_machine_that_is_made_anew_has_the_entries_that_its_bucket_has(
    make_site: MakeSite,
) -> None:
    site = make_site(vault=True, more=ROTATION)
    site.ask("backup")
    shelf = site.folder / "media/red"
    shelf.mkdir(parents=True)
    with acting(site, "it") as opened:
        known = register(opened, "rotation", shelf, label="red", allow_folder=True).row
    site.ask("ledger", "anchor")
    size = size_of(site)
    shelf.rename(site.folder / "away")
    lose_catalog(site)
    for folder in ("ledger", "evidence", "certificates"):
        shutil.rmtree(site.state / folder, ignore_errors=True)

    answer = site.ask("catalog", "rebuild", "--copy", "disk", expect=3)  # a medium lacks its label

    assert answer["fetched"] > 0
    assert answer["brought_back"]["media"] == 1
    assert (size_of(site), site.ask("ledger", "verify")["verdict"]) == (size, "verified")
    with acting(site, "it") as opened:
        assert media_of(opened)[known.id].copy_ == "rotation"
    # The bucket has been heard: nobody has to answer for going on.
    assert site.ask("ledger", "anchor")["anchors"][0]["state"] == "anchored"


def test_a_ledger_that_was_put_back_is_continued_by_what_the_bucket_has(
    make_site: MakeSite,
) -> None:
    site = make_site(vault=True)
    before = size_of(site)
    aside = put_aside(site)
    add(site, what="one")
    with site.opened() as opened:  # more than one tile
        record(opened, [Event("key.created", {"what": str(number)}) for number in range(300)])
    site.ask("ledger", "anchor")
    size = size_of(site)
    put_back(site, aside)
    refused = site.run("ledger", "anchor", expect=5).error
    assert "ledger fetch" in refused["hint"]

    done = site.ask("ledger", "fetch")

    assert (done["size"], done["fetched"][0]["before"], done["problems"]) == (size, before, {})
    found = site.ask("ledger", "verify")
    assert (found["verdict"], found["size"]) == ("verified", size)
    add(site, what="after")
    assert site.ask("ledger", "anchor")["anchors"][0]["state"] == "anchored"
    assert site.ask("ledger", "fetch")["fetched"] == []


def test_another_history_is_never_taken_in(make_site: MakeSite) -> None:
    site = make_site(vault=True)
    before = size_of(site)
    aside = put_aside(site)
    add(site, what="the one")
    add(site, what="and more")
    site.ask("ledger", "anchor")
    put_back(site, aside)
    from orchestrator.ledger.entry import Entry, build, new_id
    from orchestrator.ledger.log import Log

    with site.opened() as opened:
        ledger, now = opened.ledger, opened.clock.now()
        log = Log.open(ledger.folder, ledger.signer)
        log.append([build(Entry("key.created", new_id(now), now, "system", {"what": "other"}))])
    here = {
        path: path.read_bytes() for path in (site.state / "ledger").rglob("*") if path.is_file()
    }

    done = site.run("ledger", "fetch", expect=3).document

    assert "another history" in done["problems"]["vault"]
    assert (done["size"], done["fetched"]) == (before + 1, [])
    assert {path: path.read_bytes() for path in here} == here


def test_what_was_fetched_and_not_learned_is_learned_by_the_next_fetch(
    make_site: MakeSite,
) -> None:
    """Cut off in between, nothing is missing from the ledger any more: only the catalog lags."""
    site = make_site(vault=True, more=ROTATION)
    aside = put_aside(site)
    shutil.copy(site.state / "catalog.sqlite", site.folder / "catalog-aside")
    shelf = site.folder / "media/red"
    shelf.mkdir(parents=True)
    with acting(site, "it") as opened:
        known = register(opened, "rotation", shelf, label="red", allow_folder=True).row
    site.ask("ledger", "anchor")
    put_back(site, aside)
    lose_catalog(site)
    shutil.copy(site.folder / "catalog-aside", site.state / "catalog.sqlite")
    with pytest.MonkeyPatch.context() as patch, acting(site, "it") as opened:
        interfere(patch, learning, "bring_back", before=die)
        with pytest.raises(Crash):
            learning.learn(opened)
        assert known.id not in media_of(opened)

    done = site.ask("ledger", "fetch")

    assert (done["fetched"], done["brought_back"]) == ([], {"media": 1})
    assert site.ask("ledger", "fetch")["brought_back"] == {}
