"""The jobs of retention: when they have something to do, what they record, what falls short."""

from __future__ import annotations

import datetime as dt
import json

from orchestrator.actions import missed
from orchestrator.actions.jobs import run_job
from orchestrator.actions.retention.adopt import adopt
from orchestrator.actions.retention.overdue import waiting
from orchestrator.actions.retention.patients import import_patients
from orchestrator.actions.site import Site
from orchestrator.actions.targets import idle
from orchestrator.catalog import disposals, slots
from orchestrator.catalog.disposal_tables import Disposal
from orchestrator.config.jobs import Job, load_jobs
from tests.integration.retention.conftest import acting, local_schedule
from tests.support.clock import SetClock, ShiftedClock
from tests.support.due_studies import NEW, OLD, SCHEDULE, patient_list
from tests.support.site import LabSite


def job_of(site: Site, name: str) -> Job:
    return load_jobs(site.config).active[name]


def newest_entry(site: Site) -> dict[str, object]:
    return dict(json.loads(list(site.ledger.reader().entries())[-1].data))


def batch(site: Site, **changes: object) -> Disposal:
    now = site.clock.now()
    values: dict[str, object] = {
        "id": "D-2026-0001",
        "state": disposals.PROPOSED,
        "plan_digest": "e" * 64,
        "proposed_by": "it",
        "proposed_at": now,
    }
    return Disposal(**(values | changes))


def test_the_jobs_are_idle_until_something_is_adopted_or_disposed_of(lab: LabSite) -> None:
    names = ("retention-plan", "overdue-review", "disposal-settle")
    with acting(lab) as site:
        assert all(idle(site, job_of(site, name)) for name in names)
        adopt(site, SCHEDULE)
        found = {name: idle(site, job_of(site, name)) for name in names}
        assert found["retention-plan"] is None
        assert found["overdue-review"] is None
        assert "no disposal is under way" in (found["disposal-settle"] or "")
        with site.catalog.transaction() as session:
            disposals.add(session, batch(site, state=disposals.RESIDUAL), [])
        assert idle(site, job_of(site, "disposal-settle")) is None


def test_the_weekly_plan_is_an_entry_with_counts(lab: LabSite) -> None:
    with acting(lab) as site:
        adopt(site, SCHEDULE)
        import_patients(site, patient_list(lab))
    with acting(lab, "system") as site:
        done = run_job(site, job_of(site, "retention-plan"))
        assert (done.outcome, done.message, len(done.runs)) == ("succeeded", None, 1)
        entry = newest_entry(site)
        assert entry["type"] == "disposal.planned"
        assert (entry["dispose"], entry["keep"], entry["review"]) == (len(OLD), 1, 0)
        assert entry["schedules"] == [f"{SCHEDULE} 2026.1"]


def test_a_plan_that_the_site_itself_holds_up_is_partial(lab: LabSite) -> None:
    with acting(lab) as site:
        adopt(site, SCHEDULE)
        done = run_job(site, job_of(site, "retention-plan"))
        assert (done.outcome, done.exit_code) == ("partial", 3)
        assert done.message == "4 studies in review: patient_list_missing"


def test_a_study_at_fault_itself_leaves_the_plan_whole(lab: LabSite) -> None:
    with acting(lab) as site:
        adopt(site, SCHEDULE)
        import_patients(site, patient_list(lab, (*OLD[1:], NEW)))
        done = run_job(site, job_of(site, "retention-plan"))
        assert done.outcome == "succeeded"
        assert newest_entry(site)["reasons"] == {"not_in_patient_list": 1}


def test_a_plan_under_a_changed_schedule_fails(lab: LabSite) -> None:
    local_schedule(lab, adult="40y")
    with acting(lab) as site:
        adopt(site, "own-rule")
        local_schedule(lab, adult="1y")
        done = run_job(site, job_of(site, "retention-plan"))
        assert done.outcome == "failed"
        assert newest_entry(site)["type"] == "retention.adopted"


def test_the_monthly_review_names_what_waits(lab: LabSite) -> None:
    with acting(lab) as site:
        adopt(site, SCHEDULE)
        import_patients(site, patient_list(lab))
        found = {one.subject: one for one in waiting(site)}
        # Three studies were due for years and are in no disposal; nothing else is the matter.
        assert set(found) == {"dispose"}
        assert found["dispose"].since == OLD[0].day.replace(year=2008) + dt.timedelta(days=1)
        done = run_job(site, job_of(site, "overdue-review"))
        assert done.outcome == "partial"
        assert "3 studies" in (done.message or "")
        assert newest_entry(site)["waiting"] == [
            {"kind": "study", "subject": "dispose", "overdue": True, "since": "2008-05-07"}
        ]


def test_a_review_date_is_mentioned_before_it_passes_and_overdue_after(lab: LabSite) -> None:
    with acting(lab) as site:
        adopt(site, SCHEDULE)
    limit = dt.datetime(2027, 11, 22, 18, tzinfo=dt.UTC)
    for days, expected in ((-70, None), (-50, False), (0, False), (1, True)):
        with acting(lab, clock=SetClock(limit + dt.timedelta(days=days))) as site:
            found = [one.is_overdue for one in waiting(site) if one.kind == "schedule"]
        assert found == ([] if expected is None else [expected]), days


def test_a_disposal_that_nobody_brings_forward_is_overdue(lab: LabSite) -> None:
    with acting(lab) as site:
        adopt(site, SCHEDULE)
        for number, (state, days, paused, _) in enumerate(BATCHES):
            since = site.clock.now() - dt.timedelta(days=days)
            row = batch(
                site,
                id=f"D-2026-{number:04}",
                state=state,
                paused=paused,
                proposed_at=since,
                decided_at=since,
                quarantine_until=since,
                executed_at=since,
            )
            with site.catalog.transaction() as session:
                disposals.add(session, row, [])
        told = {one.subject for one in waiting(site) if one.kind == "disposal"}
    assert told == {f"D-2026-{number:04}" for number, one in enumerate(BATCHES) if one[3]}


BATCHES = (
    ("proposed", 29, None, False),
    ("proposed", 31, None, True),
    ("approved", 6, None, False),
    ("approved", 8, None, True),
    ("executing", 6, None, False),
    ("executing", 8, None, True),
    ("executing", 900, "H-2026-0001", False),
    ("residual", 6, None, False),
    ("residual", 8, None, True),
    ("complete", 900, None, False),
    ("refused", 900, None, False),
)
"""State, days since, the hold that pauses it, and whether it is overdue."""


def test_a_job_that_had_nothing_to_do_in_between_has_missed_nothing(lab: LabSite) -> None:
    with acting(lab) as site:
        settle = job_of(site, "disposal-settle")
        with site.catalog.transaction() as session:
            disposals.add(session, batch(site, state=disposals.RESIDUAL), [])
        assert missed.notice(site, {settle.name: settle}) == []
        with site.catalog.transaction() as session:
            disposals.change(session, "D-2026-0001", state=disposals.COMPLETE)
    with acting(lab, clock=ShiftedClock(dt.timedelta(days=40))) as site:
        assert missed.notice(site, {settle.name: settle}) == []
        with site.catalog.transaction() as session:
            disposals.change(session, "D-2026-0001", state=disposals.RESIDUAL)
        # Its account begins again now: nobody is blamed for the days without a disposal.
        assert missed.notice(site, {settle.name: settle}) == []
        with site.catalog.reading() as session:
            assert slots.last_slot(session, settle.name) is None
    with acting(lab, clock=ShiftedClock(dt.timedelta(days=43))) as site:
        new = missed.notice(site, {settle.name: settle})
        assert {event.kind for event in new} == {"not_run"}
        assert 1 <= len(new) <= 3
