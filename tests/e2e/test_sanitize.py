"""Sanitizing real loop devices by the command line, from the proposal to the certificate."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.actions.ledger import record
from orchestrator.actions.run import run
from orchestrator.actions.sanitization import attest as sanitize_record
from orchestrator.actions.sanitization import execute as sanitize_run
from orchestrator.actions.sanitization import sanitize
from orchestrator.actions.sanitization.rows import settle
from orchestrator.actions.site import Site
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.clock import SystemClock
from orchestrator.errors import DamageError, EngineError, RefusedError, UsageError
from orchestrator.sanitization import overwrite as own
from tests.support.raw_loop import MakeRaw, make_raw
from tests.support.site import LabSite, MakeSite, kill_group, wait_for

__all__ = ["make_raw"]


@contextmanager
def acting(site: Site, actor: str) -> Iterator[Site]:
    before, site.actor = site.actor, actor
    try:
        yield site
    finally:
        site.actor = before


def approved(site: Site, device: str | Path, technique: str, *conditions: str) -> str:
    """Have one person propose and another approve."""
    with acting(site, "it"):
        wanted = sanitize.Proposal(Path(device), technique, conditions=conditions)
        name = sanitize.propose(site, wanted).id
    with acting(site, "privacy"):
        return sanitize.approve(site, name).id


def executed(site: Site, name: str) -> Sanitization:
    with acting(site, "it"):
        return sanitize_run.execute(site, name)


@pytest.fixture
def site(make_site: MakeSite) -> Iterator[Site]:
    with make_site().opened() as opened:
        yield opened


TWIN = """
[actors.twin]
name = "T. I."
title = "IT administrator"
roles = ["operator", "custodian", "compliance"]
"""


def ledger_types(site: LabSite) -> list[str]:
    with site.opened() as opened:
        found = opened.ledger.log.reader().entries()
        return [json.loads(stored.data)["type"] for stored in found]


@pytest.fixture
def device(make_raw: MakeRaw) -> str:
    return make_raw()


@pytest.mark.slow
def test_overwrite_goes_from_proposal_to_certificate(make_site: MakeSite, device: str) -> None:
    site = make_site(more=TWIN)
    probed = site.ask("sanitize", "probe", device)
    assert probed["kind"] == "loop"
    reach = {one["technique"]: one for one in probed["techniques"]}
    assert (reach["overwrite"]["method"], reach["overwrite"]["allowed"]) == ("clear", True)
    assert not reach["degauss"]["allowed"]
    assert reach["blkdiscard"]["method"] is None

    wanted = ("sanitize", "run", device, "--technique", "overwrite", "--property", "LAB-7")
    found = site.ask("--as", "it", *wanted)
    assert (found["state"], found["method"], found["validation"]) == ("proposed", None, "pending")
    name = found["sanitization"]
    before = Path(device).read_bytes()
    early = site.run("--as", "it", "sanitize", "run", "--approved", name, expect=5)
    assert "not approved" in early.error["message"]
    error = site.run("--as", "it", "sanitize", "approve", name, expect=5).error
    assert "may not" in error["message"]
    error = site.run("--as", "twin", "sanitize", "approve", name, expect=5).error
    assert "may not" in error["message"]  # one person under two names is one person
    assert "person" in site.run("sanitize", "approve", name, expect=5).error["message"]
    assert Path(device).read_bytes() == before  # nothing was done yet
    assert site.ask("--as", "privacy", "sanitize", "approve", name)["state"] == "approved"

    done = site.ask("--as", "it", "sanitize", "run", "--approved", name)
    assert (done["state"], done["method"]) == ("executed", "clear")
    assert (done["verification"], done["validation"]) == ("verified", "pending")
    assert done["measured"]["read_back"]["read_bytes"] == len(before)
    assert done["measured"]["read_back"]["markers"] == 16
    assert not Path(device).read_bytes().strip(b"\0")
    for digest in done["evidence"].values():
        assert (site.state / "evidence/sha256" / digest[:2] / digest[2:]).is_file()

    assert [ledger_types(site)[one] for one in done["ledger"]] == [
        "sanitization.proposed",
        "sanitization.approved",
        "sanitization.run",
        "sanitization.run.done",
    ]
    validate = ("sanitize", "validate", name, "--accept")
    for same in ("it", "twin"):
        refused = site.run("--as", same, *validate, expect=5)
        assert "may not validate" in refused.error["message"]
    both = site.run("--as", "privacy", *validate, "--reject", "--reason", "both", expect=2)
    assert "one of the two" in both.error["message"]
    # A loop device is a file on another medium: who accepts that must say why.
    assert "scope" in site.run("--as", "privacy", *validate, expect=2).error["message"]
    accepted = site.ask("--as", "privacy", *validate, "--reason", "a test image")
    assert (accepted["validation"], accepted["method"]) == ("accepted", "clear")
    assert accepted["certificate"]
    shown = site.ask("sanitize", "show", name[:14])
    assert shown["certificate"] == accepted["certificate"]
    types = ledger_types(site)
    story = ["sanitization.proposed", "sanitization.approved", "sanitization.run"]
    story += ["sanitization.run.done", "sanitization.validated"]
    assert [one for one in types if one.startswith("sanitization")] == story
    assert "certificate.issued" in types
    act = site.ask("certificate", "show", accepted["certificate"])["record"]["act"]
    assert [one["part"] for one in act["persons"]] == [
        "requested",
        "approved",
        "performed",
        "verified",
        "validated",
    ]

    # A day that a person writes is a day of the site's zone, also on the certificate.
    shred = ("sanitize", "record", "--technique", "shred", "--kind", "hdd", "--serial", "S1")
    told = site.ask("--as", "it", *shred, "--at", "2026-01-20")
    assert told["ended_at"] == "2026-01-20T06:00:00+00:00"
    rejected = site.ask(
        "--as", "privacy", "sanitize", "validate", told["sanitization"], "--reject", "--reason", "x"
    )
    act = site.ask("certificate", "show", rejected["certificate"])["record"]["act"]
    assert {one["date"] for one in act["persons"] if one["part"] == "performed"} == {"2026-01-20"}
    with site.opened() as opened:
        stored = opened.ledger.log.reader().entry(rejected["ledger"][-1])
    assert json.loads(stored)["decision"] == "rejected"
    assert json.loads(stored).get("method") is None


def test_discarding_reaches_no_method(site: Site, device: str) -> None:
    done = executed(site, approved(site, device, "blkdiscard"))
    assert (done.state, done.method) == ("executed", None)
    assert any("no method" in one for one in done.reasons)


def test_nwipe_without_a_serial_number_is_unverified(site: Site, device: str) -> None:
    done = executed(site, approved(site, device, "nwipe"))
    assert (done.verification, done.method) == ("unverified", None)
    assert done.reasons == ["nwipe does not name the serial number of the device"]
    assert done.measured["read_back"]["not_zero"] == 0  # it did its work; that is not enough
    with acting(site, "privacy"), pytest.raises(RefusedError, match="unverified"):
        sanitize_record.validate(site, done.id, accept=True, reasons=())


def test_another_device_at_the_same_path_is_refused(
    site: Site, device: str, tmp_path: Path
) -> None:
    name = approved(site, device, "overwrite")
    other = tmp_path / "other.img"
    other.write_bytes(b"keep" * (10 << 20))
    subprocess.run(["losetup", "--detach", device], check=True)
    subprocess.run(["losetup", device, other], check=True)
    with pytest.raises(RefusedError, match="not the one that was approved"):
        executed(site, name)
    assert other.read_bytes() == b"keep" * (10 << 20)


def test_an_approval_out_of_date_is_refused(site: Site, device: str) -> None:
    name = approved(site, device, "overwrite")
    late = SystemClock().now() + sanitize.APPROVAL_LASTS + timedelta(hours=1)

    class Late(SystemClock):
        def now(self):
            return late

    site.clock = Late()
    with pytest.raises(RefusedError, match="out of date"):
        executed(site, name)


def test_what_is_mounted_or_of_the_site_is_refused(make_site: MakeSite) -> None:
    lab = make_site(medium=True)
    assert lab.medium is not None
    with lab.opened() as site, acting(site, "it"):
        medium = sanitize.Proposal(Path(lab.medium.device), "overwrite")
        with pytest.raises(RefusedError, match="mounted"):
            sanitize.propose(site, medium)
        lab.medium.unmount()
        with pytest.raises(RefusedError, match="in service"):
            sanitize.propose(site, medium)
        state = sanitize.Proposal(lab.state / "catalog.sqlite", "luks-erase")
        with pytest.raises(RefusedError, match="state folder"):
            sanitize.propose(site, state)


def test_luks_erase_destroys_every_key_slot(site: Site, tmp_path: Path) -> None:
    image = tmp_path / "container.img"
    with open(image, "wb") as file:
        file.truncate(32 << 20)

    def cryptsetup(*words: str) -> int:
        done = subprocess.run(
            ["cryptsetup", *words, str(image), "-"], input=b"pass", capture_output=True, check=False
        )
        return done.returncode

    cheap = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
    assert cryptsetup("luksFormat", "-q", *cheap) == 0
    assert cryptsetup("open", "--test-passphrase") == 0
    conditions = ("encrypted_from_first_write", "no_other_key_copies")
    done = executed(site, approved(site, image, "luks-erase", *conditions))
    assert done.verification == "verified"
    assert done.method is None  # a file: what is left on the medium beneath is not known
    assert done.measured["read_back"]["markers"] > 0
    assert cryptsetup("open", "--test-passphrase") != 0


def test_a_killed_execution_claims_nothing(
    site: Site, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = approved(site, device, "overwrite")

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    # What a kill leaves behind: a row that says it is executing, and a run that has ended.
    monkeypatch.setattr(sanitize_run, "overwrite", die)
    monkeypatch.setattr(sanitize_run._Execution, "_give_up", lambda *_: None)
    with pytest.raises(Killed):
        executed(site, name)
    assert sanitize.show(site, name).state == "executing"
    with run(site, "later"):
        assert settle(site) == [name]
    left = sanitize.show(site, name)
    assert (left.state, left.verification, left.method) == ("interrupted", "unverified", None)
    with pytest.raises(RefusedError, match="interrupted"):
        executed(site, name)


def test_sigkill_in_the_middle_leaves_an_intent_and_no_claim(
    make_site: MakeSite, tmp_path: Path
) -> None:
    lab = make_site()
    image = tmp_path / "large.img"
    with open(image, "wb") as file:
        file.truncate(2 << 30)
    attach = ["losetup", "--find", "--show", image]
    device = subprocess.run(attach, capture_output=True, text=True, check=True).stdout.strip()
    try:
        with lab.opened() as site:
            name = approved(site, device, "overwrite")
        process = lab.start("--as", "it", "sanitize", "run", "--approved", name)
        query = "SELECT 1 FROM run_step WHERE name = 'technique'"
        wait_for(lambda: lab.rows(query))
        kill_group(process)
        with lab.opened() as site:
            with run(site, "later"):
                assert settle(site) == [name]
                record.settle(site)
            left = sanitize.show(site, name)
            assert (left.state, left.method) == ("interrupted", None)
            # Nobody holds the device any more, and it can be done again from the beginning.
            assert approved(site, device, "overwrite") != name
        assert "sanitization.run.interrupted" in ledger_types(lab)
        assert "sanitization.run.done" not in ledger_types(lab)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
        image.unlink()


def test_an_error_in_the_middle_claims_nothing(
    site: Site, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = approved(site, device, "overwrite")

    def fail(*_: object, **__: object) -> None:
        raise EngineError("the device refuses to be written")

    monkeypatch.setattr(sanitize_run, "overwrite", fail)
    with pytest.raises(EngineError):
        executed(site, name)
    left = sanitize.show(site, name)
    assert (left.state, left.method) == ("interrupted", None)


def test_a_technique_that_does_nothing_is_not_verified(
    site: Site, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = approved(site, device, "overwrite")
    size = Path(device).stat().st_size or 40 << 20
    monkeypatch.setattr(sanitize_run, "overwrite", lambda *_, **__: own.Overwritten(size, size))
    done = executed(site, name)
    assert (done.verification, done.method) == ("not_verified", None)
    assert "16 of 16 markers are still there" in done.reasons


def test_a_swapped_device_at_the_end_is_not_verified(
    site: Site, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = approved(site, device, "overwrite")
    asked = []
    probe = sanitize_run.probe

    def swapped(*args):
        asked.append(args)
        facts = probe(*args)
        return facts if len(asked) == 1 else dataclasses.replace(facts, identity="serial:other")

    monkeypatch.setattr(sanitize_run, "probe", swapped)
    done = executed(site, name)
    assert (done.verification, done.method) == ("not_verified", None)
    assert any("not the one of the beginning" in one for one in done.reasons)


def test_what_others_did_is_attested_and_needs_evidence(site: Site, tmp_path: Path) -> None:
    slip = tmp_path / "slip.pdf"
    slip.write_bytes(b"collected and shredded")
    said = sanitize_record.Attested("shred", "hdd", ended_at=site.clock.now(), performer="Shred Co")
    with acting(site, "it"):
        with pytest.raises(UsageError, match="needs a serial number"):
            sanitize_record.attest(site, said)
        said = dataclasses.replace(said, serial="WD-1")
        bare = sanitize_record.attest(site, said)
        full = sanitize_record.attest(site, dataclasses.replace(said, evidence={"slip": slip}))
        with pytest.raises(RefusedError, match="may not validate"):
            sanitize_record.validate(site, full.id, accept=True, reasons=())
        with pytest.raises(UsageError, match="measured here"):
            sanitize_record.attest(site, dataclasses.replace(said, technique="overwrite"))
        flash = dataclasses.replace(said, technique="degauss", kind="nvme", evidence={"slip": slip})
        wrong = sanitize_record.attest(site, flash)
    assert (bare.basis, bare.verification, bare.method) == ("attested", "attested", None)
    assert full.method == "destroy"
    assert wrong.method is None
    assert any("wrong technique" in one for one in wrong.measured["reject_conditions"])
    digest = full.evidence["slip"]
    stored = site.state_dir / "evidence/sha256" / digest[:2] / digest[2:]
    with acting(site, "privacy"):
        stored.write_bytes(b"something else")
        with pytest.raises(DamageError, match="slip"):
            sanitize_record.validate(site, full.id, accept=True, reasons=())
        stored.write_bytes(slip.read_bytes())
        assert sanitize_record.validate(site, full.id, accept=True, reasons=()).certificate
