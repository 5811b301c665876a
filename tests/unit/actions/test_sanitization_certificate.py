"""What the certificate of a sanitization says of areas that ordinary writing does not reach."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.actions.sanitization.certificate import hidden_areas, version_of
from orchestrator.catalog.sanitization_tables import Sanitization


def outcomes(kind: str, technique: str, method: str | None, *, hidden: bool | None) -> Any:
    row = Sanitization(  # type: ignore[call-arg]
        kind=kind, technique=technique, method=method, facts={"hidden_areas": hidden}
    )
    return {one.area: one.reached for one in hidden_areas(row)}


@pytest.mark.parametrize(
    ("hidden", "outcome"), [(False, "not_present"), (True, "not_reached"), (None, "unknown")]
)
@pytest.mark.parametrize("kind", ["hdd", "ata_ssd"])
def test_an_overwritten_ata_drive_of_either_kind_says_what_it_may_hide(
    kind: str, outcome: str, *, hidden: bool | None
) -> None:
    assert outcomes(kind, "overwrite", None, hidden=hidden)["HPA and DCO"] == outcome


@pytest.mark.parametrize("technique", ["luks-erase", "ata-secure-erase-enhanced"])
@pytest.mark.parametrize(("hidden", "outcome"), [(True, "not_reached"), (None, "unknown")])
def test_a_purge_that_does_not_touch_hidden_areas_does_not_claim_them(
    technique: str, outcome: str, *, hidden: bool | None
) -> None:
    assert outcomes("hdd", technique, "purge", hidden=hidden) == {"HPA and DCO": outcome}


@pytest.mark.parametrize(
    ("kind", "technique", "method"),
    [
        ("hdd", "degauss", "purge"),
        ("ata_ssd", "ata-sanitize-block", "purge"),
        ("ata_ssd", "shred", "destroy"),
    ],
)
def test_what_acts_on_the_whole_medium_reaches_its_hidden_areas(
    kind: str, technique: str, method: str
) -> None:
    assert set(outcomes(kind, technique, method, hidden=None).values()) == {"reached"}


@pytest.mark.parametrize(
    ("tool", "told", "version"),
    [
        ("cryptsetup", "cryptsetup 2.6.1 flags: UDEV BLKID KEYRING KERNEL_CAPI", "2.6.1"),
        ("nwipe", "nwipe version 0.34", "version 0.34"),
        ("blkdiscard", "blkdiscard from util-linux 2.38.1", "from util-linux 2.38.1"),
        ("hdparm", "9.65", "9.65"),
        ("nvme", None, "(version not stated)"),
        ("nvme", "nvme", "nvme"),
    ],
)
def test_a_tool_is_named_once(tool: str, told: str | None, version: str) -> None:
    assert version_of(tool, told) == version
