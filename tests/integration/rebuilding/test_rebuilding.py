"""A catalog that was made anew knows what the ledger knows, and nothing is lost with the old one.

Each time something happens after the last backup, the catalog is lost, and it is made anew from a
copy whose state is older than what happened.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates.verify import verify as verify_certificate
from orchestrator.actions.disposal import ending
from orchestrator.actions.disposal import execute as executing
from orchestrator.actions.disposal.certificate import act_of
from orchestrator.actions.disposal.execute import execute, resume
from orchestrator.actions.disposal.propose import propose
from orchestrator.actions.disposal.settle import settle
from orchestrator.actions.drills.drill import drill
from orchestrator.actions.drills.listing import show, sign
from orchestrator.actions.drills.wish import Wish
from orchestrator.actions.ledger.check import verify
from orchestrator.actions.media import register
from orchestrator.actions.retention.policy import current_policy
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, suppressions
from orchestrator.errors import DamageError, RefusedError
from tests.integration.disposal.conftest import MORE, acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    Crash,
    approve_all,
    batch_state,
    die,
    interfere,
    key_of,
    primary,
    restored,
    study_states,
    traces,
)
from tests.integration.rebuilding.conftest import ROTATION, lose_catalog, media_of, rebuilt
from tests.support.due_studies import NEW, OLD
from tests.support.site import STORE, LabSite

KEEP_ONE = (
    MORE
    + """
[rotation]
keep_last = 1
minimum = 1
keep_daily = 0
keep_weekly = 0
keep_monthly = 0
keep_yearly = 0
"""
)


def suppressed(site: Site) -> frozenset[str]:
    with site.catalog.reading() as session:
        return suppressions.suppressed(session, STORE)


def restic(lab: LabSite, site: Site, *words: str) -> None:
    """Use plain restic on the primary, as whoever has the kit may."""
    env = os.environ | {"RESTIC_PASSWORD": site.keyring.password(STORE).reveal()}
    argv = [str(site.restic.path), "-r", str(lab.primary), "--no-cache", *words]
    subprocess.run(argv, env=env, check=True, capture_output=True)


def agrees(site: Site) -> list[str]:
    """Return what the ledger's verification finds fault with, or does not find in the catalog."""
    found = verify(site)
    assert found.verdict == "verified", found.problems
    return [one for one in found.remarks if "in the catalog" in one]


def test_a_medium_that_was_added_after_the_last_backup_keeps_a_disposal_open(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    lab.write(more=SOON + ROTATION)
    lab.run("backup")
    approve_all(lab)
    shelf = lab.folder / "media/red"
    shelf.mkdir(parents=True)
    with acting(lab, "it") as site:
        known = register(site, "rotation", shelf, label="red", allow_folder=True).row
    lab.run("replicate", "rotation")
    # Somebody takes it away, and nobody says so.
    shelf.rename(lab.folder / "away")

    answer = rebuilt(lab)

    assert answer["brought_back"]["media"] == 1
    assert "known by its id only" in answer["not_brought_back"][0]
    with acting(lab, "it") as site:
        row = media_of(site)[known.id]
        assert (row.copy_, row.state, row.label) == ("rotation", "in_use", known.id[:8])
        assert abs(row.registered_at - known.registered_at) < timedelta(milliseconds=1)
        execute(site, BATCH, dry_run=False)
        assert batch_state(site) == "residual"
        with site.catalog.reading() as session:
            left = [one.medium for one in disposals.copies(session, BATCH) if one.state != "absent"]
        assert left == [known.id]
    (lab.folder / "away").rename(shelf)
    with acting(lab, "it") as site:
        assert register(site, "rotation", shelf, label="red", allow_folder=True).row.label == "red"
    lab.run("replicate", "rotation")
    with acting(lab, "it") as site:
        assert settle(site) == []
        assert batch_state(site) == "complete"


def test_a_complete_disposal_has_one_certificate_and_is_not_executed_again(
    due_site: Callable[..., LabSite], tmp_path: Path
) -> None:
    lab = due_site(more=SOON)
    lab.run("backup")
    approve_all(lab)
    with acting(lab, "it") as site:
        assert execute(site, BATCH, dry_run=False).problems == []
        assert batch_state(site) == "complete"
        (issued,) = certify.listing(site)
        with site.catalog.reading() as session:
            before = [row.model_dump() for row in disposals.copies(session, BATCH)]
        going = suppressed(site)
        size = site.ledger.reader().checkpoint.size
    shutil.rmtree(lab.state / "recovery-kit")

    answer = rebuilt(lab)

    assert answer["not_brought_back"] == []
    assert (answer["brought_back"]["certificates"], answer["brought_back"]["disposals"]) == (1, 1)
    with acting(lab, "it") as site:
        assert certify.listing(site) == [issued]
        assert batch_state(site) == "complete"
        assert set(study_states(site).values()) == {"disposed"}
        with site.catalog.reading() as session:
            after = [row.model_dump() for row in disposals.copies(session, BATCH)]
        assert after == before
        assert suppressed(site) == going == {key_of(site, one) for one in OLD}
        assert (settle(site), certify.listing(site)) == ([], [issued])
        with pytest.raises(RefusedError, match=f"certificate {issued.number} for the same"):
            certify.issue_disposal(site, act_of(site, BATCH))
        assert verify_certificate(site, issued.pdf).verdict == "valid"
        assert agrees(site) == []
        assert site.ledger.reader().checkpoint.size == size
    assert restored(lab, tmp_path / "back")["verified"]
    assert not any((tmp_path / "back").rglob(OLD[0].folder.rpartition("/")[2]))


def test_a_certificate_whose_record_is_lost_is_not_issued_a_second_time(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    lab.run("backup")
    approve_all(lab)
    with pytest.MonkeyPatch.context() as patch, acting(lab, "it") as site:
        interfere(patch, ending, "once", before=die)
        with pytest.raises(Crash):
            execute(site, BATCH, dry_run=False)
        (issued,) = certify.listing(site)
    kept = issued.record.read_bytes()
    issued.record.unlink()

    answer = rebuilt(lab)

    assert issued.number in answer["not_brought_back"][0]
    lab.run("backup")
    with acting(lab, "it") as site:
        (problem,) = [one for one in resume_and_settle(site) if "certificate" in one]
        assert f"certificate {issued.number} for the same disposal stands in the" in problem
        assert (certify.listing(site), batch_state(site)) == ([], "residual")
    issued.record.write_bytes(kept)
    assert rebuilt(lab)["brought_back"]["certificates"] == 1
    with acting(lab, "it") as site:
        assert certify.listing(site) == [issued]


def resume_and_settle(site: Site) -> list[str]:
    resume(site, BATCH)
    return settle(site)


@pytest.mark.parametrize(
    ("target", "name"),
    [("suppression", "publish"), ("PrimaryDisposal", "perform")],
)
def test_a_disposal_that_had_begun_goes_on_and_no_restore_brings_its_studies_back(
    due_site: Callable[..., LabSite], tmp_path: Path, target: str, name: str
) -> None:
    lab = due_site(more=SOON)
    lab.run("backup")
    approve_all(lab)
    shutil.rmtree(lab.state / "recovery-kit")
    with pytest.MonkeyPatch.context() as patch, acting(lab, "it") as site:
        interfere(patch, getattr(executing, target), name, before=die)
        with pytest.raises(Crash):
            execute(site, BATCH, dry_run=False)

    answer = rebuilt(lab)

    assert answer["brought_back"]["disposed_studies"] == len(OLD)
    with acting(lab, "it") as site:
        assert batch_state(site) == "executing"
        assert suppressed(site) == {key_of(site, one) for one in OLD}
    assert restored(lab, tmp_path / "back")["suppressed"] == sum(one.files for one in OLD)
    with acting(lab, "it") as site:
        assert resume(site, BATCH).problems == []
        assert traces(primary(site), OLD) == []
        lab.run("backup")
        assert settle(site) == []
        assert batch_state(site) == "complete"
        assert agrees(site) == []


def test_a_batch_that_was_proposed_after_the_last_backup_is_as_it_was(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    lab.run("backup")
    with acting(lab, "it") as site:
        propose(site)
        with site.catalog.reading() as session:
            row = disposals.get(session, BATCH).model_dump(exclude={"plan"})
            studies = [one.model_dump() for one in disposals.studies(session, BATCH)]
    lose_catalog(lab)
    lab.run("catalog", "rebuild", "--copy", "disk")
    with acting(lab, "privacy") as site:
        with site.catalog.reading() as session:
            again = disposals.get(session, BATCH).model_dump(exclude={"plan"})
            assert [one.model_dump() for one in disposals.studies(session, BATCH)] == studies
        instants = ("proposed_at", "earliest_completion")
        assert {key: value for key, value in again.items() if key not in instants} == {
            key: value for key, value in row.items() if key not in instants
        }
        assert agrees(site) == []


def test_what_a_rotation_took_after_the_last_state_is_no_damage_once_a_person_says_so(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site()
    lab.write(more=KEEP_ONE)
    lab.run("backup")
    lab.run("rotate", "--execute")

    answer = rebuilt(lab)

    assert "--rotated" in answer["not_brought_back"][0]
    lab.run("backup", expect=4)
    lose_catalog(lab)
    answer = lab.ask("catalog", "rebuild", "--copy", "disk", "--rotated")
    assert answer["not_brought_back"] == []
    assert lab.ask("backup")["stores"][0]["outcome"] == "succeeded"
    assert lab.ask("check", "disk")["copies"][0]["damaged"] == []


def test_a_pack_that_was_lost_with_the_catalog_is_damage_and_no_rotation(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site()
    packs = [path for path in (lab.primary / "data").rglob("*") if path.is_file()]
    pack = max(packs, key=lambda path: path.stat().st_size)
    content = pack.read_bytes()
    pack.unlink()
    lose_catalog(lab)

    answer = lab.ask("catalog", "rebuild", "--copy", "disk", "--rotated", expect=3)

    assert "1 packs that its index names are missing" in answer["not_brought_back"][0]
    lab.run("backup", expect=4)
    pack.write_bytes(content)
    assert rebuilt(lab)["not_brought_back"] == []
    assert lab.ask("backup")["stores"][0]["outcome"] == "succeeded"


def test_a_strangers_snapshot_stops_a_disposal_until_it_is_forgotten_by_hand(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    lab.run("backup")
    approve_all(lab)
    with acting(lab, "it") as site:
        restic(lab, site, "backup", "--tag", "mine", str(lab.images / OLD[0].folder))
        with pytest.raises(RefusedError, match="is of no run of this site"):
            execute(site, BATCH, dry_run=False)
        (stranger,) = primary(site).snapshots(tags=["mine"])
        restic(lab, site, "forget", stranger.id)
        with pytest.raises(DamageError, match="1 files are missing"):
            resume(site, BATCH)

    lab.ask("catalog", "rebuild", "--copy", "disk", "--rotated")

    with acting(lab, "it") as site:
        assert resume(site, BATCH).problems == []
        assert traces(primary(site), OLD) == []
        lab.run("backup")
        assert settle(site) == []
        assert batch_state(site) == "complete"


def test_a_drill_and_its_signature_and_an_adoption_come_back_whole(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site()
    with acting(lab, "privacy") as site:
        with site.catalog.reading() as session:
            policy = current_policy(site, session)
        done = drill(site, Wish(STORE, "disk"))
        assert done.verdict == "verified"
        before = sign(site, done.drill, "seen")

    answer = rebuilt(lab)

    assert answer["brought_back"].items() >= {"drills": 1, "adopted_schedules": 2}.items()
    with acting(lab, "privacy") as site:
        after = show(site, done.drill)
        assert after.result.rto == before.result.rto
        assert (after.result.verdict, after.result.checks) == ("verified", before.result.checks)
        assert (after.html, after.has_ended) == (before.html, True)
        assert [one.actor_name for one in after.signs] == ["P. Rivacy"]
        with site.catalog.reading() as session:
            assert current_policy(site, session).adopted == policy.adopted
        assert NEW.number == 9
