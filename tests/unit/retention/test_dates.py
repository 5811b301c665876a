"""Calendar arithmetic: what a person with a calendar would say, and never a day too early."""

from __future__ import annotations

import calendar
import datetime as dt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.retention.dates import (
    NEVER,
    UNKNOWN,
    Calendar,
    day_of,
    first_day_after,
    last_day,
    ordinal,
)
from orchestrator.retention.schedule import INDEFINITE, Period
from tests.unit.retention.made import day

quick = settings(max_examples=200, deadline=None, derandomize=True, database=None)
days = st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31))
periods = st.builds(Period, st.integers(0, 120), st.integers(0, 11), st.integers(0, 400))


@pytest.mark.parametrize(
    ("start", "period", "last"),
    [
        ("2020-03-01", Period(5, 0), "2025-03-01"),
        ("2020-02-29", Period(4, 0), "2024-02-29"),
        ("2020-02-29", Period(1, 0), "2021-03-01"),
        ("2020-02-29", Period(5, 0), "2025-03-01"),
        ("2096-02-29", Period(4, 0), "2100-03-01"),  # 2100 is no leap year
        ("1896-02-29", Period(4, 0), "1900-03-01"),  # nor was 1900
        ("1996-02-29", Period(4, 0), "2000-02-29"),  # 2000 was one
        ("2023-01-31", Period(0, 1), "2023-03-01"),
        ("2024-01-31", Period(0, 1), "2024-03-01"),
        ("2024-01-29", Period(0, 1), "2024-02-29"),
        ("2023-01-29", Period(0, 1), "2023-03-01"),
        ("2023-08-31", Period(0, 1), "2023-10-01"),
        ("2023-10-31", Period(0, 1), "2023-12-01"),
        ("2023-11-30", Period(0, 3), "2024-03-01"),
        ("2022-11-30", Period(0, 3), "2023-03-01"),
        ("2023-12-31", Period(0, 2), "2024-03-01"),
        ("2023-12-31", Period(0, 6), "2024-07-01"),
        ("2023-12-31", Period(1, 0), "2024-12-31"),
        ("2023-12-31", Period(0, 0, 1), "2024-01-01"),
        ("2023-06-30", Period(7, 6, 10), "2031-01-09"),
        ("1926-11-22", Period(100, 0), "2026-11-22"),
        ("2019-03-01", Period(7, 0), "2026-03-01"),
        ("2019-03-01", Period(0, 84), "2026-03-01"),
        ("2019-03-01", Period(0, 0), "2019-03-01"),
    ],
)
def test_a_period_runs_through_the_same_day_of_the_calendar(
    start: str, period: Period, last: str
) -> None:
    assert last_day(day(start), period) == day(last)
    assert first_day_after(day(start), period) == day(last) + dt.timedelta(1)


@pytest.mark.parametrize(
    ("born", "age", "reached"),
    [
        ("2008-05-05", 18, "2026-05-05"),
        ("2008-02-29", 18, "2026-03-01"),
        ("2008-02-29", 20, "2028-02-29"),
        ("1926-02-28", 100, "2026-02-28"),
        ("1904-02-29", 100, "2004-02-29"),
        ("1904-02-29", 96, "2000-02-29"),
    ],
)
def test_an_age_is_reached_on_the_birthday(born: str, age: int, reached: str) -> None:
    birthday = Calendar(np.array([ordinal(day(born))], np.int32)).birthday(age)
    assert day_of(int(birthday[0])) == day(reached)


def test_an_indefinite_period_has_no_last_day() -> None:
    assert last_day(day("2020-01-01"), INDEFINITE) is None
    assert first_day_after(day("2020-01-01"), INDEFINITE) is None


def test_what_is_not_known_stays_so() -> None:
    mixed = Calendar(np.array([UNKNOWN, ordinal(day("2020-02-29"))], np.int32))
    assert [day_of(int(one)) for one in mixed.after(Period(1, 0))] == [None, day("2021-03-01")]
    assert (ordinal(None), day_of(UNKNOWN), day_of(NEVER)) == (UNKNOWN, None, None)


@pytest.mark.parametrize("period", [Period(20_000, 0), Period(10**9, 0), Period(1, 0, 10**9)])
def test_a_period_beyond_every_calendar_ends_after_every_day(period: Period) -> None:
    last = Calendar(np.array([ordinal(dt.date.max)], np.int32)).after(period)[0]
    assert dt.date.max.toordinal() < last < NEVER
    assert last_day(dt.date.max, period) == dt.date.max


@quick
@given(days, periods)
def test_no_end_is_early_and_none_more_than_a_day_late(start: dt.date, period: Period) -> None:
    months = start.month - 1 + (period.months or 0)
    year, month = start.year + (period.years or 0) + months // 12, months % 12 + 1
    longest = calendar.monthrange(year, month)[1]
    expected = dt.date(year, month, min(start.day, longest))
    expected += dt.timedelta(period.days + (start.day > longest))
    assert last_day(start, period) == expected


@quick
@given(days, st.integers(0, 3000), periods)
def test_a_later_start_never_ends_earlier(start: dt.date, more: int, period: Period) -> None:
    first, second = last_day(start, period), last_day(start + dt.timedelta(more), period)
    assert first is not None
    assert second is not None
    assert first <= second


@quick
@given(st.lists(st.one_of(st.none(), days), max_size=8), periods)
def test_many_days_are_counted_as_one(some: list[dt.date | None], period: Period) -> None:
    together = Calendar(np.array([ordinal(one) for one in some], np.int32)).after(period)
    alone = [None if one is None else last_day(one, period) for one in some]
    assert [day_of(int(one)) for one in together] == alone
