"""What drills make of the RTO, of a copy's state and of the kit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.actions import kit
from orchestrator.actions.drills.status import of_copies, warnings_of_store
from orchestrator.actions.kit_standing import DRILLED, kit_remarks
from orchestrator.actions.objectives import Objective, recovery_time
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.actions.status import site_status
from orchestrator.catalog import drill_history, drills, facts
from orchestrator.drills.result import DrillResult, RecoveryTime
from tests.support.catalog_rows import drill_result
from tests.support.clock import SetClock

DAY = timedelta(days=1)
TARGET_S = 14400.0
WHOLE = RecoveryTime(TARGET_S, 100.0, 100.0, met=True)


def part(high_s: float) -> RecoveryTime:
    return RecoveryTime(TARGET_S, 10.0, 5000.0, 1000.0, high_s, met=high_s <= TARGET_S)


def record(site: Site, drill: str, **changes: object) -> DrillResult:
    values: dict[str, object] = {
        "copy": "disk",
        "role": "local",
        "verdict": "verified",
        "exit_code": 0,
        "started_at": site.clock.now(),
        "ended_at": site.clock.now(),
        "rto": WHOLE,
    }
    result = drill_result(drill, **(values | changes))
    with site.catalog.transaction() as session:
        drills.begin(session, result, run_id=None)
        drills.finish(session, result)
    return result


def rto(site: Site) -> Objective:
    with site.catalog.reading() as session:
        return recovery_time(site, session, "xrays")


def restored(site: Site, took_s: float) -> None:
    with run(site, "restore", store="xrays", exclusive=False) as current:
        current.metrics.update({"verified": True, "whole": True, "restore_s": took_s})


def test_without_a_measurement_the_rto_is_unknown(drill_site: Site) -> None:
    assert rto(drill_site) == Objective(timedelta(hours=4), None, None)


def test_the_newest_measurement_of_a_whole_store_counts(
    drill_site: Site, drill_clock: SetClock
) -> None:
    record(drill_site, "d1")
    drill_clock.at += DAY
    restored(drill_site, 20000.0)
    found = rto(drill_site)
    assert (found.basis, found.met, found.measured) == ("restore", False, timedelta(seconds=20000))
    drill_clock.at += DAY
    record(drill_site, "d2")
    found = rto(drill_site)
    assert (found.basis, found.met, found.at) == ("drill", True, drill_clock.at)


def test_projection_counts_only_without_a_measurement_and_by_its_upper_end(
    drill_site: Site, drill_clock: SetClock
) -> None:
    record(drill_site, "d1", scope="1/13", rto=part(14000.0))
    found = rto(drill_site)
    assert (found.basis, found.met, found.measured) == ("projection", True, None)
    assert found.projected == timedelta(seconds=5000)
    drill_clock.at += DAY
    record(drill_site, "d2", scope="2/13", rto=part(15000.0))
    assert rto(drill_site).met is False
    record(drill_site, "d3", started_at=drill_clock.at - 3 * DAY)
    assert (rto(drill_site).basis, rto(drill_site).met) == ("drill", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "could_not_run", "exit_code": 1},
        {"verdict": "not_verified", "exit_code": 4},
        {"as_of": drill_result().started_at},
        {"rto": RecoveryTime(TARGET_S)},
    ],
    ids=["not run", "damage", "as of a time", "not measured"],
)
def test_drill_that_restored_nothing_good_proves_no_rto(
    drill_site: Site, changes: dict[str, object]
) -> None:
    record(drill_site, "d1", **changes)
    assert rto(drill_site).met is None


def test_measurement_of_last_year_is_no_longer_believed(
    drill_site: Site, drill_clock: SetClock
) -> None:
    record(drill_site, "d1")
    drill_clock.at += 367 * DAY
    assert rto(drill_site).met is None


def damage_on(site: Site, copy: str = "disk", medium: str | None = None) -> str | None:
    with site.catalog.reading() as session:
        found = drill_history.open_damage(session, "xrays", copy, medium)
    return found.id if found is not None else None


def test_damage_counts_until_a_good_drill_of_as_much(
    drill_site: Site, drill_clock: SetClock
) -> None:
    def drill(number: int, **changes: object) -> None:
        drill_clock.at += DAY
        record(drill_site, f"d{number}", **changes)

    bad: dict[str, object] = {"verdict": "not_verified", "exit_code": 4}
    drill(1, scope="2/3", **bad)
    drill(2, scope="3/3")
    drill(3, copy="rotation", role="offline", medium="red")
    drill(4, as_of=drill_clock.at)
    drill(5, verdict="not_verified", exit_code=1)
    assert damage_on(drill_site) == "d1"
    drill(6, scope="2/3")
    assert damage_on(drill_site) is None
    drill(7, scope="2/3", **bad)
    drill(8)
    assert damage_on(drill_site) is None
    assert damage_on(drill_site, "rotation", "red") is None


def test_damage_on_one_medium_says_nothing_of_the_other(drill_site: Site) -> None:
    bad: dict[str, object] = {"verdict": "not_verified", "exit_code": 4}
    record(drill_site, "d1", copy="rotation", role="offline", medium="red", **bad)
    assert damage_on(drill_site, "rotation", "red") == "d1"
    assert damage_on(drill_site, "rotation", "blue") is None


def test_damaged_kit_is_no_damage_of_the_copy(drill_site: Site) -> None:
    record(drill_site, "d1", verdict="could_not_run", exit_code=4, kit_only=True)
    assert damage_on(drill_site) is None


def test_copy_never_drilled_or_not_verified_is_warned_of(drill_site: Site) -> None:
    record(drill_site, "d1", verdict="could_not_run", exit_code=12)
    with drill_site.catalog.reading() as session:
        copies = of_copies(drill_site, session, "xrays")
    assert warnings_of_store("xrays", copies) == [
        "store xrays, copy disk: drill d1 of 2026-03-02: could not run",
        "store xrays, copy rotation: was never drilled",
    ]


def states(site: Site) -> list[tuple[str, str]]:
    return [(one.state, one.detail) for one in kit_remarks(site)]


def test_kit_is_good_only_when_this_very_kit_was_drilled(
    drill_site: Site, drill_clock: SetClock
) -> None:
    (found,) = states(drill_site)
    assert found == ("fail", "was never made")
    kit.refresh_kit(drill_site)
    assert states(drill_site)[0] == ("warn", "made 2026-03-02; it was never drilled")
    with drill_site.catalog.transaction() as session:
        made = facts.get(session, kit.CHECKSUM)
        assert made is not None
        facts.put(session, DRILLED, value=made.value, now=drill_clock.at)
    assert states(drill_site)[0] == ("ok", "made 2026-03-02, drilled 2026-03-02")
    drill_clock.at += DAY
    kit.refresh_kit(drill_site)
    assert states(drill_site)[0] == (
        "warn",
        "made 2026-03-03; the last drill, 2026-03-02, was with an older one",
    )
    warnings = site_status(drill_site, ["xrays"]).warnings
    assert any("with an older one" in warning for warning in warnings)


def test_a_wrong_job_file_makes_what_was_missed_unknown(drill_site: Site) -> None:
    (drill_site.config.jobs_dir / "mine.toml").write_text("action = 1\n")
    found = site_status(drill_site, ["xrays"])
    assert found.stores[0].verdict == "not_met"
    assert any("what was missed is unknown" in warning for warning in found.warnings)
