"""The units that ship agree with the daemon."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from orchestrator.daemon import STOP_WITHIN_S

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"


def service(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    assert parser.read(UNITS / name)
    return parser["Service"]


@pytest.mark.parametrize("name", ["orchestrator.service", "orchestrator-once.service"])
def test_systemd_gives_the_daemon_longer_than_it_gives_its_jobs(name: str) -> None:
    unit = service(name)
    assert float(unit["TimeoutStopSec"].removesuffix("s")) >= STOP_WITHIN_S + 30
    assert unit["KillMode"] == "mixed"  # SIGTERM to the daemon alone; it ends its children


def test_end_of_a_single_round_by_a_signal_is_no_failure() -> None:
    assert "130" in service("orchestrator-once.service")["SuccessExitStatus"].split()
