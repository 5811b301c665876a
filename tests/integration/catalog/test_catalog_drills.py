"""Drills and missed events in the catalog, on both databases."""

from __future__ import annotations

import datetime as dt

import pytest

from orchestrator.catalog import drill_history, drills, files, missed, runs, suppressions
from orchestrator.catalog.database import Catalog
from orchestrator.drills.result import (
    Check,
    Coverage,
    DrillResult,
    RecoveryPoint,
    RecoveryTime,
    SignOff,
    Traffic,
)
from orchestrator.errors import DamageError, NotFoundError, UsageError
from tests.support.catalog_rows import (
    NOW,
    drill_result,
    image,
    missed_event,
    run_row,
    study_date,
)

DAY = dt.timedelta(days=1)


def ended(drill: str = "d1", **changes: object) -> DrillResult:
    values: dict[str, object] = {
        "ended_at": NOW + dt.timedelta(minutes=3),
        "verdict": "verified",
        "reason": "all is as it was",
        "exit_code": 0,
        "snapshot": "ab" * 32,
        "snapshot_at": NOW - dt.timedelta(hours=3),
        "rto": RecoveryTime(14400.0, 180.0, 185.5, 170.0, 200.25, ("same network",), True),
        "rpo": RecoveryPoint(86400.0, 10800.0, 86000.0, 30, "2026-03-01", None, True),
        "checks": [
            Check("content", "passed", "12 files", proves_data=True),
            Check("set", "failed", "1 more", damage=True, advice="look"),
        ],
        "traffic": Traffic(12, 3456),
        "coverage": Coverage(4, 0.25, 0.5, 1.0),
        "files": 12,
        "bytes": 2**40,
        "studies": 3,
        "remarks": ["one image cannot be decoded here"],
        "versions": {"restic": "0.19.1"},
    }
    return drill_result(drill, **(values | changes))


def with_studies(catalog: Catalog, *numbers: int) -> list[str]:
    """Put one study per number into the store; return their pseudonyms in that order."""
    with catalog.transaction() as session:
        files.apply_changes(
            session,
            "xrays",
            run_id="r1",
            changed=[image(number, part) for number in numbers for part in (1, 2)],
            gone=[],
            keys=catalog.keys,
            study_date=study_date,
        )
    return [catalog.keys.pseudonyms.study(f"1.2.3.{number}") for number in numbers]


def record(
    catalog: Catalog, result: DrillResult, *proven: str, refuted: tuple[str, ...] = ()
) -> None:
    with catalog.transaction() as session:
        drills.begin(session, drill_result(result.drill, started_at=result.started_at), run_id="r1")
        assert drills.finish(session, result, proven=proven, refuted=refuted)


def test_a_result_comes_back_as_it_was_recorded(catalog: Catalog) -> None:
    record(catalog, ended(as_of=NOW - DAY))
    with catalog.reading() as session:
        row = drills.get(session, "d1")
        assert drills.result_of(row) == ended(as_of=NOW - DAY)
    assert (row.verdict, row.exit_code, row.rto_projected_s) == ("verified", 0, 185.5)
    assert (row.size_bytes, row.ended_at) == (2**40, NOW + dt.timedelta(minutes=3))


def test_a_drill_ends_once_and_for_all(catalog: Catalog) -> None:
    studies = with_studies(catalog, 1)
    record(catalog, ended(verdict="not_verified", exit_code=1))
    with catalog.transaction() as session:
        assert not drills.finish(session, ended(), proven=studies)
        assert not drills.finish(session, ended("never begun"), proven=studies)
    with catalog.reading() as session:
        assert drills.get(session, "d1").verdict == "not_verified"
        assert drills.coverage(session, "xrays", "vault", NOW + DAY).within_365_days == 0


def test_a_drill_without_an_end_is_never_verified(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        drills.begin(session, drill_result(verdict="verified"), run_id=None)
    with catalog.reading() as session:
        (row,) = drills.unfinished(session)
        assert row.verdict is None
        assert drills.as_past(row).verdict == "could_not_run"
        assert drills.past(session, "xrays") == []
    with pytest.raises(ValueError, match="instant"), catalog.transaction() as session:
        drills.finish(session, drill_result())


def test_coverage_counts_living_studies_proven_on_this_copy_within_the_time(
    catalog: Catalog,
) -> None:
    one, two, three, four = with_studies(catalog, 1, 2, 3, 4)
    now = NOW + 100 * DAY
    record(catalog, ended("d1", ended_at=now - 91 * DAY), one, two)
    record(catalog, ended("d2", ended_at=now - 89 * DAY), two)
    record(catalog, ended("d3", ended_at=now - DAY), three, "of a study nobody has")
    record(catalog, ended("d4", copy="disk", ended_at=now - DAY), four)
    with catalog.reading() as session:
        found = drills.coverage(session, "xrays", "vault", now)
        assert found == Coverage(4, 0.25, 0.5, 0.75)
        assert drills.coverage(session, "scans", "vault", now) == Coverage()
        assert dict(drills.proven_at(session, "xrays", "disk")) == {four: now - DAY}
        assert sorted(drills.study_keys(session, "xrays")) == sorted([one, two, three, four])


def test_a_proof_from_the_future_proves_nothing(catalog: Catalog) -> None:
    (study,) = with_studies(catalog, 1)
    record(catalog, ended(ended_at=NOW + DAY), study)
    with catalog.reading() as session:
        assert drills.coverage(session, "xrays", "vault", NOW) == Coverage(1)
        assert drills.coverage(session, "xrays", "vault", NOW + DAY).within_30_days == 1


def test_a_study_that_came_back_broken_is_no_longer_proven(catalog: Catalog) -> None:
    one, two = with_studies(catalog, 1, 2)
    record(catalog, ended("d1"), one, two)
    record(catalog, ended("d2", verdict="not_verified"), two, refuted=(one,))
    with catalog.reading() as session:
        assert drills.coverage(session, "xrays", "vault", NOW + DAY).within_30_days == 0.5
        assert [study for study, _ in drills.proven_at(session, "xrays", "vault")] == [two]


def test_disposed_and_gone_studies_are_not_counted(catalog: Catalog) -> None:
    one, two, three = with_studies(catalog, 1, 2, 3)
    record(catalog, ended(), one, three)
    with catalog.transaction() as session:
        suppressions.add(session, "xrays", [one, one], now=NOW)
        suppressions.add(session, "xrays", [one], now=NOW + DAY)
        gone = [f"p/3/{part}.dcm".encode() for part in (1, 2)]
        files.apply_changes(
            session,
            "xrays",
            run_id="r2",
            changed=[],
            gone=gone,
            keys=catalog.keys,
            study_date=study_date,
        )
    with catalog.reading() as session:
        assert suppressions.suppressed(session, "xrays") == {one}
        assert suppressions.suppressed(session, "scans") == frozenset()
        assert list(drills.study_keys(session, "xrays")) == [two]
        assert drills.coverage(session, "xrays", "vault", NOW + DAY) == Coverage(1)


def test_a_drill_is_found_by_the_beginning_of_its_id(catalog: Catalog) -> None:
    for drill in ("20260101T000000Z-aa", "20260101T000000Z-ab", "20260102T000000Z-aa"):
        record(catalog, ended(drill))
    with catalog.reading() as session:
        assert drills.get(session, "20260102").id == "20260102T000000Z-aa"
        with pytest.raises(UsageError, match="several"):
            drills.get(session, "20260101")
        for unknown in ("2027", "", "%", "2026010_T"):
            with pytest.raises(NotFoundError):
                drills.get(session, unknown)


def test_the_trend_goes_forward_and_the_list_back(catalog: Catalog) -> None:
    for day in range(4):
        copy = "disk" if day == 2 else "vault"
        record(catalog, ended(f"d{day}", copy=copy, started_at=NOW + day * DAY))
    with catalog.reading() as session:
        assert [row.id for row in drills.recent(session)] == ["d3", "d2", "d1", "d0"]
        assert [row.id for row in drills.recent(session, "xrays", "vault", limit=2)] == ["d3", "d1"]
        assert drills.recent(session, "scans") == []
        trend = drills.past(session, "xrays", "vault")
    assert [one.drill for one in trend] == ["d0", "d1", "d3"]
    assert (trend[0].rto_s, trend[0].rpo_s, trend[0].verdict) == (185.5, 10800.0, "verified")


def test_signatures_stand_in_their_order(catalog: Catalog) -> None:
    record(catalog, ended())
    first = SignOff("P. Rivacy", "Compliance officer", NOW, "ü: bought a second line")
    second = SignOff("I. T.", "IT", NOW + DAY, "seen")
    with catalog.transaction() as session:
        drills.sign(session, "d1", actor="it", sign_off=second)
        drills.sign(session, "d1", actor="privacy", sign_off=first)
        drills.set_report(session, "d1", report="d1.html", sha256="ab" * 32)
    with catalog.reading() as session:
        assert drills.signs(session, "d1") == [first, second]
        assert drills.signs(session, "d2") == []
        assert drills.get(session, "d1").report_sha256 == "ab" * 32


def test_turns_are_told_by_what_was_restored(catalog: Catalog) -> None:
    record(catalog, ended("d1", scope="1/3"))
    record(catalog, ended("d2", scope="1/3", medium="red", started_at=NOW + DAY))
    record(catalog, ended("d3", scope="2/3", verdict="could_not_run", started_at=NOW + DAY))
    record(catalog, ended("d4", kit_only=True, verdict="not_verified", started_at=NOW + 2 * DAY))
    with catalog.reading() as session:
        assert drill_history.last_by_scope(session, "xrays", "vault") == {
            "1/3": NOW + DAY,
            "all": NOW + 2 * DAY,
        }
        assert drill_history.last_of_medium(session, "xrays", "vault", "red") == NOW + DAY
        assert drill_history.last_of_medium(session, "xrays", "vault", "blue") is None
        assert drill_history.kit_drilled(session, NOW, NOW + 3 * DAY)
        assert not drill_history.kit_drilled(session, NOW, NOW + 2 * DAY)


def test_a_drill_by_hand_for_a_job_is_told_from_one_of_its_slots(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        runs.start(session, run_row("r1", action="drill", job="monthly"))
        runs.start(session, run_row("r2", action="drill", job="weekly", slot="a"))
    record(catalog, ended("d1"))
    with catalog.transaction() as session:
        drills.begin(session, drill_result("d2"), run_id="r2")
        drills.finish(session, ended("d2"))
    with catalog.reading() as session:
        assert drill_history.ran_for(session, "monthly", NOW, NOW + DAY)
        assert not drill_history.ran_for(session, "monthly", NOW + DAY, NOW + 2 * DAY)
        assert not drill_history.ran_for(session, "weekly", NOW, NOW + DAY)


def test_open_damage_is_told_until_a_good_drill(catalog: Catalog) -> None:
    record(catalog, ended("d1", verdict="not_verified", exit_code=4))
    with catalog.reading() as session:
        found = drill_history.open_damage(session, "xrays", "vault", None)
        assert found is not None
        assert found.id == "d1"
        assert drill_history.open_damage(session, "xrays", "vault", "red") is None
    record(catalog, ended("d2", started_at=NOW + DAY))
    with catalog.reading() as session:
        assert drill_history.open_damage(session, "xrays", "vault", None) is None


def test_misses_that_a_wrong_clock_noticed_are_dropped_unless_they_are_in_the_ledger(
    catalog: Catalog,
) -> None:
    with catalog.transaction() as session:
        missed.add(session, [missed_event(one, due_at=NOW + DAY) for one in ("a", "b")])
        missed.add(session, [missed_event("c")])
        missed.mark_recorded(session, missed.since(session, NOW)[:1], now=NOW)
        assert missed.drop_future(session, after=NOW) == 1
        assert sorted(row.slot for row in missed.since(session, NOW)) == ["a", "c"]


def test_a_result_that_is_none_is_damage(catalog: Catalog) -> None:
    record(catalog, ended())
    with catalog.transaction() as session:
        drills.get(session, "d1").result = {"drill": "d1"}
    with catalog.reading() as session, pytest.raises(DamageError, match="d1"):
        drills.result_of(drills.get(session, "d1"))


def test_proofs_of_a_whole_large_store_are_written_in_one_go(catalog: Catalog) -> None:
    """The guard is generous: it would catch a statement per study with its own wait."""
    keys = [f"{number:026x}" for number in range(20_000)]
    record(catalog, ended("d1"), *keys)
    later = ended("d2", ended_at=NOW + DAY)
    record(catalog, later, *keys, refuted=tuple(keys[:5000]))
    with catalog.reading() as session:
        found = dict(drills.proven_at(session, "xrays", "vault"))
    assert len(found) == 15_000
    assert set(found.values()) == {NOW + DAY}


def test_a_missed_event_is_noticed_once(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        assert missed.add(session, [missed_event("a"), missed_event("b", due_at=NOW - DAY)]) == 2
    with catalog.transaction() as session:
        assert (
            missed.add(
                session, [missed_event("a", kind="failed"), missed_event("c", action="backup")]
            )
            == 1
        )
    with catalog.reading() as session:
        assert [row.slot for row in missed.since(session, NOW)] == ["a", "c"]
        assert [row.slot for row in missed.since(session, NOW, action="backup")] == ["c"]
        assert missed.since(session, NOW)[0].kind == "not_run"


def test_what_stands_in_the_ledger_is_not_given_to_it_again(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        missed.add(
            session,
            [missed_event("a"), missed_event("b", due_at=NOW - DAY), missed_event("c", job="x")],
        )
    with catalog.transaction() as session:
        found = missed.unrecorded(session)
        assert [(row.job, row.slot) for row in found] == [
            ("monthly-drill", "b"),
            ("monthly-drill", "a"),
            ("x", "c"),
        ]
        missed.mark_recorded(session, found[:2], now=NOW)
    with catalog.transaction() as session:
        assert [row.slot for row in missed.unrecorded(session)] == ["c"]
        missed.add(session, [missed_event("a")])
        assert [row.slot for row in missed.unrecorded(session)] == ["c"]
