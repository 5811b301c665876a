"""Which method evidence adds up to: unknown is never good, and nobody types it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from orchestrator.sanitization.facts import KINDS, Facts
from orchestrator.sanitization.judgement import Evidence, judge, reach, reject_conditions
from orchestrator.sanitization.readback import ReadBack
from orchestrator.sanitization.techniques import CONDITIONS, TECHNIQUES, Technique

CLEAN = ReadBack(True, 1000, 1000, markers=16, surviving=0, not_zero=0, unreadable=0)


def facts(kind: str, **more: Any) -> Facts:
    known = {name: True for one in TECHNIQUES.values() for name in one.needs}
    given: dict[str, Any] = {
        "serial": "S1",
        "identity": "serial:S1",
        "capabilities": known,
        "hidden": False,
        "frozen": False,
        "locked": False,
    }
    return Facts("/dev/sdx", kind, 1000, **{**given, **more})  # type: ignore[arg-type]


def seen(**more: Any) -> Evidence:
    given: dict[str, Any] = {
        "tool": "done",
        "status": "done",
        "read_back": CLEAN,
        "identity_same": True,
        "conditions": frozenset(CONDITIONS),
        "evidence_files": True,
    }
    return Evidence(**{**given, **more})


LEVELS = {
    ("overwrite", "hdd"): "clear",
    ("overwrite", "ata_ssd"): "clear",
    ("overwrite", "usb_flash"): "clear",
    ("overwrite", "file"): None,
    ("nwipe", "hdd"): "clear",
    ("blkdiscard", "nvme"): None,
    ("ata-secure-erase", "hdd"): "clear",
    ("ata-secure-erase-enhanced", "hdd"): "purge",
    ("ata-secure-erase-enhanced", "ata_ssd"): "clear",
    ("ata-sanitize-block", "ata_ssd"): "purge",
    ("nvme-format-crypto", "nvme"): "clear",
    ("nvme-sanitize-crypto", "nvme"): "purge",
    ("scsi-sanitize-overwrite", "scsi_hdd"): "purge",
    ("luks-erase", "hdd"): "purge",
    ("luks-erase", "ata_ssd"): None,
    ("degauss", "hdd"): "purge",
    ("degauss", "tape"): "purge",
    ("degauss", "nvme"): None,
    ("degauss", "unknown"): None,
    ("shred", "hdd"): "destroy",
    ("shred", "loop"): None,
    ("delete-files", "hdd"): None,
}


@pytest.mark.parametrize(("name", "kind"), LEVELS)
def test_the_method_follows_from_technique_and_medium(name: str, kind: str) -> None:
    judged = judge(TECHNIQUES[name], facts(kind), seen())
    assert judged.method == LEVELS[name, kind]
    assert judged.method is not None or judged.reasons


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", TECHNIQUES.values(), ids=TECHNIQUES)
def test_nothing_reaches_more_than_was_promised_before(wanted: Technique, kind: str) -> None:
    before, after = reach(wanted, facts(kind)), judge(wanted, facts(kind), seen())
    assert after.method == before.method or (wanted.conditions and before.method is not None)
    assert before.allowed or before.reasons


@pytest.mark.parametrize(
    ("change", "verification"),
    [
        ({"tool": None}, "unverified"),
        ({"tool": "unverified"}, "unverified"),
        ({"tool": "running"}, "unverified"),
        ({"tool": "failed"}, "not_verified"),
        ({"status": None}, "unverified"),
        ({"status": "running"}, "unverified"),
        ({"status": "failed"}, "not_verified"),
        ({"identity_same": None}, "unverified"),
        ({"identity_same": False}, "not_verified"),
        ({"read_back": None}, "unverified"),
        ({"read_back": dataclasses.replace(CLEAN, surviving=1)}, "not_verified"),
        ({"read_back": dataclasses.replace(CLEAN, markers=0)}, "unverified"),
        ({"read_back": dataclasses.replace(CLEAN, unreadable=1)}, "not_verified"),
        ({"read_back": dataclasses.replace(CLEAN, not_zero=1)}, "not_verified"),
        ({"read_back": dataclasses.replace(CLEAN, read_bytes=999)}, "unverified"),
    ],
)
def test_every_missing_or_contrary_fact_costs_the_method(
    change: dict[str, Any], verification: str
) -> None:
    judged = judge(TECHNIQUES["ata-sanitize-block"], facts("ata_ssd"), seen(**change))
    assert (judged.verification, judged.method) == (verification, None)
    assert judged.reasons


@pytest.mark.parametrize("capability", [None, False])
def test_what_is_not_known_to_be_offered_is_not_allowed(*, capability: bool | None) -> None:
    device = facts("nvme", capabilities={"nvme_sanitize_block": capability})
    assert not reach(TECHNIQUES["nvme-sanitize-block"], device).allowed
    assert judge(TECHNIQUES["nvme-sanitize-block"], device, seen()).method is None


@pytest.mark.parametrize("kind", ["hdd", "ata_ssd"])
@pytest.mark.parametrize("hidden", [None, True])
def test_an_overwrite_that_may_miss_hidden_areas_reaches_nothing(
    kind: str, *, hidden: bool | None
) -> None:
    judged = judge(TECHNIQUES["overwrite"], facts(kind, hidden=hidden), seen())
    assert (judged.verification, judged.method) == ("verified", None)
    assert any("HPA" in one for one in judged.reasons)


def test_a_cryptographic_erase_needs_every_condition_attested() -> None:
    for left in CONDITIONS:
        some = frozenset(CONDITIONS) - {left}
        judged = judge(TECHNIQUES["luks-erase"], facts("hdd"), seen(conditions=some))
        assert judged.method is None
        assert any("not attested" in one for one in judged.reasons)


def test_what_is_attested_needs_evidence_and_is_never_verified() -> None:
    bare = judge(TECHNIQUES["shred"], facts("hdd"), seen(evidence_files=False))
    assert (bare.verification, bare.method) == ("attested", None)
    assert judge(TECHNIQUES["shred"], facts("hdd"), seen()).verification == "attested"


@pytest.mark.parametrize("change", [{"in_use": ("it is mounted",)}, {"identity": None}])
def test_a_device_in_use_or_without_identity_is_not_touched(change: dict[str, Any]) -> None:
    assert not reach(TECHNIQUES["overwrite"], facts("ata_ssd", **change)).allowed


@pytest.mark.parametrize("frozen", [None, True])
def test_a_drive_that_is_or_may_be_frozen_is_not_asked(*, frozen: bool | None) -> None:
    assert not reach(TECHNIQUES["ata-secure-erase"], facts("hdd", frozen=frozen)).allowed


def test_reasons_to_reject_are_computed() -> None:
    flash = reject_conditions(TECHNIQUES["overwrite"], facts("ata_ssd"), seen(), "purge", "clear")
    assert any("below the level" in one for one in flash)
    assert any("scope" in one for one in flash)
    wrong = reject_conditions(TECHNIQUES["degauss"], facts("nvme"), seen(), None, None)
    assert any("wrong technique" in one for one in wrong)
    good = reject_conditions(
        TECHNIQUES["ata-sanitize-block"], facts("ata_ssd"), seen(), "purge", "purge"
    )
    assert good == []


def test_nwipe_is_offered_no_method_where_its_log_names_no_device() -> None:
    without = facts("loop", serial=None, identity="loop:1")
    assert reach(TECHNIQUES["nwipe"], facts("loop")).method == "clear"
    offered = reach(TECHNIQUES["nwipe"], without)
    assert (offered.allowed, offered.method) == (True, None)
    assert any("serial number" in reason for reason in offered.reasons)
    assert reach(TECHNIQUES["overwrite"], without).method == "clear"
