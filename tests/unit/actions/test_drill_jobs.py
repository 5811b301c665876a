"""Whose turn a drill is: slices, media that return, and jobs without a copy."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from orchestrator.actions import due, targets
from orchestrator.actions.drills.jobs import drill_all, next_slice
from orchestrator.actions.jobs import run_job
from orchestrator.actions.returned import returned
from orchestrator.actions.run import BY_HAND
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, drills, media, repositories, runs, snapshots
from orchestrator.catalog.copy_tables import Medium, MediumEvent
from orchestrator.config.jobs import Job, load_jobs
from orchestrator.errors import AbsentCopyError, NotFoundError
from tests.support.catalog_rows import (
    REPOSITORY,
    drill_result,
    repository_row,
    run_row,
    snapshot_row,
)
from tests.support.clock import SetClock

DAY = timedelta(days=1)


def job(site: Site, text: str) -> Job:
    (site.config.jobs_dir / "mine.toml").write_text('action = "drill"\n' + text)
    return load_jobs(site.config).active["mine"]


def on_return(site: Site) -> Job:
    return job(site, 'when = "medium returns"\ncopies = ["offline"]\n')


def drilled(site: Site, at: datetime, **changes: object) -> None:
    result = drill_result(f"d{at:%Y%m%d%H%M%S}", **({"copy": "rotation"} | changes))
    result.started_at = result.ended_at = at
    with site.catalog.transaction() as session:
        drills.begin(session, result, run_id=None)
        drills.finish(session, result)


def test_slices_take_turns_until_all_are_covered(drill_site: Site, drill_clock: SetClock) -> None:
    seen = []
    for week in range(7):
        scope = next_slice(drill_site, "xrays", "rotation", 3)
        seen.append(scope)
        at = drill_clock.at + week * 7 * DAY
        drilled(drill_site, at, scope=scope, verdict="verified")
    assert seen == ["1/3", "2/3", "3/3", "1/3", "2/3", "3/3", "1/3"]


def test_slice_that_could_not_be_restored_keeps_its_turn(
    drill_site: Site, drill_clock: SetClock
) -> None:
    drilled(drill_site, drill_clock.at, scope="1/3", verdict="not_verified")
    drilled(drill_site, drill_clock.at + DAY, scope="2/3", verdict="could_not_run")
    assert next_slice(drill_site, "xrays", "rotation", 3) == "2/3"


def test_slices_of_another_copy_or_division_do_not_count(
    drill_site: Site, drill_clock: SetClock
) -> None:
    drilled(drill_site, drill_clock.at, scope="1/3", verdict="verified", copy="disk")
    drilled(drill_site, drill_clock.at + DAY, scope="1/4", verdict="verified")
    assert next_slice(drill_site, "xrays", "rotation", 3) == "1/3"


@pytest.fixture
def written(drill_site: Site, drill_clock: SetClock) -> Medium:
    """A medium that was registered and written now."""
    now = drill_clock.at
    medium = Medium(
        id="m" * 32,
        copy_="rotation",
        label="red",
        fs_uuid="u",
        state=media.IN_USE,
        registered_at=now - timedelta(hours=2),
    )
    with drill_site.catalog.transaction() as session:
        repositories.add(session, repository_row())
        media.register(session, medium, actor="it")
    write(drill_site, medium)
    return medium


def write(site: Site, medium: Medium) -> None:
    key = ("rotation", medium.id, REPOSITORY)
    with site.catalog.transaction() as session:
        copies.update_state(session, key, state="proven", replicated_at=site.clock.now())


def custody(site: Site, medium: Medium, event: str) -> None:
    act = MediumEvent(medium=medium.id, at=site.clock.now(), actor="it", event=event)
    state = media.AWAY if event == "released" else media.IN_USE
    with site.catalog.transaction() as session:
        media.record(session, act, state=state)


def test_new_medium_is_drilled_after_it_was_written(drill_site: Site, written: Medium) -> None:
    wanted = on_return(drill_site)
    (one,) = returned(drill_site, wanted)
    assert (one.store, one.copy, one.medium) == ("xrays", "rotation", "red")
    assert due.due_slot(drill_site, wanted) == due.slot_name(one.written_at)


def test_medium_is_drilled_once_for_each_return(
    drill_site: Site, drill_clock: SetClock, written: Medium
) -> None:
    wanted = on_return(drill_site)
    drill_clock.at += timedelta(hours=1)
    drilled(drill_site, drill_clock.at, medium="red", verdict="not_verified")
    drill_clock.at += timedelta(hours=1)
    write(drill_site, written)
    assert returned(drill_site, wanted) == []
    custody(drill_site, written, "released")
    drill_clock.at += DAY
    custody(drill_site, written, "connected")
    assert returned(drill_site, wanted) == [], "it has not been written yet"
    drill_clock.at += timedelta(minutes=5)
    write(drill_site, written)
    assert len(returned(drill_site, wanted)) == 1


def test_medium_that_never_leaves_is_drilled_each_time_it_would_be_due(
    drill_site: Site, drill_clock: SetClock, written: Medium
) -> None:
    wanted = on_return(drill_site)
    drilled(drill_site, drill_clock.at + timedelta(hours=1), medium="red", verdict="verified")
    drill_clock.at += 7 * DAY
    write(drill_site, written)
    assert returned(drill_site, wanted) == []
    drill_clock.at += timedelta(hours=2)
    write(drill_site, written)
    assert len(returned(drill_site, wanted)) == 1


def test_drill_that_could_not_run_leaves_the_medium_due(
    drill_site: Site, drill_clock: SetClock, written: Medium
) -> None:
    drilled(drill_site, drill_clock.at + DAY, medium="red", verdict="could_not_run")
    drill_clock.at += 2 * DAY
    assert len(returned(drill_site, on_return(drill_site))) == 1


def test_drill_on_a_new_site_waits_for_its_first_slot_after_the_first_backup(
    drill_site: Site, drill_clock: SetClock
) -> None:
    wanted = job(drill_site, 'schedule = "0 2 * * *"\ncopies = ["local"]\n')
    assert due.due_slot(drill_site, wanted) is None, "there is nothing to prove yet"
    with drill_site.catalog.transaction() as session:
        runs.start(session, run_row())
        repositories.add(session, repository_row())
        snapshots.add(session, snapshot_row("a" * 64, at=drill_clock.at))
    assert due.due_slot(drill_site, wanted) is None
    drill_clock.at += DAY
    assert due.due_slot(drill_site, wanted) == "2026-03-03T02:00:00+00:00"


def test_drill_of_nothing_does_not_succeed(drill_site: Site) -> None:
    wanted = on_return(drill_site)
    with pytest.raises(AbsentCopyError, match="no medium has come back"):
        drill_all(drill_site, wanted, BY_HAND)
    assert due.due_slot(drill_site, wanted) is None
    result = run_job(drill_site, wanted)
    assert (result.outcome, result.exit_code) == ("failed", 1)


def test_job_with_the_kit_fails_where_there_is_none(drill_site: Site) -> None:
    wanted = job(drill_site, 'schedule = "0 2 * * *"\ncopies = ["local"]\nfrom_kit = true\n')
    with pytest.raises(NotFoundError, match="not on this machine"):
        drill_all(drill_site, wanted, BY_HAND)


def test_job_without_its_copy_is_never_due_and_says_so(drill_site: Site) -> None:
    wanted = job(drill_site, 'schedule = "0 2 * * *"\ncopies = ["immutable"]\n')
    assert due.due_slot(drill_site, wanted) is None
    (facts,) = due.listing(drill_site, {"mine": wanted})
    assert facts.next_at is None
    assert facts.idle is not None
    assert "no copy that is immutable" in facts.idle
    assert targets.idle(drill_site, on_return(drill_site)) is None
    purge = load_jobs(drill_site.config).active["cache-purge"]
    assert targets.idle(drill_site, purge) == "nothing to do here: the site names no cache"
