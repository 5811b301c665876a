"""What was due and did not happen: noticed once, whoever looks, and never invented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.actions import due, missed
from orchestrator.actions.lock import marked
from orchestrator.actions.missed import notice, shown
from orchestrator.actions.run import Occasion, run
from orchestrator.actions.site import Site
from orchestrator.catalog import drills, slots
from orchestrator.catalog import missed as events
from orchestrator.config.jobs import Job, load_jobs
from orchestrator.errors import EngineError
from tests.support.catalog_rows import drill_result
from tests.support.clock import SetClock

DAY = timedelta(days=1)
NIGHTLY = 'action = "backup"\nschedule = "0 2 * * *"\n'
MONTHLY = 'action = "drill"\nschedule = "0 12 1 * *"\ncopies = ["local"]\n'
WITH_KIT = MONTHLY + "from_kit = true\n"
MEDIUM = 'action = "drill"\nwhen = "medium returns"\ncopies = ["offline"]\n'


def jobs_of(site: Site, **texts: str) -> dict[str, Job]:
    for name, text in texts.items():
        (site.config.jobs_dir / f"{name}.toml").write_text(text)
    active = load_jobs(site.config).active
    return {name: active[name] for name in texts}


def slot(day: int, *, hour: int = 2, month: int = 3) -> str:
    return due.slot_name(datetime(2026, month, day, hour, tzinfo=UTC))


def found(new: list[events.MissedEvent]) -> list[tuple[str, str, str]]:
    return [(one.job, one.slot, one.kind) for one in new]


def do(site: Site, job: Job, at: str, outcome: str = "succeeded", ended: bool = True) -> None:
    """Claim a slot now and end it, as a run of the job would."""
    with site.catalog.transaction() as session:
        now = site.clock.now()
        assert slots.claim(session, job.name, slot=at, run_id=None, now=now)
        if ended:
            slots.finish(session, job.name, slot=at, outcome=outcome, now=now)


def test_account_of_a_job_begins_when_it_is_first_seen(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY, monthly=MONTHLY)
    assert notice(drill_site, jobs) == []
    drill_clock.at += timedelta(hours=20)  # 2026-03-03 08:00: the slot of 02:00 has its day
    assert notice(drill_site, jobs) == []


def test_slot_that_nobody_ran_is_recorded_once(drill_site: Site, drill_clock: SetClock) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    drill_clock.at += 3 * DAY
    expected = [("nightly", slot(3), "not_run"), ("nightly", slot(4), "not_run")]
    assert found(notice(drill_site, jobs)) == expected
    assert notice(drill_site, jobs) == []
    drill_clock.at += timedelta(minutes=1)
    assert notice(drill_site, jobs) == []
    with drill_site.catalog.reading() as session:
        rows = events.unrecorded(session)
    assert [(row.job, row.slot) for row in rows] == [one[:2] for one in expected]
    assert rows[0].noticed_at - rows[0].due_at == timedelta(days=2, hours=10)
    assert rows[0].action == "backup"


def test_slot_done_in_time_is_not_missed(drill_site: Site, drill_clock: SetClock) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    drill_clock.at += DAY
    do(drill_site, jobs["nightly"], slot(3))
    drill_clock.at += DAY
    do(drill_site, jobs["nightly"], slot(4), "partial")
    drill_clock.at += DAY
    assert notice(drill_site, jobs) == []


@pytest.mark.parametrize("outcome", ["failed", "refused", "interrupted"])
def test_slot_that_did_not_end_well_is_missed(
    drill_site: Site, drill_clock: SetClock, outcome: str
) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    drill_clock.at += DAY
    do(drill_site, jobs["nightly"], slot(3), outcome)
    assert notice(drill_site, jobs) == [], "it may be made up for until the next slot"
    drill_clock.at += DAY
    kind = "interrupted" if outcome == "interrupted" else "failed"
    assert found(notice(drill_site, jobs)) == [("nightly", slot(3), kind)]


def test_partial_slot_of_which_every_run_failed_is_missed(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    drill_clock.at += DAY
    occasion = Occasion("nightly", slot(3))
    with pytest.raises(EngineError), run(drill_site, "backup", occasion=occasion):
        raise EngineError("restic fails")
    do(drill_site, jobs["nightly"], slot(3), "partial")
    drill_clock.at += DAY
    assert found(notice(drill_site, jobs)) == [("nightly", slot(3), "failed")]


def test_job_run_by_hand_in_time_stands_for_its_slot(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    drill_clock.at += DAY
    do(drill_site, jobs["nightly"], slot(3), "failed")
    with run(drill_site, "backup", occasion=Occasion("nightly")):
        pass
    drill_clock.at += DAY
    assert notice(drill_site, jobs) == []


def test_slot_that_is_at_work_is_judged_when_it_has_ended(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    drill_clock.at += DAY
    do(drill_site, jobs["nightly"], slot(3), ended=False)
    drill_clock.at += 2 * DAY
    with marked(drill_site.lock_dir, due.mark_of(jobs["nightly"])):
        assert notice(drill_site, jobs) == []
    assert found(notice(drill_site, jobs)) == [
        ("nightly", slot(3), "interrupted"),
        ("nightly", slot(4), "not_run"),
    ]


def test_slot_of_a_rare_job_counts_for_a_week(drill_site: Site, drill_clock: SetClock) -> None:
    jobs = jobs_of(drill_site, monthly=MONTHLY)
    notice(drill_site, jobs)
    drill_clock.at = datetime(2026, 4, 8, 11, 59, tzinfo=UTC)
    assert notice(drill_site, jobs) == []
    drill_clock.at += timedelta(minutes=1)
    late = ("monthly", slot(1, hour=12, month=4), "not_run")
    assert found(notice(drill_site, jobs)) == [late]


def test_slot_claimed_after_its_week_was_missed_and_is_made_up(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, monthly=MONTHLY)
    notice(drill_site, jobs)
    at = slot(1, hour=12, month=4)
    drill_clock.at = datetime(2026, 4, 20, tzinfo=UTC)
    do(drill_site, jobs["monthly"], at)
    assert found(notice(drill_site, jobs)) == [("monthly", at, "not_run")]
    (one,) = shown(drill_site, jobs)
    assert one.made_up


def test_drill_that_did_not_verify_has_happened(drill_site: Site, drill_clock: SetClock) -> None:
    jobs = jobs_of(drill_site, monthly=MONTHLY)
    notice(drill_site, jobs)
    drill_clock.at = datetime(2026, 4, 2, tzinfo=UTC)
    at = slot(1, hour=12, month=4)
    with (
        pytest.raises(EngineError),
        run(drill_site, "drill", occasion=Occasion("monthly", at)),
    ):
        raise EngineError("not verified")
    do(drill_site, jobs["monthly"], at, "partial")
    drill_clock.at += 8 * DAY
    assert notice(drill_site, jobs) == []


@pytest.mark.parametrize(
    ("kit_only", "verdict", "is_missed"),
    [(True, "verified", False), (True, "could_not_run", True), (False, "verified", True)],
)
def test_drill_with_the_kit_by_hand_stands_for_the_slot(
    drill_site: Site, drill_clock: SetClock, kit_only: bool, verdict: str, is_missed: bool
) -> None:
    jobs = jobs_of(drill_site, quarterly=WITH_KIT)
    notice(drill_site, jobs)
    drill_clock.at = datetime(2026, 4, 3, tzinfo=UTC)
    result = drill_result(started_at=drill_clock.at, kit_only=kit_only)
    with drill_site.catalog.transaction() as session:
        drills.begin(session, result, run_id=None)
        result.ended_at, result.verdict = drill_clock.at, verdict  # type: ignore[assignment]
        drills.finish(session, result)
    drill_clock.at += 8 * DAY
    assert bool(notice(drill_site, jobs)) is is_missed


def test_drill_with_the_kit_makes_up_for_a_missed_one(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, quarterly=WITH_KIT)
    notice(drill_site, jobs)
    drill_clock.at = datetime(2026, 4, 20, tzinfo=UTC)
    assert len(notice(drill_site, jobs)) == 1
    assert [one.made_up for one in shown(drill_site, jobs)] == [False]
    result = drill_result(
        started_at=drill_clock.at, ended_at=drill_clock.at, kit_only=True, verdict="verified"
    )
    with drill_site.catalog.transaction() as session:
        drills.begin(session, result, run_id=None)
        drills.finish(session, result)
    drill_clock.at += DAY
    assert [one.made_up for one in shown(drill_site, jobs)] == [True]
    assert notice(drill_site, jobs) == []


def test_jobs_without_a_copy_or_a_time_and_the_status_miss_nothing(
    drill_site: Site, drill_clock: SetClock
) -> None:
    probe = 'action = "probe"\nschedule = "0 2 * * *"\n'
    status = 'action = "status"\nschedule = "0 2 * * *"\n'
    jobs = jobs_of(drill_site, probe=probe, status=status, medium=MEDIUM)
    notice(drill_site, jobs)
    drill_clock.at += 10 * DAY
    assert notice(drill_site, jobs) == []


def test_wrong_clock_leaves_no_misses_of_the_future(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    right = drill_clock.at
    drill_clock.at += 300 * DAY
    assert len(notice(drill_site, jobs)) > 200
    drill_clock.at = right + timedelta(hours=1)
    assert notice(drill_site, jobs) == []
    assert shown(drill_site, jobs) == []
    drill_clock.at += 3 * DAY
    assert [one.slot for one in notice(drill_site, jobs)] == [slot(3), slot(4)]


def test_a_job_for_every_minute_does_not_fill_the_catalog(
    drill_site: Site, drill_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed, "MOST_AT_ONCE", 5)
    jobs = jobs_of(drill_site, often='action = "backup"\nschedule = "* * * * *"\n')
    notice(drill_site, jobs)
    drill_clock.at += DAY
    assert len(notice(drill_site, jobs)) == 5
    assert len(notice(drill_site, jobs)) == 5


def test_what_was_missed_long_ago_is_no_longer_shown(
    drill_site: Site, drill_clock: SetClock
) -> None:
    jobs = jobs_of(drill_site, nightly=NIGHTLY)
    notice(drill_site, jobs)
    drill_clock.at += 3 * DAY
    notice(drill_site, jobs)
    assert [(one.job, one.made_up) for one in shown(drill_site, jobs)] == [("nightly", False)] * 2
    drill_clock.at += missed.SHOWN_WITHIN
    assert shown(drill_site, {}) == []
