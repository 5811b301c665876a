"""Run ids of a store sort in the order of the runs, whatever the clock says."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.actions import run_ids

INSTANTS = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2090, 1, 1), timezones=st.just(dt.UTC))


@given(st.lists(INSTANTS, min_size=2, max_size=40))
def test_ids_only_grow_whatever_the_clock_does(clock: list[dt.datetime]) -> None:
    latest = None
    for now in clock:
        later = run_ids.after(run_ids.fresh(now), latest)
        assert latest is None or later > latest
        latest = later


@given(INSTANTS)
def test_many_runs_of_one_second_keep_their_order(now: dt.datetime) -> None:
    ids = [run_ids.fresh(now)]
    for _ in range(50):
        ids.append(run_ids.after(run_ids.fresh(now), ids[-1]))
    assert ids == sorted(set(ids))


def test_the_last_suffix_of_a_second_is_followed_by_the_next_second() -> None:
    last = "20261231T235959Z-ffffff"
    found = run_ids.after("20260101T000000Z-000000", last)
    assert found.startswith("20270101T000000Z-00000")


def test_an_id_of_another_form_is_followed_as_well() -> None:
    assert run_ids.after("20260101T000000Z-000000", "run-7") > "run-7"


def test_an_id_that_sorts_later_anyhow_stays_as_it_is() -> None:
    wanted = "20260102T000000Z-000000"
    assert run_ids.after(wanted, "20260101T000000Z-ffffff") == wanted
    assert run_ids.after(wanted, None) == wanted
