"""Drills as installed: what a person types, what the daemon does, what is missed and shown."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pydicom

from orchestrator.actions.status import site_status
from orchestrator.daemon import Daemon
from tests.e2e.test_daemon import only
from tests.support.clock import ShiftedClock
from tests.support.site import LabSite, MakeSite

GOOD = ("CT_small.dcm", "MR_small.dcm")
MONTHLY = 'action = "drill"\nschedule = "0 12 1 * *"\ncopies = ["local"]\n'


def with_good_images(site: LabSite) -> LabSite:
    """Leave images that can all be decoded: the samples hold some that are broken by design."""
    shutil.rmtree(site.images)
    site.images.mkdir()
    for name in GOOD:
        shutil.copy(Path(pydicom.__file__).parent / "data/test_files" / name, site.images)
    return site


def test_a_drill_is_made_listed_shown_and_counts_in_status(make_site: MakeSite) -> None:
    site = with_good_images(make_site())
    site.ask("backup")
    done = site.ask("--as", "it", "drill", "run", "xrays")
    assert (done["verdict"], done["exit_code"], done["files"]) == ("verified", 0, 2)
    assert {check["state"] for check in done["checks"]} == {"passed"}

    listed = site.ask("drill", "list", "xrays")
    assert [(one["drill"], one["verdict"]) for one in listed["drills"]] == [
        (done["drill"], "verified")
    ]
    (covered,) = listed["coverage"]
    assert (covered["copy"], covered["coverage"]["studies"]) == ("disk", 2)
    assert covered["coverage"]["within_30_days"] == 1.0
    assert listed["missed"] == []

    shown = site.ask("drill", "show", done["drill"][:18])
    assert (shown["drill"], shown["verdict"], shown["signs"]) == (done["drill"], "verified", [])

    status = site.ask("status")
    rto = status["stores"][0]["rto"]
    assert (rto["basis"], rto["met"], rto["measured_s"]) == (
        "drill",
        True,
        round(done["rto"]["measured_s"], 3),
    )
    assert status["stores"][0]["drills"][0]["drill"] == done["drill"]
    assert any("never drilled" in one for one in status["warnings"])


def test_a_kit_is_good_after_a_drill_with_it(make_site: MakeSite, tmp_path: Path) -> None:
    site = with_good_images(make_site())
    site.ask("backup")
    kit = Path(site.ask("--as", "it", "key", "kit", "--to", tmp_path / "safe")["recovery_kit"])
    shutil.rmtree(site.state / "recovery-kit")

    def standing() -> list[tuple[str, str]]:
        checks = site.run("doctor", expect=(0, 1)).document["checks"]
        return [(c["state"], c["detail"]) for c in checks if c["name"] == "recovery kit"]

    assert [state for state, _ in standing()] == ["warn"]
    done = site.ask("drill", "run", "xrays", "--kit", kit)
    assert (done["verdict"], done["kit_only"]) == ("verified", True)
    assert [state for state, _ in standing()] == ["ok"]
    site.ask("--as", "it", "key", "kit", "--to", tmp_path / "newer")
    ((state, detail),) = standing()
    assert state == "warn"
    assert "an older one" in detail


def test_drills_without_a_snapshot_a_kit_or_a_catalog_say_what_is_so(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = with_good_images(make_site())
    nothing = site.ask("drill", "run", "xrays", expect=1)
    assert nothing["sandbox"] == "Nothing was restored, so there was nothing to remove."
    assert all(one["advice"] for one in nothing["checks"]), "each says what to do, none passes"
    site.ask("backup")
    kit = Path(site.ask("--as", "it", "key", "kit", "--to", tmp_path / "safe")["recovery_kit"])
    no_kit = site.ask("drill", "run", "xrays", "--kit", kit.with_suffix(".html"), expect=4)
    (check,) = no_kit["checks"]
    assert check["advice"].startswith("name the kit's text file"), "the copy needs no healing"
    shutil.rmtree(site.state)
    site.state.mkdir(mode=0o700)
    done = site.ask("drill", "run", "xrays", "--kit", kit)
    assert (done["verdict"], done["report"], done["files"]) == ("verified", None, 2)
    assert any("not recorded" in remark for remark in done["remarks"])


def test_damage_that_a_drill_found_shows_in_status(make_site: MakeSite) -> None:
    site = with_good_images(make_site())
    site.ask("backup")
    pack = max(site.primary.glob("data/*/*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    raw = bytearray(pack.read_bytes())
    raw[len(raw) // 3] ^= 1
    pack.write_bytes(raw)
    done = site.ask("drill", "run", "xrays", expect=4)
    assert done["verdict"] == "not_verified"
    status = site.ask("status")
    (copy,) = status["stores"][0]["copies"]
    assert copy["state"] == "damaged"
    assert status["stores"][0]["rto"]["met"] is None
    assert any(f"drill {done['drill']}" in reason for reason in status["stores"][0]["reasons"])


def test_a_drill_that_was_due_and_did_not_happen_stays_on_record(make_site: MakeSite) -> None:
    site = with_good_images(make_site())
    site.ask("backup")
    only(site, monthly=MONTHLY)
    clock = ShiftedClock()
    assert Daemon(site.file, clock=clock).run_due() == []  # it has its first slot after a backup
    clock.ahead = timedelta(days=70)
    (late,) = Daemon(site.file, clock=clock).run_due()
    assert late.outcome == "partial"  # its RPO is long missed, and it has happened
    missed = site.rows("SELECT * FROM missed_event ORDER BY slot")
    assert missed
    assert {(row["job"], row["action"], row["kind"]) for row in missed} == {
        ("monthly", "drill", "not_run")
    }
    assert missed[-1]["slot"] <= str(late.slot)
    with site.opened(clock) as opened:
        found = site_status(opened, ["xrays"])
    assert len(found.missed) == len(missed)
    assert all(one.made_up for one in found.missed)
    assert not any("monthly" in warning for warning in found.warnings)
    assert len(site.rows("SELECT * FROM missed_event")) == len(missed)


def test_an_offline_medium_is_drilled_when_it_has_come_back(make_site: MakeSite) -> None:
    site = with_good_images(make_site(medium=True))
    site.ask("backup")
    medium = 'action = "drill"\nwhen = "medium returns"\ncopies = ["offline"]\n'
    only(site, medium=medium)
    clock = ShiftedClock()
    (first,) = Daemon(site.file, clock=clock).run_due()
    assert first.outcome == "succeeded"
    (row,) = site.rows("SELECT * FROM drill")
    assert (row["copy"], row["medium"], row["verdict"]) == ("rotation", "red", "verified")
    assert Daemon(site.file, clock=clock).run_due() == []
    site.ask("replicate", "rotation")
    assert Daemon(site.file, clock=clock).run_due() == []
