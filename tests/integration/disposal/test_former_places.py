"""Where a copy was before the site file was changed: no disposal ends while it is not closed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates.signer import certificate_path
from orchestrator.actions.certificates.verify import verify
from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.listing import Batch, Standing, show
from orchestrator.actions.disposal.places import came_at, drop_covered, rows
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.disposal.statement import contents
from orchestrator.actions.holds.witnessed import note_records
from orchestrator.actions.place_register import standing
from orchestrator.actions.place_register.closing import Said, close, withdraw
from orchestrator.actions.place_register.doctor import look_at_places
from orchestrator.actions.place_register.recover import recover
from orchestrator.actions.place_register.standing import PlaceFacts
from orchestrator.actions.retire import retire
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, media, runs
from orchestrator.catalog import places as register
from orchestrator.catalog.copy_tables import Medium
from orchestrator.catalog.place_tables import CopyPlace
from orchestrator.errors import RefusedError, UsageError
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import SOON, approve_all, key_of
from tests.support.due_studies import BATCH, NEW, prepare
from tests.support.site import STORE, LabSite, MakeSite

SECOND = """
[copies.second]
role = "local"
path = "copies/second"
"""
ROTATION = """
[copies.rotation]
role = "offline"
search = ["media"]
due_every = "7d"
"""
NOTE = "the old disk was emptied by hand"


@pytest.fixture(scope="session")
def approved_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a site with an approved batch and two disks lies, once a test has made it."""
    return tmp_path_factory.mktemp("places") / "site"


@pytest.fixture
def lab(due_site: Callable[..., LabSite], approved_template: Path) -> LabSite:
    """Return a site with two local copies and an approved batch whose quarantine is over."""
    lab = due_site(more=SOON)
    lab.write(more=SOON + SECOND)
    if approved_template.exists():
        shutil.rmtree(lab.folder)
        shutil.copytree(approved_template, lab.folder, symlinks=True)
        lab.write()
        lab.moved_in()
        return lab
    lab.run("init", lab.folder)
    lab.run("backup")
    approve_all(lab)
    shutil.copytree(lab.folder, approved_template, symlinks=True)
    return lab


def executed(lab: LabSite) -> Batch:
    with acting(lab, "it") as site:
        execute(site, BATCH, dry_run=False)
        return show(site, BATCH)


def settled(lab: LabSite) -> Batch:
    with acting(lab, "system") as site:
        settle(site)
        return show(site, BATCH)


def left(batch: Batch) -> list[Standing]:
    return [one for one in batch.copies if one.state not in ("absent", "attested")]


def open_place(lab: LabSite, copy: str) -> PlaceFacts:
    with acting(lab, "it") as site:
        (found,) = (
            one
            for one in standing.listing(site)
            if one.copy == copy and one.state in standing.OPEN_STATES
        )
        return found


def place_list(lab: LabSite) -> list[PlaceFacts]:
    with acting(lab, "it") as site:
        return standing.listing(site)


def said(lab: LabSite, actor: str, place: str, how: str, note: str | None = NOTE) -> PlaceFacts:
    with acting(lab, actor) as site:
        return close(site, place, Said(how, note))


def snapshots(folder: Path) -> int:
    return len(list((folder / "xrays/snapshots").iterdir()))


@pytest.mark.slow
def test_a_copied_folder_keeps_a_disposal_open_until_two_people_have_closed_it(
    lab: LabSite,
) -> None:
    old, new = lab.folder / "copies/disk", lab.folder / "copies/larger"
    before = snapshots(old)
    shutil.copytree(old, new)
    lab.write(disk="copies/larger")
    batch = executed(lab)
    assert snapshots(old) == before  # the old copy has everything
    (place,) = left(batch)
    assert (batch.row.state, place.copy, place.state) == ("residual", "disk", "residual")
    assert (place.place, place.medium, place.label) == (
        open_place(lab, "disk").place,
        None,
        str(old.resolve()),
    )
    assert batch.earliest_completion is None
    assert "place close" in str(place.next)
    name = str(place.place)
    with pytest.raises(RefusedError, match="its folder is there with the copy's marker"):
        said(lab, "it", name, "emptied")
    shutil.rmtree(old)
    assert [one.place for one in left(settled(lab))] == [name]

    with pytest.raises(UsageError, match="--note"):
        said(lab, "it", name, "emptied", None)
    assert said(lab, "privacy", name, "emptied").state == "close_asked"
    for same in ("privacy", "second"):  # who stand in the site file for one human
        with pytest.raises(RefusedError, match="another person of compliance"):
            said(lab, same, name, "emptied")
    with pytest.raises(RefusedError, match="it takes the role compliance"):
        said(lab, "it", name, "emptied")
    with pytest.raises(RefusedError, match="two people must say the same"):
        said(lab, "dentist", name, "destroyed")
    assert [one.place for one in left(settled(lab))] == [name]
    with acting(lab, "privacy") as site:
        assert [one.state for one in look_at_places(site)] == ["warn"]
    assert said(lab, "dentist", name, "emptied", None).state == "closed"

    batch = settled(lab)
    assert (batch.row.state, left(batch)) == ("complete", [])
    (told,) = (one for one in batch.copies if one.place == name)
    assert (told.state, told.proved_at) == ("attested", None)
    assert told.detail == "attested: emptied, said P. Rivacy and D. Entist"
    with acting(lab, "privacy") as site:
        found, record = certify.get(site, str(batch.row.certificate))
        assert verify(site, found.pdf).verdict == "valid"
        assert [one.state for one in look_at_places(site)] == ["ok"]
    (copy,) = (one for one in record["act"]["copies"] if "former place" in one["copy"])
    assert (copy["copy"], copy["basis"]) == (f"disk, former place {name}", "attested")
    assert (copy["proved_at"], copy["media"]) == (None, [])
    assert "as stated by P. Rivacy and D. Entist; not observed" in copy["technique"]
    parts = {(one["part"], one["actor"]) for one in record["act"]["persons"]}
    assert {("recorded", "privacy"), ("concurred", "dentist")} <= parts
    kinds = [one["type"] for one in lab.ask("ledger", "list")["entries"]]
    for kind in ("place.left", "place.close_asked", "place.closed"):
        assert kinds.count(kind) == 1
    checked = lab.ask("ledger", "verify")
    assert (checked["verdict"], checked["problems"]) == ("verified", [])


def test_a_moved_folder_is_closed_by_two_people_once_nothing_is_at_the_old_path(
    lab: LabSite,
) -> None:
    old, new = lab.folder / "copies/disk", lab.folder / "copies/moved"
    old.rename(new)
    lab.write(disk="copies/moved")
    (old / "xrays").mkdir(parents=True)
    shutil.copy(new / "xrays/config", old / "xrays/config")
    assert [one.copy for one in left(executed(lab))] == ["disk"]
    name = open_place(lab, "disk").place
    with pytest.raises(RefusedError, match="files of a repository are there"):
        said(lab, "it", name, "moved")
    shutil.rmtree(old)
    said(lab, "it", name, "moved")
    with acting(lab, "it") as site:
        assert withdraw(site, name).state == "former"
    said(lab, "it", name, "moved")
    assert said(lab, "privacy", name, "moved").looked == "its folder is not there"
    assert settled(lab).row.state == "complete"


def test_a_copy_taken_out_of_the_site_file_has_a_way_to_its_end(lab: LabSite) -> None:
    second = lab.folder / "copies/second"
    second.rename(lab.folder / "drawer")
    batch = executed(lab)  # begun before the copy is taken out
    assert [(one.copy, one.place) for one in left(batch)] == [("second", None)]
    lab.write(more=SOON)
    batch = settled(lab)
    place = open_place(lab, "second")
    assert [(one.copy, one.place) for one in left(batch)] == [("second", place.place)]
    with acting(lab, "it") as site:
        (remaining,) = contents(site, BATCH).remaining
    assert f"copy second, former place {place.place}" in remaining.place
    said(lab, "it", place.place, "destroyed")
    assert settled(lab).row.state == "residual"
    said(lab, "privacy", place.place, "destroyed")
    with acting(lab, "it") as site:
        signer = certificate_path(site)
    signer.rename(signer.with_suffix(".away"))
    assert settled(lab).row.state == "residual"
    with acting(lab, "it") as site:
        told = contents(site, BATCH)
    (gone,) = (one for one in told.gone if "former place" in one.place)
    assert (gone.basis, gone.proved) == ("attested", "not proved")
    signer.with_suffix(".away").rename(signer)
    batch = settled(lab)
    assert batch.row.state == "complete"
    assert [one.state for one in batch.copies if one.copy == "second"] == ["attested"]


def test_another_disk_at_the_same_path_leaves_the_first_one_behind_and_a_hold_keeps_it(
    lab: LabSite,
) -> None:
    second = lab.folder / "copies/second"
    second.rename(lab.folder / "drawer")
    lab.run("init", lab.folder)
    lab.run("replicate", "second")
    assert [one.copy for one in left(executed(lab))] == ["second"]
    place = open_place(lab, "second")
    assert place.location == str(second.resolve())
    with acting(lab, "it") as site:
        study = key_of(site, NEW)
    hold = lab.ask("--as", "privacy", "hold", "place", "--study", study, "--matter", "2026-CV-9",
                   "--reason", "letter of a lawyer")["hold"]  # fmt: skip
    with pytest.raises(RefusedError, match=f"place {place.place} of copy second: on hold {hold}"):
        said(lab, "it", place.place, "emptied")
    (refused,) = lab.ask("ledger", "list", "--type", "hold.refused")["entries"]
    assert refused["type"] == "hold.refused"
    assert settled(lab).row.state == "residual"
    for actor in ("it", "privacy"):
        lab.run("--as", actor, "hold", "release", hold, "--reason", "the case is closed")
    done = [said(lab, actor, place.place, "emptied") for actor in ("it", "privacy")]
    assert done[-1].looked == "another folder or disk is there now"
    assert settled(lab).row.state == "complete"


@pytest.mark.slow
def test_a_changed_prefix_of_a_bucket_keeps_a_disposal_open_while_versions_are_listed(
    make_site: MakeSite,
) -> None:
    lab = make_site(vault=True, more=SOON)
    prepare(lab)
    approve_all(lab)
    lab.file.write_text(
        lab.file.read_text().replace("[copies.vault]\n", '[copies.vault]\nprefix = "anew"\n')
    )
    batch = executed(lab)
    place = open_place(lab, "vault")
    assert place.role == "immutable"
    assert (batch.row.state, place.place in {one.place for one in left(batch)}) == (
        "residual",
        True,
    )
    for how in ("moved", "emptied", "destroyed"):
        with pytest.raises(RefusedError, match="versions of repository files are listed there"):
            said(lab, "it", place.place, how)
    with acting(lab, "it") as site:
        endpoint = site.bucket_config("vault").endpoint
    lab.write(endpoint=endpoint.replace("127.0.0.1", "localhost"))  # the same server
    alias = {one.location: one for one in place_list(lab)}[place.location].place
    with pytest.raises(RefusedError, match="the same versions are listed there and where the copy"):
        said(lab, "it", alias, "emptied")
    assert said(lab, "it", alias, "moved").state == "close_asked"
    with acting(lab, "it") as site:
        withdraw(site, alias)
    # Both lines were a mistake: what is where it was before is looked at as the copy.
    lab.write(endpoint=None)
    batch = settled(lab)
    assert {one.place for one in left(batch)} == {None, open_place(lab, "vault").place}
    assert open_place(lab, "vault").location.endswith("prefix anew")


def test_a_catalog_made_anew_learns_from_the_ledger_which_places_were_left(lab: LabSite) -> None:
    old = lab.folder / "copies/second"
    old.rename(lab.folder / "drawer")
    lab.run("init", lab.folder)
    lab.run("backup")
    place = open_place(lab, "second")
    with closing(sqlite3.connect(lab.state / "catalog.sqlite")) as connection:
        connection.execute("DELETE FROM copy_place")
        connection.commit()
    with acting(lab, "it") as site:
        assert recover(site) == 1
        found = {one.place: one for one in standing.listing(site)}
    assert found[place.place].state == "former"
    assert found[place.place].location == "not known"
    assert sorted(one.copy for one in found.values() if one.state == "current") == [
        "disk",
        "second",
    ]
    with acting(lab, "it") as site:
        assert recover(site) == 0
        assert len(standing.listing(site)) == 3


def test_only_a_place_left_before_the_studies_came_is_passed_over(lab: LabSite) -> None:
    def rows_of(site: Site, session: Session) -> set[str]:
        return {one.medium for one in rows(site, session, BATCH, STORE)} - {""}

    with acting(lab, "it") as site, site.catalog.transaction() as session:
        now = site.clock.now()
        began = register.store_began(session, STORE)
        assert began is not None
        for name, at in (
            ("P-before-the-store", began - timedelta(days=1)),
            ("P-before-the-studies", began + timedelta(milliseconds=1)),
            ("P-after", now),
            ("P-nobody-knows", None),
        ):
            register.save(
                session,
                CopyPlace(
                    id=name,
                    copy_="attic",
                    role="local",
                    location=name,
                    first_seen=now,
                    last_seen=now,
                    left_at=at,
                ),
            )
        late = {"P-after", "P-nobody-knows"}
        assert rows_of(site, session) == late | {"P-before-the-studies"}
        studies = [(STORE, one.study_key) for one in disposals.studies(session, BATCH)]
        came = {key: came_at(session, BATCH, STORE, key) for _, key in studies}
        assert min(filter(None, came.values())) > began + timedelta(milliseconds=1)
        for store, key in studies:
            disposals.set_studies(
                session, BATCH, [(store, key)], state="suppressed", came_at=came[key]
            )
        assert rows_of(site, session) == late
        disposals.set_studies(session, BATCH, studies[:1], came_at=None)  # one is in doubt
        assert rows_of(site, session) == late | {"P-before-the-studies"}
        latest = max(one for one in came.values() if one is not None)
        disposals.set_studies(session, BATCH, studies, came_at=latest)
        assert rows_of(site, session) == late
        (backup, *_) = [one.id for one in runs.recent(session, STORE, action="backup", limit=9)]
        note_records(site, session, STORE, backup)  # a catalog made anew
        assert {came_at(session, BATCH, STORE, key) for _, key in studies} == {None}


def test_the_last_medium_of_a_copy_taken_out_of_the_site_file_can_be_retired(
    lab: LabSite,
) -> None:
    with acting(lab, "it") as site, site.catalog.transaction() as session:
        now = site.clock.now()
        red = Medium(
            id="ab" * 16,
            copy_="rotation",
            label="red",
            fs_uuid="0000-0001",
            state="away",
            registered_at=now,
            last_seen=now,
        )
        media.register(session, red, actor="it")
    lab.write(more=SOON + SECOND + ROTATION)
    with acting(lab, "it") as site, pytest.raises(RefusedError, match="red is its last medium"):
        retire(site, "red", note=None)
    lab.write(more=SOON + SECOND)
    with acting(lab, "it") as site:
        retire(site, "red", note=None)
        with site.catalog.reading() as session:
            assert media.get(session, red.id).retired_at is not None


def test_a_copy_that_goes_onto_media_leaves_the_folder_where_it_was_behind(lab: LabSite) -> None:
    def media_of(site: Site, session: Session) -> set[str]:
        drop_covered(site, session, BATCH)
        for one in rows(site, session, BATCH, STORE):
            disposals.put_copy(session, one)
        return {one.medium for one in disposals.copies(session, BATCH) if one.copy_ == "second"}

    with acting(lab, "it") as site, site.catalog.transaction() as session:
        (place,) = register.listing(session, copy="second")
        assert media_of(site, session) == {""}
    lab.write(more=SOON + ROTATION.replace("rotation", "second"))
    with acting(lab, "it") as site, site.catalog.transaction() as session:
        assert media_of(site, session) == {place.id}
    lab.write(more=SOON + SECOND)  # and back: it is looked at as the copy again
    with acting(lab, "it") as site, site.catalog.transaction() as session:
        assert media_of(site, session) == {""}
