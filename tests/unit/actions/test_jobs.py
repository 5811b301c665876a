"""Slots of jobs: which is due, who gets it, and what becomes of one that was cut off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.actions import due
from orchestrator.actions.jobs import run_job, run_slot
from orchestrator.actions.lock import marked
from orchestrator.actions.run import Occasion, close_unfinished, run
from orchestrator.actions.set_up import make_state
from orchestrator.actions.site import Site
from orchestrator.catalog import runs, slots
from orchestrator.catalog.tables import JobSlot
from orchestrator.config.jobs import Job, load_jobs
from orchestrator.wiring import open_site
from tests.support.clock import SetClock

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

SITE = """
[site]
name = "Test Dental"
timezone = "UTC"
state_dir = "state"
[stores.xrays]
kind = "folder"
path = "images"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
[copies.disk]
role = "local"
path = "disk"
[copies.vault]
role = "immutable"
endpoint = "http://127.0.0.1:9"
region = "us-east-1"
bucket = "vault"
lock_period = "35d"
access_key = { env = "NOT_SET" }
secret_key = { env = "NOT_SET" }
"""


@pytest.fixture
def clock() -> SetClock:
    return SetClock(START)


@pytest.fixture
def site(tmp_path: Path, clock: SetClock) -> Iterator[Site]:
    (tmp_path / "images").mkdir()
    (tmp_path / "site.toml").write_text(SITE)
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "status.toml").write_text('action = "status"\nschedule = "0 2 * * *"\n')
    (jobs / "probe.toml").write_text(
        'action = "probe"\nschedule = "0 2 * * *"\ncopies = ["immutable"]\n'
    )
    site = open_site(tmp_path / "site.toml", clock=clock)
    make_state(site)
    yield site
    site.catalog.dispose()


def job(site: Site, name: str = "status") -> Job:
    return load_jobs(site.config).active[name]


def last(site: Site, name: str = "status") -> JobSlot:
    with site.catalog.reading() as session:
        row = slots.last_slot(session, name)
    assert row is not None
    return row


def test_job_that_never_ran_is_due_for_its_newest_past_slot(site: Site) -> None:
    assert due.due_slot(site, job(site)) == "2026-03-02T02:00:00+00:00"


def test_slot_is_run_once_and_job_is_due_again_at_the_next(site: Site, clock: SetClock) -> None:
    slot = due.due_slot(site, job(site))
    assert slot is not None
    result = run_slot(site, job(site), slot)
    assert result is not None
    assert result.slot == slot
    assert run_slot(site, job(site), slot) is None
    assert due.due_slot(site, job(site)) is None
    clock.at = datetime(2026, 3, 3, 1, 59, 59, tzinfo=UTC)
    assert due.due_slot(site, job(site)) is None
    clock.at = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
    assert due.due_slot(site, job(site)) == "2026-03-03T02:00:00+00:00"


def test_after_an_absence_one_slot_runs_and_the_missed_ones_are_told(
    site: Site, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    run_slot(site, job(site), "2026-03-02T02:00:00+00:00")
    clock.at = START + timedelta(days=5)
    slot = due.due_slot(site, job(site))
    assert slot == "2026-03-07T02:00:00+00:00"
    run_slot(site, job(site), slot)
    assert due.due_slot(site, job(site)) is None
    (facts,) = due.listing(site, {"status": job(site)})
    assert (facts.last_slot, facts.missed) == (slot, 4)
    assert "4 slots passed" in caplog.text
    clock.at += timedelta(days=40)
    assert due.listing(site, {"status": job(site)})[0].missed == 0


def test_slot_claimed_by_a_wrong_clock_does_not_silence_a_job(site: Site, clock: SetClock) -> None:
    clock.at = START + timedelta(days=300)
    wrong = due.due_slot(site, job(site))
    assert wrong is not None
    run_slot(site, job(site), wrong)
    clock.at = START
    assert due.due_slot(site, job(site)) == "2026-03-02T02:00:00+00:00"
    run_slot(site, job(site), "2026-03-02T02:00:00+00:00")
    assert due.due_slot(site, job(site)) is None
    assert last(site).slot == "2026-03-02T02:00:00+00:00"


def test_slot_whose_claimer_died_is_due_again_and_counts_its_attempts(site: Site) -> None:
    probe = job(site, "probe")
    slot = due.due_slot(site, probe)
    assert slot is not None
    attempts = []
    for _ in range(due.MOST_ATTEMPTS):
        attempt = due.take(site, probe, slot)
        assert attempt is not None
        attempts.append(attempt)
        with (
            pytest.raises(KeyboardInterrupt),
            run(site, "probe", occasion=Occasion("probe", slot, attempt=attempt)) as current,
        ):
            raise KeyboardInterrupt
        with site.catalog.reading() as session:
            row = runs.get(session, current.id)
        assert row is not None
        assert (row.job, row.slot, row.attempt) == ("probe", slot, attempt)
        assert due.due_slot(site, probe) == slot
    assert attempts == [1, 2, 3, 4, 5]
    assert due.take(site, probe, slot) is None
    assert due.due_slot(site, probe) is None
    assert last(site, "probe").outcome == "interrupted"


def test_job_with_a_living_claimer_is_neither_due_nor_taken(site: Site) -> None:
    probe = job(site, "probe")
    slot = due.due_slot(site, probe)
    assert slot is not None
    with marked(site.lock_dir, due.mark_of(probe)):
        assert due.take(site, probe, slot) == 1
        assert due.due_slot(site, probe) is None
        assert run_slot(site, probe, slot) is None
        assert due.listing(site, {"probe": probe})[0].last_outcome == "running"
    assert due.listing(site, {"probe": probe})[0].last_outcome == "interrupted"


def test_work_told_to_stop_stays_due(site: Site) -> None:
    probe = job(site, "probe")
    site.stop.set()
    result = run_slot(site, probe, "2026-03-02T02:00:00+00:00")
    assert result is not None
    assert (result.outcome, result.exit_code, result.to_be_resumed) == ("interrupted", 130, True)
    assert last(site, "probe").ended_at is None
    assert due.due_slot(site, probe) == "2026-03-02T02:00:00+00:00"


def test_next_slot_closes_one_that_was_cut_off(site: Site, clock: SetClock) -> None:
    probe = job(site, "probe")
    site.stop.set()
    run_slot(site, probe, "2026-03-02T02:00:00+00:00")
    clock.at += timedelta(days=1)
    run_slot(site, probe, "2026-03-03T02:00:00+00:00")
    with site.catalog.reading() as session:
        row = slots.get(session, "probe", "2026-03-02T02:00:00+00:00")
    assert row is not None
    assert row.outcome == "interrupted"


def test_job_that_cannot_run_fails_and_keeps_its_slot(site: Site) -> None:
    result = run_slot(site, job(site, "probe"), "2026-03-02T02:00:00+00:00")
    assert result is not None
    assert (result.outcome, result.exit_code) == ("failed", 12)
    assert "NOT_SET" in (result.message or "")
    assert last(site, "probe").outcome == "failed"
    assert due.due_slot(site, job(site, "probe")) is None


def test_job_run_by_hand_takes_no_slot(site: Site) -> None:
    assert run_job(site, job(site)).slot is None
    assert due.due_slot(site, job(site)) == "2026-03-02T02:00:00+00:00"


def test_open_run_of_a_dead_process_is_closed_though_its_process_id_lives(site: Site) -> None:
    with run(site, "check") as alive, run(site, "probe") as other:
        assert close_unfinished(site) == []
    with site.catalog.transaction() as session:
        row = runs.get(session, alive.id)
        assert row is not None
        row.ended_at = row.outcome = None  # as a SIGKILL leaves it; the id is that of this process
        session.add(row)
    assert close_unfinished(site) == [alive.id]
    with site.catalog.reading() as session:
        row = runs.get(session, alive.id)
        assert row is not None
        assert row.outcome == "interrupted"
        assert runs.get(session, other.id).outcome == "succeeded"  # type: ignore[union-attr]
    assert list(site.lock_dir.glob("*.mark")) == []
