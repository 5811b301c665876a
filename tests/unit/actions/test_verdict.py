"""The 3-2-1 verdict: never good without a fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.actions.verdict import CopyFacts, Judged, Limits, judge_copy, judge_store

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
TAKEN = NOW - timedelta(hours=4)
LIMITS = Limits(timedelta(hours=24), timedelta(days=35), timedelta(hours=48))


def facts(copy: str, role: str, **changes: object) -> CopyFacts:
    whole = CopyFacts(
        copy=copy,
        role=role,  # type: ignore[arg-type]
        domain=copy,
        reachable=True,
        observed_at=NOW - timedelta(hours=1),
        newest_snapshot="ab" * 32,
        newest_at=TAKEN,
        verified_at=NOW - timedelta(hours=1),
        protected_until=NOW + timedelta(days=30),
        due_at=NOW + timedelta(days=3),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def judge(*copies: CopyFacts, newest: datetime | None = TAKEN) -> tuple[str, list[str]]:
    judged = [judge_copy(c, newest=newest, limits=LIMITS, now=NOW) for c in copies]
    return judge_store(judged, newest=newest, limits=LIMITS, now=NOW)


def one(copy: CopyFacts) -> Judged:
    return judge_copy(copy, newest=TAKEN, limits=LIMITS, now=NOW)


DISK = facts("disk", "local")
ROTATION = facts("rotation", "offline")
VAULT = facts("vault", "immutable")


def test_three_proven_copies_that_stand_apart_meet_the_rule() -> None:
    assert judge(DISK, ROTATION, VAULT) == ("met", [])


@pytest.mark.parametrize("lost", [DISK, ROTATION, VAULT])
def test_any_damaged_copy_breaks_the_rule(lost: CopyFacts) -> None:
    copies = [replace(c, damaged=1) if c is lost else c for c in (DISK, ROTATION, VAULT)]
    verdict, reasons = judge(*copies)
    assert verdict == "not_met"
    assert any(lost.copy in reason for reason in reasons)


def test_a_copy_nobody_looked_at_makes_the_verdict_unknown_not_met() -> None:
    unseen = replace(VAULT, reachable=None, observed_at=None)
    assert one(unseen).state == "unknown"
    assert judge(DISK, ROTATION, unseen)[0] == "unknown"


def test_an_observation_that_is_too_old_is_unknown() -> None:
    old = replace(VAULT, observed_at=NOW - timedelta(hours=49))
    assert one(old).state == "unknown"
    assert judge(DISK, ROTATION, old)[0] == "unknown"


def test_a_snapshot_from_the_future_is_unknown() -> None:
    future = NOW + timedelta(hours=1)
    copies = [replace(c, newest_at=future) for c in (DISK, ROTATION, VAULT)]
    assert judge(*copies, newest=future)[0] == "unknown"


def test_a_missed_rpo_breaks_the_rule_though_all_copies_agree() -> None:
    old = NOW - timedelta(hours=25)
    copies = [replace(c, newest_at=old) for c in (DISK, ROTATION, VAULT)]
    verdict, reasons = judge(*copies, newest=old)
    assert verdict == "not_met"
    assert "RPO" in reasons[0]


def test_a_copy_without_the_newest_snapshot_is_behind() -> None:
    behind = replace(VAULT, newest_at=TAKEN - timedelta(days=1))
    assert one(behind).state == "behind"
    assert judge(DISK, ROTATION, behind)[0] == "not_met"


def test_an_unverified_copy_is_present_and_does_not_count() -> None:
    unverified = replace(DISK, verified_at=None)
    assert (one(unverified).state, one(unverified).counts) == ("present", False)


def test_an_immutable_copy_whose_lock_ended_is_not_proven() -> None:
    assert one(replace(VAULT, protected_until=NOW - timedelta(seconds=1))).state == "present"
    assert one(replace(VAULT, protected_until=None)).state == "present"


def test_a_plain_directory_never_counts_as_a_medium() -> None:
    fake = replace(ROTATION, separate=False)
    assert not one(fake).counts
    assert judge(DISK, fake, VAULT)[0] == "not_met"


def test_a_medium_in_the_safe_counts_until_it_is_overdue() -> None:
    away = replace(ROTATION, reachable=False, observed_at=NOW)
    assert (one(away).state, one(away).counts) == ("absent", True)
    overdue = replace(away, due_at=NOW - timedelta(minutes=1))
    assert (one(overdue).state, one(overdue).counts) == ("absent", False)
    assert judge(DISK, overdue, VAULT)[0] == "not_met"


def test_two_copies_on_one_device_count_as_one() -> None:
    twin = replace(facts("disk2", "local"), domain="disk")
    assert judge(DISK, twin, VAULT)[0] == "not_met"


def test_no_snapshot_is_never_met() -> None:
    assert judge(DISK, ROTATION, VAULT, newest=None)[0] == "not_met"


@pytest.mark.parametrize("role", ["local", "offline", "immutable"])
def test_a_verification_in_the_future_proves_nothing(role: str) -> None:
    found = one(facts("c", role, verified_at=NOW + timedelta(days=3650)))
    assert (found.state, found.counts) == ("present", False)
    assert found.reason == "copy c: was last verified in the future"


def test_a_medium_away_that_was_verified_in_the_future_does_not_count() -> None:
    found = one(facts("c", "offline", verified_at=NOW + timedelta(days=9), reachable=False))
    assert (found.state, found.counts) == ("absent", False)
