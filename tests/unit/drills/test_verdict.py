"""The verdict of a drill: verified only if everything says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.drills.result import Check, DrillResult, RecoveryPoint, RecoveryTime
from orchestrator.drills.verdict import RESTORE, judge

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GOOD = [
    Check("snapshot age", "passed", "young"),
    Check(RESTORE, "passed", "done"),
    Check("content", "passed", "same", proves_data=True),
]


def result(**changes: Any) -> DrillResult:
    values: dict[str, Any] = {
        "checks": list(GOOD),
        "rto": RecoveryTime(10, 5, 5, met=True),
        "rpo": RecoveryPoint(10, 5, met=True),
        "files": 3,
    }
    values.update(changes)
    return DrillResult(
        drill="d", site="s", store="x", copy="c", role="local", scope="all", started_at=NOW,
        actor="it", **values,
    )  # fmt: skip


def test_everything_passed_and_met_is_verified() -> None:
    assert judge(result())[::2] == ("verified", 0)


def test_damage_exits_4() -> None:
    bad = replace(GOOD[2], state="failed", damage=True)
    assert judge(result(checks=[*GOOD[:2], bad]))[::2] == ("not_verified", 4)


def test_a_failure_without_damage_exits_1_and_says_which() -> None:
    verdict, reason, code = judge(result(checks=[*GOOD, Check("pixels", "failed", "broken")]))
    assert (verdict, code) == ("not_verified", 1)
    assert reason == "Failed: pixels. Broken."


@pytest.mark.parametrize("position", range(3))
def test_a_skipped_check_is_never_verified(position: int) -> None:
    checks = list(GOOD)
    checks[position] = replace(checks[position], state="skipped")
    assert judge(result(checks=checks))[::2] == ("not_verified", 1)


def test_without_a_proof_of_data_it_is_not_verified() -> None:
    assert judge(result(checks=GOOD[:2]))[0] == "not_verified"
    assert judge(result(checks=[GOOD[0], GOOD[2]]))[0] == "not_verified"
    assert judge(result(files=0))[0] == "not_verified"
    assert judge(result(checks=[]))[0] == "not_verified"


@pytest.mark.parametrize("met", [None, False])
def test_objectives_that_are_missed_or_unknown_are_not_verified(met: bool | None) -> None:
    assert judge(result(rto=RecoveryTime(10, 50, 50, met=met)))[0] == "not_verified"
    assert judge(result(rpo=RecoveryPoint(10, 50, met=met)))[0] == "not_verified"


CHECKS = st.lists(
    st.builds(
        Check,
        st.sampled_from([RESTORE, "content", "dicom", "pixels"]),
        st.sampled_from(["passed", "failed", "skipped"]),
        st.just("words"),
        proves_data=st.booleans(),
        damage=st.booleans(),
    ),
    max_size=6,
)
MET = st.sampled_from([None, False, True])


@given(CHECKS, MET, MET, st.integers(0, 3))
def test_verified_has_no_exception(
    checks: list[Check], rto: bool | None, rpo: bool | None, files: int
) -> None:
    made = result(
        checks=checks, rto=RecoveryTime(1, met=rto), rpo=RecoveryPoint(1, met=rpo), files=files
    )
    verdict, reason, code = judge(made)
    passed = all(check.state == "passed" for check in checks)
    proof = any(check.proves_data for check in checks) and files > 0
    restored = any(check.name == RESTORE for check in checks)
    assert (verdict == "verified") == (passed and proof and restored and rto is True is rpo)
    assert (code == 0) == (verdict == "verified")
    assert reason
