"""Ledger, catalog and certificates at odds with each other: nothing claimed, and who says so."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.actions import doctor
from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates import verify as verify_certificate
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.status import site_status
from orchestrator.errors import RefusedError
from tests.support import certificate_records as acts
from tests.support.clock import ShiftedClock
from tests.support.site import LabSite, MakeSite

VENDOR = """
[vendors.shred]
name = "Shredding & Sons"
agreement = "agreement.pdf"
expires = {day}
"""


def findings(lab: LabSite, name: str) -> dict[str, str]:
    """What the doctor says of one thing: details by state."""
    with lab.opened() as site:
        return {one.state: one.detail for one in doctor.examine(site) if one.name == name}


def change(lab: LabSite, *statements: str) -> None:
    with closing(sqlite3.connect(lab.state / "catalog.sqlite")) as catalog:
        catalog.executescript(";".join(statements))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def newest_tile(lab: LabSite) -> Path:
    tiles = (lab.state / "ledger" / "tile" / "entries" / "000.p").iterdir()
    return max(tiles, key=lambda path: int(path.name))


def test_damage_of_the_ledger_is_said_by_status_and_doctor_and_stops_no_backup(
    make_site: MakeSite,
) -> None:
    lab = make_site()
    with lab.opened() as site:
        record(site, [Event("key.created", {"n": number}) for number in range(3)])
    assert "verified from their bytes" in findings(lab, "ledger")["ok"]
    assert "nothing outside vouches" in findings(lab, "ledger anchors")["warn"]
    assert not any("ledger" in one for one in lab.ask("status")["warnings"])
    flip(newest_tile(lab))
    checks = lab.ask("doctor", expect=(0, 1, 3, 4))["checks"]
    assert {one["state"] for one in checks if one["name"] == "ledger"} == {"fail"}
    assert any(one.startswith("ledger:") for one in lab.ask("status")["warnings"])
    with lab.opened(ShiftedClock(timedelta(days=1))) as later:
        from orchestrator.actions.backup import back_up

        (result,) = back_up(later, ["xrays"], copies=[])
    assert (result.snapshot is not None, result.outcome) == (True, "partial")
    assert "ledger" in lab.runs("backup")[-1]["reason"]

    shutil.rmtree(lab.state / "ledger")
    assert "gone" in findings(lab, "ledger")["fail"]
    assert any("gone" in one for one in lab.ask("status")["warnings"])
    # An empty folder is no ledger: nothing to verify is not verified.
    (lab.state / "ledger").mkdir()
    lab.run("ledger", "verify", expect=5)
    lab.run("ledger", "export", "--format", "csv", "--to", lab.folder / "x.csv", expect=5)


def test_rows_and_entries_that_do_not_belong_together_are_named(make_site: MakeSite) -> None:
    lab = make_site()
    with lab.opened() as site:
        made = certify.issue_sanitization(site, acts.sanitization())
    change(lab, "update certificate set recorded_index = 0")
    (problem,) = lab.ask("ledger", "verify", expect=4)["problems"]
    assert made.number in problem
    assert made.number in findings(lab, "ledger")["fail"]
    # A catalog that was put back, files and all: the ledger still knows the number.
    change(
        lab, "delete from certificate", "delete from ledger_seen", "update ledger set mirrored=0"
    )
    for path in (made.pdf, made.record):
        path.unlink()
    found = lab.ask("ledger", "verify")
    assert any(made.number in remark for remark in found["remarks"])
    assert made.number in findings(lab, "ledger")["warn"]
    with lab.opened() as site:
        with pytest.raises(RefusedError, match=f"{made.number} for the same sanitization"):
            certify.issue_sanitization(site, acts.sanitization())
        another = certify.issue_sanitization(site, acts.sanitization("s-20260305-a1b2c3"))
    assert another.number > made.number


def test_a_revocation_is_never_lost_with_a_ledger(make_site: MakeSite) -> None:
    lab = make_site()
    aside = lab.folder / "aside"
    with lab.opened() as site:
        made = certify.issue_sanitization(site, acts.sanitization())
        shutil.copytree(lab.state / "ledger", aside)
        site.actor = "privacy"
        certify.revoke(site, made.number, reason="wrong medium")
    shutil.rmtree(lab.state / "ledger")
    shutil.copytree(aside, lab.state / "ledger")
    checked = lab.ask("certificate", "verify", made.pdf, expect=3)
    assert checked["verdict"] == "unknown"
    assert "not continued" in str(checked["checks"])
    # Nor is it where it stands in a later ledger than the certificate.
    lab.ask("--as", "privacy", "ledger", "reopen", "--note", "restored by mistake")
    change(lab, "update certificate set state = 'issued', ended_index = null")
    with lab.opened() as site:
        assert verify_certificate.verify(site, made.pdf).verdict == "valid"
        site.actor = "privacy"
        certify.revoke(site, made.number, reason="wrong medium")
        assert verify_certificate.verify(site, made.pdf).verdict == "revoked"


def test_what_is_unfinished_expiring_or_not_anchored_is_no_green(make_site: MakeSite) -> None:
    lab = make_site(vault=True)
    now = ShiftedClock().now()
    lab.write(more=VENDOR.format(day=(now + timedelta(days=9)).date()))
    (lab.folder / "agreement.pdf").write_bytes(b"%PDF")
    with lab.opened() as site:
        made = certify.issue_sanitization(site, acts.sanitization())
    change(lab, "update certificate set state = 'signed', issued_index = null")
    with lab.opened() as site:
        by_name = {(one.name, one.state): one for one in doctor.examine(site)}
        warnings = site_status(site, ["xrays"]).warnings
    assert "ends soon" in by_name["vendor shred", "warn"].detail
    assert "never anchored" in by_name["ledger anchors", "warn"].detail
    assert "certificate settle" in (by_name["certificates", "warn"].hint or "")
    assert any(f"{made.number} is signed" in one for one in warnings)
    assert any("never anchored" in one for one in warnings)
    lab.ask("ledger", "anchor")
    lab.ask("certificate", "settle")
    flip(made.pdf)
    # The day ends in the site's zone, which may be behind.
    with lab.opened(ShiftedClock(timedelta(days=11))) as site:
        record(site, [Event("key.created", {"n": 1})])
        by_name = {(one.name, one.state): one for one in doctor.examine(site)}
    assert "expired" in by_name["vendor shred", "warn"].detail
    assert "not what was recorded" in by_name["certificates", "fail"].detail
    assert ("ledger anchors", "warn") in by_name  # it has grown, and that was long ago


@pytest.mark.parametrize("text", ["kept in /srv/images/doe", "of 1.2.840.113619.2.55.3.1"])
def test_free_text_of_an_act_may_name_nobody(make_site: MakeSite, text: str) -> None:
    import dataclasses

    act = acts.disposal()
    act = dataclasses.replace(act, series=dataclasses.replace(act.series, description=text))
    with make_site().opened() as site:
        with pytest.raises(RefusedError, match="looks like"):
            certify.issue_disposal(site, act)
        assert certify.listing(site) == []


def test_a_type_of_entries_that_does_not_exist_is_no_empty_export(make_site: MakeSite) -> None:
    lab = make_site()
    to = lab.folder / "export.csv"
    error = lab.run(
        "ledger", "export", "--format", "csv", "--to", to, "--type", "dispsal", expect=2
    )
    assert lab.ask("ledger", "list", "--type", "disposal")["entries"] == []
    assert "dispsal" in error.error["message"]
    flip(newest_tile(lab))
    lab.run("ledger", "export", "--format", "csv", "--to", to, expect=4)
    # Half an export would look like a whole one.
    assert not list(lab.folder.glob("*export.csv*"))
