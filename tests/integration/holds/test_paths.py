"""Nothing that is on hold goes, by whichever way: local disk, medium, real bucket."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.actions import bucket, media, retire
from orchestrator.actions.backup import back_up
from orchestrator.actions.holds import place, release
from orchestrator.actions.holds.place import Wish
from orchestrator.actions.rebuild import rebuild
from orchestrator.actions.replicate import replicate
from orchestrator.actions.rotate import rotate
from orchestrator.actions.site import Site
from orchestrator.actions.sweep import sweep
from orchestrator.catalog import holds
from orchestrator.errors import NotFoundError, RefusedError
from tests.integration.drills.conftest import keep_sound_images
from tests.support.seed import seed as drawn
from tests.support.site import STORE, LabSite, MakeSite

KEEP_ONE = (
    "[rotation]\nkeep_last = 1\nminimum = 1\n"
    "keep_daily = 0\nkeep_weekly = 0\nkeep_monthly = 0\nkeep_yearly = 0\n"
)
SECOND = '[copies.disk2]\nrole = "local"\npath = "copies/disk2"\n'


def study_of(site: Site, number: int, folder: str = "images") -> str:
    """Return the pseudonym of the study in ``p<number>``."""
    import pydicom

    path = site.config.path.parent / folder / f"p{number}" / "study" / f"{number:03}.dcm"
    uid = pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID
    return site.catalog.keys.pseudonyms.study(str(uid))


def night(site: Site) -> str:
    (result,) = back_up(site, [STORE])
    assert result.error is None, result.error
    assert result.snapshot is not None
    return result.snapshot


def hold(site: Site, **changes: object) -> place.Placed:
    site.actor = "privacy"
    values: dict[str, object] = {"kind": "study", "matter": "22-cv-100", "reason": "a claim"}
    return place.place(site, Wish(**(values | changes)))  # type: ignore[arg-type]


def end(site: Site, name: str) -> None:
    for site.actor in ("privacy", "it"):
        done = release.release(site, name, "settled")
    assert done.state == "released"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("snapshots/*")}


def in_bucket(site: Site) -> set[str]:
    with site.bucket("vault") as opened:
        return {version.path for version in opened.versions(STORE) if not version.is_marker}


def test_what_the_primary_gave_up_before_the_hold_stays_on_every_other_copy(
    make_site: MakeSite,
) -> None:
    lab = make_site(medium=True, vault=True, lock_period="8s", more=SECOND + KEEP_ONE)
    keep_sound_images(lab.images)
    lab.ask("init", lab.folder)
    image = lab.images / "p0" / "study" / "000.dcm"
    content = image.read_bytes()
    with lab.opened() as site:
        study = study_of(site, 0)
        first = night(site)
        image.unlink()
        night(site)
        (done,) = rotate(site, [STORE], dry_run=False)
        assert done.remove == [first]
        assert done.files_removed
        # The packs that took over what stays are not there yet: the old ones may be the last.
        (swept,) = sweep(site, "vault", [STORE])
        assert swept.removed == 0
        assert "are not there" in (swept.problem or "")
        before = in_bucket(site)
        placed = hold(site, study=study)
        assert (placed.snapshots, placed.problems) == (1, ())

        (result,) = replicate(site, [STORE])
        details = {one.copy: one.detail for one in result.copies}
        stays = f"what the primary gave up stays: on hold {placed.hold.hold}"
        assert details["disk2"] == details["rotation"] == stays
        (swept,) = sweep(site, "vault", [STORE])
        assert (swept.removed, swept.holds) == (0, (placed.hold.hold,))
        assert in_bucket(site) >= before

        with site.catalog.reading() as session:
            rows = [
                row
                for row in bucket.copies.inventory(session, ("vault", "", session_id(site)))
                if f"{row.kind}/{row.name}" == f"snapshots/{first}"
            ]
        assert rows[0].retain_until is not None
        assert rows[0].retain_until > placed.hold.placed_at, "its lock was lengthened"
        for folder in (lab.folder / "copies" / "disk2" / STORE, lab.on_medium):
            assert first in names(folder)
            engine = site.copy_engine(STORE, str(folder), "copy")
            assert b"".join(engine.dump(first, "/p0/study/000.dcm")) == content

        site.actor = "it"
        with pytest.raises(RefusedError, match=f"medium red: on hold {placed.hold.hold}"):
            retire.retire(site, "red", note=None)
        assert media.find(site, "red").retired_at is None

        end(site, placed.hold.hold)
        replicate(site, [STORE])
        for folder in (lab.folder / "copies" / "disk2" / STORE, lab.on_medium):
            assert first not in names(folder)
        (swept,) = sweep(site, "vault", [STORE])
        assert swept.holds == ()


def session_id(site: Site) -> str:
    return site.repository(STORE).id


def test_rotation_keeps_what_is_on_hold_and_says_so(backed_up: Callable[..., LabSite]) -> None:
    lab = backed_up()
    lab.write(more=KEEP_ONE)
    with lab.opened() as site:
        study = study_of(site, 0)
        (first,) = names(lab.primary) & {one["id"] for one in lab.rows(DATA)}
        second = night(site)
        placed = hold(site, study=study)
        site.actor = "system"
        for dry_run in (True, False):
            (result,) = rotate(site, [STORE], dry_run=dry_run)
            assert result.remove == []
            assert result.keep[first] == [f"on hold {placed.hold.hold}"]
        assert {first, second} <= names(lab.primary)
        end(site, placed.hold.hold)
        (result,) = rotate(site, [STORE], dry_run=False)
        assert result.remove == [first]
        assert first not in names(lab.primary)


DATA = "SELECT id FROM snapshot WHERE kind = 'data'"


def test_hold_placed_between_plan_and_deed_is_obeyed(
    backed_up: Callable[..., LabSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.actions import primary

    lab = backed_up()
    lab.write(more=KEEP_ONE)
    with lab.opened() as site:
        study = study_of(site, 0)
        night(site)
        note = primary.open_rotation
        placed = []

        def meanwhile(*given: object) -> None:
            note(*given)  # type: ignore[arg-type]
            placed.append(hold(site, study=study).hold.hold)

        monkeypatch.setattr(primary, "open_rotation", meanwhile)
        (result,) = rotate(site, [STORE], dry_run=False)
        assert len(placed) == 1
        assert result.remove == []
        assert {one["id"] for one in lab.rows(DATA)} <= names(lab.primary)


def test_holds_outlive_the_catalog(backed_up: Callable[..., LabSite]) -> None:
    lab = backed_up()
    with lab.opened() as site:
        first, later = study_of(site, 0), study_of(site, 1)
        kept = hold(site, study=first).hold.hold
        asked = release.release(site, kept, "settled")
        night(site)
        # In no state beside the images: the ledger alone knows of it.
        late = hold(site, study=later).hold.hold
    for path in lab.state.glob("catalog.sqlite*"):
        path.unlink()
    with lab.opened() as site:
        rebuild(site, "disk", [STORE])
        with site.catalog.reading() as session:
            rows = {row.id: row for row in holds.listing(session)}
        assert set(rows) == {kept, late}
        assert rows[kept].study_key == first
        assert rows[kept].release_asked_by == asked.release_asked_by == "privacy"
        assert (rows[late].kind, rows[late].matter) == ("store", "22-cv-100")
        (result,) = rotate(site, [STORE], dry_run=True)
        assert result.remove == []
        end_second(site, kept)
        end(site, late)


def end_second(site: Site, name: str) -> None:
    site.actor = "it"
    assert release.release(site, name, "settled").state == "released"


ROUNDS = 9


def test_no_sequence_of_acts_takes_what_is_on_hold(make_site: MakeSite) -> None:
    """At random, against an account of our own of which snapshot holds which study."""
    seed = drawn("HOLDS_SEED")
    print(f"seed {seed}")
    chance = random.Random(seed)
    lab = make_site(more=SECOND + KEEP_ONE)
    keep_sound_images(lab.images)
    lab.ask("init", lab.folder)
    away = lab.folder / "away"
    shutil.copytree(lab.images, away)
    places = [lab.primary, lab.folder / "copies" / "disk2" / STORE]
    with lab.opened() as site:
        study = {number: study_of(site, number) for number in range(3)}
        contents: dict[str, set[str]] = {}
        in_force: dict[str, str] = {}

        def take_a_night() -> None:
            for number in study:
                folder = lab.images / f"p{number}"
                if folder.exists() and chance.random() < 0.4:
                    shutil.rmtree(folder)
                elif not folder.exists() and chance.random() < 0.4:
                    shutil.copytree(away / f"p{number}", folder)
            here = {key for number, key in study.items() if (lab.images / f"p{number}").exists()}
            copies = chance.choice([None, ["disk"]])  # disk2 lags behind every other night
            (result,) = back_up(site, [STORE], copies=copies)
            assert result.snapshot is not None, result.error
            contents[result.snapshot] = here

        def place_or_release() -> None:
            if in_force and chance.random() < 0.4:
                name = chance.choice(sorted(in_force))
                end(site, name)
                del in_force[name]
            else:
                known = sorted(set().union(*contents.values()))
                if known:
                    key = chance.choice(known)
                    in_force[hold(site, study=key).hold.hold] = key

        def rotation() -> None:
            rotate(site, [STORE], dry_run=False)

        def replication() -> None:
            replicate(site, [STORE])

        take_a_night()
        acts = [take_a_night, place_or_release, rotation, replication]
        for _ in range(ROUNDS):
            act = chance.choice(acts)
            before = [names(folder) for folder in places]
            site.actor = "system"
            act()
            held = {
                snapshot
                for snapshot, studies in contents.items()
                if studies & set(in_force.values())
            }
            for folder, had in zip(places, before, strict=True):
                assert held & had <= names(folder), f"seed {seed}: {act.__name__}"
        rotation()
        replication()
        for folder in places:
            site.copy_engine(STORE, str(folder), "copy").check()


def test_a_store_that_left_the_site_file_can_still_be_put_on_hold(
    backed_up: Callable[..., LabSite],
) -> None:
    lab = backed_up()
    text = lab.file.read_text("utf-8")
    lab.file.write_text(text.replace(f"[stores.{STORE}]", "[stores.other]"), "utf-8")
    with lab.opened() as site:
        assert set(site.config.stores) == {"other"}
        placed = hold(site, kind="store", store=STORE)
        assert placed.snapshots == 1
        with pytest.raises(NotFoundError, match="no store named 'nowhere'"):
            hold(site, kind="store", store="nowhere")
