"""Plans, explanations and exports of a real catalog."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

import pytest

from orchestrator.actions.retention.adopt import adopt
from orchestrator.actions.retention.decisions import decided
from orchestrator.actions.retention.explain import explain, explained_values
from orchestrator.actions.retention.export import COLUMNS, Wanted, listed_plan
from orchestrator.actions.retention.patients import import_patients
from orchestrator.actions.retention.plan import plan, summary
from orchestrator.actions.site import Site
from orchestrator.errors import ConfigError, NotFoundError, StoppedError, UsageError
from tests.integration.retention.conftest import acting, local_schedule
from tests.support.clock import ShiftedClock
from tests.support.due_studies import NEW, OLD, SCHEDULE, patient_list
from tests.support.site import LabSite


def prepare(site: Site, lab: LabSite) -> None:
    """Adopt the schedule of the store's state and import a list of everybody."""
    adopt(site, SCHEDULE)
    import_patients(site, patient_list(lab))


def by_due(site: Site) -> dict[dt.date | None, tuple[str, str]]:
    """Return verdict and pseudonym of each study by its due date."""
    found: dict[dt.date | None, tuple[str, str]] = {}
    plan(site, take=lambda _, one: found.update({one.due: (one.verdict, one.study)}))
    return found


def the_day_after(day: dt.date, years: int) -> dt.date:
    return day.replace(year=day.year + years) + dt.timedelta(days=1)


def test_a_plan_decides_about_every_study_and_adds_up(lab: LabSite) -> None:
    with acting(lab) as site:
        prepare(site, lab)
        found = plan(site)
        assert {verdict: one.studies for verdict, one in found.verdicts.items()} == {
            "dispose": len(OLD),
            "review": 0,
            "keep": 1,
        }
        assert found.reasons["keep"] == {"period_runs": 1}
        assert not found.reasons["dispose"]
        due = {the_day_after(one.day, 5) for one in (*OLD, NEW)}
        assert set(by_due(site)) == due
        counted = summary(found)
        assert sum(row["dispose"] for row in counted["due_years"]) == len(OLD)
        assert sum(row["dispose"] for row in counted["rules"]) == len(OLD)
        assert counted["verdicts"]["dispose"]["files"] == sum(one.files for one in OLD)
        assert counted["schedules"] == [{"schedule": SCHEDULE, "version": "2026.1"}]


def test_a_plan_changes_nothing(lab: LabSite) -> None:
    with acting(lab) as site:
        prepare(site, lab)
        size = site.ledger.reader().checkpoint.size
        before = lab.rows("SELECT count(*) AS n FROM run")
        assert summary(plan(site))["reasons"] == summary(plan(site))["reasons"]
        assert site.ledger.reader().checkpoint.size == size
        assert lab.rows("SELECT count(*) AS n FROM run") == before


def test_without_an_adopted_schedule_nothing_comes_due(lab: LabSite) -> None:
    with acting(lab) as site:
        import_patients(site, patient_list(lab))
        found = plan(site)
        assert found.verdicts["review"].studies == found.studies == 4
        assert found.reasons["review"]["no_adopted_schedule"] == 4


def test_a_rule_of_the_site_lengthens_and_never_shortens(lab: LabSite) -> None:
    local_schedule(lab, name="longer", adult="40y")
    local_schedule(lab, name="shorter", adult="1y")
    with acting(lab) as site:
        prepare(site, lab)
        law = by_due(site)
        adopt(site, "shorter")
        assert by_due(site) == law
        adopt(site, "longer")
        assert set(by_due(site)) == {the_day_after(one.day, 40) for one in (*OLD, NEW)}
        assert {verdict for verdict, _ in by_due(site).values()} == {"keep"}


def test_an_upgrade_that_is_not_adopted_changes_no_decision(lab: LabSite) -> None:
    local_schedule(lab, version="1", adult="40y")
    with acting(lab) as site:
        prepare(site, lab)
        adopt(site, "own-rule")
        before = by_due(site)
        local_schedule(lab, version="2", adult="1y")
        assert by_due(site) == before
        adopt(site, "own-rule")
        assert set(by_due(site)) == {the_day_after(one.day, 5) for one in (*OLD, NEW)}


def test_a_changed_file_stops_plan_and_explanation_and_hides_no_study(lab: LabSite) -> None:
    local_schedule(lab, adult="40y")
    with acting(lab) as site:
        prepare(site, lab)
        adopt(site, "own-rule")
        study = next(iter(by_due(site).values()))[1]
        local_schedule(lab, adult="1y")
        with pytest.raises(ConfigError, match="was adopted with another text"):
            plan(site)
        with pytest.raises(ConfigError, match="was adopted with another text"):
            explain(site, study)
        shown = decided(site, [study])
        assert (dict(shown.decisions), shown.problem is None) == ({}, False)


def test_an_explanation_names_every_period_and_the_one_that_decides(lab: LabSite) -> None:
    local_schedule(lab, adult="1y")
    with acting(lab) as site:
        prepare(site, lab)
        adopt(site, "own-rule")
        _, study = by_due(site)[the_day_after(OLD[0].day, 5)]
        (one,) = explain(site, study)
        body = explained_values(one)
        assert (body["verdict"], body["citation"]) == ("dispose", "22 TAC 108.8(b)")
        assert [(part["schedule"], part["wins"]) for part in body["components"]] == [
            (SCHEDULE, True),
            ("own-rule", False),
        ]
        assert [part["starts"] for part in body["components"]] == [OLD[0].day, OLD[0].day]
        # The same as the plan says of it.
        assert one.decision == decided(site, [study]).decisions["xrays", study]


def test_an_unknown_study_and_an_unknown_store_are_not_found(lab: LabSite) -> None:
    with acting(lab) as site:
        with pytest.raises(NotFoundError):
            explain(site, "a" * 16)
        with pytest.raises(NotFoundError):
            plan(site, "attic")


def test_what_the_limit_leaves_out_is_counted(lab: LabSite) -> None:
    with acting(lab) as site:
        prepare(site, lab)
        with listed_plan(site, None, Wanted(limit=1)) as found:
            assert (found.decisions, found.left_out, found.exported) == (1, 3, None)
            assert len(list(found.lines())) == 1
            assert found.plan.studies == 4
        with listed_plan(site, "xrays", Wanted("keep")) as found:
            assert [json.loads(line)["verdict"] for line in found.lines()] == ["keep"]
            assert found.left_out == 0


def test_a_cell_that_a_spreadsheet_would_run_is_text(lab: LabSite, tmp_path: Path) -> None:
    local_schedule(lab, adult="40y", instrument="=HYPERLINK('http://x')")
    file = tmp_path / "plan.csv"
    with acting(lab) as site:
        prepare(site, lab)
        adopt(site, "own-rule")
        with listed_plan(site, None, Wanted(limit=0, file=file)) as found:
            assert (found.exported, found.decisions, found.left_out) == (4, 0, 4)
    rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert {row["citation"] for row in rows} == {"'=HYPERLINK('http://x') 3"}
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_lines_of_an_export_are_the_decisions(lab: LabSite, tmp_path: Path) -> None:
    file = tmp_path / "plan.jsonl"
    with acting(lab) as site:
        prepare(site, lab)
        with listed_plan(site, None, Wanted("dispose", file=file)) as found:
            listed = list(found.lines())
    assert file.read_text().splitlines() == listed
    assert {json.loads(line)["rule"] for line in listed} == {"dental-record"}


def test_an_export_writes_over_no_file_and_leaves_no_half_one(lab: LabSite, tmp_path: Path) -> None:
    file = tmp_path / "plan.csv"
    with acting(lab) as site:
        with (
            pytest.raises(UsageError, match=r"\.csv or \.jsonl|table or as lines"),
            listed_plan(site, None, Wanted(file=tmp_path / "plan.xlsx")),
        ):
            pass
        site.stop.set()
        with pytest.raises(StoppedError), listed_plan(site, None, Wanted(file=file)):
            pass
        assert list(tmp_path.glob("*plan*")) == []
        site.stop.clear()
        file.write_text("kept")
        with (
            pytest.raises(UsageError, match="exists already"),
            listed_plan(site, None, Wanted(file=file)),
        ):
            pass
    assert file.read_text() == "kept"


def test_a_clock_far_ahead_makes_nothing_due_by_an_old_list(lab: LabSite) -> None:
    with acting(lab) as site:
        prepare(site, lab)
    with acting(lab, clock=ShiftedClock(dt.timedelta(days=20 * 365))) as site:
        found = plan(site)
        assert found.verdicts["dispose"].studies == 0
        assert found.reasons["review"]["patient_list_stale"] == found.studies


def test_a_catalog_that_lost_the_latest_patient_list_decides_nothing(lab: LabSite) -> None:
    with acting(lab) as site:
        prepare(site, lab)
    before = {file: file.read_bytes() for file in lab.state.glob("catalog.sqlite*")}
    with acting(lab) as site:
        import_patients(site, patient_list(lab))
        assert plan(site).verdicts["dispose"].studies == len(OLD)
    # As after a rebuild from a copy that is older than the second list.
    for file in lab.state.glob("catalog.sqlite*"):
        file.unlink()
    for file, data in before.items():
        file.write_bytes(data)
    with acting(lab) as site:
        found = plan(site)
        assert found.reasons["review"]["patient_list_stale"] == found.studies
        import_patients(site, patient_list(lab))
        assert plan(site).verdicts["dispose"].studies == len(OLD)
