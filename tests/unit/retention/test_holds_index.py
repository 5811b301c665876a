"""Which studies a hold covers."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.retention.decide import decide
from orchestrator.retention.hold import Hold
from orchestrator.retention.holds_index import holds_on
from orchestrator.retention.study import StudyFacts
from tests.unit.retention.made import TODAY, day, policy, study

STUDIES = [
    study("S1"),
    study("S2", patient="P2", store="ct"),
    study("S3", patient="P3", newest_image=day("2019-01-01")),
    study("S4", patient=None, newest_image=None, oldest_image=None),
    study("S1", store="ct", patient="P5", oldest_image=None),
]


def dates(first: str | None, last: str | None, **more: Any) -> Hold:
    return Hold("H", "dates", dates_from=first and day(first), dates_to=last and day(last), **more)


@pytest.mark.parametrize(
    ("hold", "covered"),
    [
        (Hold("H", "study", study="S1"), {0, 4}),
        (Hold("H", "study", study="S1", store="xrays"), {0}),
        (Hold("H", "study", study="S9"), set()),
        (Hold("H", "patient", patients=frozenset({"P2", "P3"})), {1, 2}),
        (Hold("H", "patient", patients=frozenset({"P2", "P3"}), store="ct"), {1}),
        (Hold("H", "patient", patients=frozenset({"P9"})), set()),
        (Hold("H", "store", store="ct"), {1, 4}),
        (Hold("H", "store", store="mr"), set()),
        (Hold("H", "store"), {0, 1, 2, 3, 4}),
        (dates("2016-03-01", "2016-03-01"), {0, 1, 2, 3, 4}),
        (dates("2016-03-02", "2018-12-31"), {2, 3}),  # within the study, though at none of its ends
        (dates("2016-03-02", "2018-12-31", store="ct"), set()),
        (dates(None, "2016-02-28"), {3, 4}),  # the oldest date of the last one is not known
        (dates("2019-01-01", None), {2, 3}),
        (dates("2019-01-02", None), {3}),
        (dates(None, None), {0, 1, 2, 3, 4}),
        # A hold that names nobody was meant for somebody: it covers all.
        (Hold("H", "study"), {0, 1, 2, 3, 4}),
        (Hold("H", "patient", store="ct"), {1, 4}),
    ],
)
def test_a_hold_covers(hold: Hold, covered: set[int]) -> None:
    found = holds_on(STUDIES, [hold])
    assert {row for row, ids in enumerate(found) if ids} == covered
    assert {ids for ids in found if ids} <= {("H",)}


def test_all_holds_of_a_study_are_named_in_order() -> None:
    holds = [
        Hold("H-3", "store"),
        Hold("H-1", "study", study="S1"),
        dates(None, "2016-12-31"),
        Hold("H-2", "patient", patients=frozenset({"P1"})),
        Hold("H-1", "store", store="ct"),
    ]
    found = holds_on(STUDIES, holds)
    assert found[0] == ("H", "H-1", "H-2", "H-3")
    assert found[1] == ("H", "H-1", "H-3")
    assert found[3] == ("H", "H-3")


def test_many_holds_are_asked_at_once() -> None:
    holds = [Hold(f"H-{n}", "study", study=f"S{n}") for n in range(3000)]
    holds += [Hold(f"P-{n}", "patient", patients=frozenset({f"P{n}"})) for n in range(3000)]
    some = [study(f"S{n}", patient=f"P{n + 1}") for n in range(0, 6000, 2)]
    found = holds_on(some, holds)
    assert found[0] == ("H-0", "P-1")
    assert found[-1] == ()
    assert sum(bool(ids) for ids in found) == 1500


def test_a_held_study_is_kept_with_all_else_that_is_known() -> None:
    def decided(one: StudyFacts) -> Any:
        (decision,) = decide([one], policy(), [Hold("H-1", "store")], TODAY)
        return decision

    expired = decided(study())
    assert (expired.verdict, expired.due) == ("keep", day("2021-03-02"))
    assert (expired.reasons, expired.holds) == (("on_hold",), ("H-1",))
    running = decided(study(last_treatment=day("2025-01-01")))
    assert running.reasons == ("on_hold", "period_runs")
    both = decided(study(last_treatment=day("2025-01-01"), doubts=frozenset({"phantom"})))
    assert both.reasons == ("on_hold", "period_runs", "phantom")
    doubtful = decided(study(born=None))
    assert doubtful.reasons == ("on_hold", "birth_date_unknown")
    permanent = decided(study(is_incompetent=True))
    assert permanent.reasons == ("on_hold", "permanent_class")
