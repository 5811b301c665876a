"""The list of disposed studies survives the site, and is obeyed wherever something comes back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.actions.disposal import suppression
from orchestrator.actions.disposal.doctor import look_at_suppression
from orchestrator.actions.drills.drill import drill
from orchestrator.actions.drills.wish import Wish
from orchestrator.actions.rebuild import rebuild
from orchestrator.catalog import drills, suppressions
from orchestrator.errors import RefusedError
from tests.integration.drills.conftest import (
    backed_up,
    backed_up_template,
    make_loop,
    make_site,
    object_lock_server,
    site_template,
)
from tests.support.site import PROGRAM, STORE, LabSite

__all__ = [
    "backed_up",
    "backed_up_template",
    "make_loop",
    "make_site",
    "object_lock_server",
    "site_template",
]


@pytest.fixture
def vaulted(backed_up: Callable[..., LabSite]) -> LabSite:
    """A site with a backup in its primary and in a bucket."""
    return backed_up(vault=True)


def suppress_one(site: LabSite) -> str:
    with site.opened() as opened:
        with opened.catalog.transaction() as session:
            study = next(drills.study_keys(session, STORE))
            suppression.suppress(opened, session, STORE, [study])
        done = suppression.publish(opened)
    assert (done.number, done.studies, done.outstanding) == (1, 1, {})
    return study


def listed(site: LabSite) -> frozenset[str]:
    with site.opened() as opened, opened.catalog.reading() as session:
        return suppressions.suppressed(session, STORE)


def lose_the_catalog(site: LabSite) -> None:
    for path in site.state.glob("catalog.sqlite*"):
        path.unlink()


def test_a_catalog_older_than_a_disposal_learns_of_it_from_the_bucket(vaulted: LabSite) -> None:
    study = suppress_one(vaulted)
    shutil.rmtree(vaulted.state / "recovery-kit")
    lose_the_catalog(vaulted)
    answer = vaulted.ask("catalog", "rebuild", "--copy", "disk")
    assert answer["unasked"] == []
    assert listed(vaulted) == {study}
    back = str(vaulted.folder / "back")
    brought = vaulted.ask("restore", STORE, "--to", back, "--copy", "disk")
    assert (brought["suppressed"], brought["verified"]) == (1, True)
    folders = [one for one in Path(back).rglob("*") if one.is_dir()]
    assert all(any(one.iterdir()) for one in folders), "a folder's name may be a patient's"


def test_a_restore_says_what_it_leaves_out(vaulted: LabSite) -> None:
    study = suppress_one(vaulted)
    words = [str(PROGRAM), "restore", STORE, "--to", str(vaulted.folder / "back")]
    done = subprocess.run(words, env=vaulted.env, capture_output=True, text=True, check=True)
    assert "1 files of disposed studies were left out" in done.stdout
    words = ["restore", STORE, "--study", study, "--to", str(vaulted.folder / "one")]
    refused = vaulted.run(*words, expect=10).error
    assert "was disposed of" in refused["message"]
    assert refused["hint"] == "orchestrator disposal list"


def test_the_kit_knows_disposed_studies_where_no_bucket_does(
    backed_up: Callable[..., LabSite],
) -> None:
    site = backed_up()
    study = suppress_one(site)
    lose_the_catalog(site)
    site.ask("catalog", "rebuild", "--copy", "disk")
    assert listed(site) == {study}


def test_a_disposal_called_off_is_not_brought_back_by_an_old_list(vaulted: LabSite) -> None:
    study = suppress_one(vaulted)
    old = vaulted.state / "recovery-kit" / "suppressed.json"
    kept = old.read_bytes()
    with vaulted.opened() as opened:
        with opened.catalog.transaction() as session:
            suppression.withdraw(opened, session, STORE, [study])
        assert suppression.publish(opened).number == 2
    old.write_bytes(kept)
    lose_the_catalog(vaulted)
    vaulted.ask("catalog", "rebuild", "--copy", "disk")
    assert listed(vaulted) == frozenset()


def test_a_bucket_that_could_not_be_asked_is_an_alarm_until_it_was(
    vaulted: LabSite,
) -> None:
    study = suppress_one(vaulted)
    shutil.rmtree(vaulted.state / "recovery-kit")
    lose_the_catalog(vaulted)
    endpoint = vaulted.values.endpoint
    vaulted.values.endpoint = "http://127.0.0.1:9"
    vaulted.write()
    with vaulted.opened() as opened:
        assert rebuild(opened, "disk", [STORE]).unasked == ["vault"]
        assert [one.state for one in look_at_suppression(opened)] == ["fail"]
        with (
            pytest.raises(RefusedError, match="may hold a newer list"),
            opened.catalog.transaction() as session,
        ):
            suppression.suppress(opened, session, STORE, ["another"])
    vaulted.values.endpoint = endpoint
    vaulted.write()
    found = vaulted.ask("catalog", "suppression", "--recover")
    assert (found["unasked"], found["outstanding"]) == ([], ["vault"])
    assert listed(vaulted) == {study}
    with vaulted.opened() as opened:
        assert suppression.publish(opened).outstanding == {}
        (left_out,) = look_at_suppression(opened)  # no disposal has removed its files
        assert left_out.detail.startswith("1 have files in store xrays")


def test_a_drill_from_the_kit_leaves_disposed_studies_out(vaulted: LabSite) -> None:
    suppress_one(vaulted)
    kit = vaulted.state / "recovery-kit" / "recovery-kit.txt"
    for copy in ("disk", "vault"):
        with vaulted.opened() as opened:
            done = drill(opened, Wish(STORE, copy, kit=kit))
        assert done.verdict == "verified", (copy, done.reason, done.checks)
        (check,) = (one for one in done.checks if one.name == "suppressed studies")
        assert check.detail == "none of the 1 disposed studies came back"
