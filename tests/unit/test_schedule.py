"""Slots over several years in the zones whose clocks misbehave most."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.schedule import latest_due, next_due, validate

ZONES = [
    "America/New_York",
    "America/Los_Angeles",
    "America/Chicago",
    "Europe/Helsinki",
    "Australia/Lord_Howe",
    "UTC",
]
# Clocks that change at midnight, so that 00:00 itself is missing or doubled.
MIDNIGHT_ZONES = ["America/Santiago", "Africa/Cairo", "America/Havana", "Asia/Beirut"]
YEARS = range(2025, 2028)


def changes(zone: ZoneInfo) -> list[date]:
    """Return the local dates on which the zone's clocks change."""
    found = []
    day = date(YEARS.start, 1, 1)
    while day.year in YEARS:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if at.astimezone(zone).utcoffset() != (at + timedelta(days=1)).astimezone(zone).utcoffset():
            found += [day - timedelta(days=1), day, day + timedelta(days=1)]
        day += timedelta(days=1)
    return sorted(set(found))


def slots(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    found = []
    at = start
    while (at := next_due(expression, zone, at)) < end:
        found.append(at)
    return found


@pytest.mark.parametrize("zone", ZONES + MIDNIGHT_ZONES)
@pytest.mark.parametrize("hour", [0, 1, 2, 3])
def test_daily_job_has_exactly_one_slot_per_local_date(zone, hour):
    tz = ZoneInfo(zone)
    start = datetime(YEARS.start, 1, 1, tzinfo=tz) - timedelta(seconds=1)
    end = datetime(YEARS.stop, 1, 1, tzinfo=tz)
    every = [start.date() + timedelta(days=n + 1) for n in range((end - start).days)]
    for minute in (0, 30):
        dates = [s.astimezone(tz).date() for s in slots(f"{minute} {hour} * * *", tz, start, end)]
        assert dates == every


@pytest.mark.parametrize("zone", ZONES + MIDNIGHT_ZONES)
def test_every_minute_of_the_night_fires_once_around_each_change(zone):
    tz = ZoneInfo(zone)
    days = changes(tz)
    assert (zone == "UTC") == (not days)
    for day in days:
        start = datetime(day.year, day.month, day.day, tzinfo=tz) - timedelta(seconds=1)
        for minute in range(0, 240, 7):
            expression = f"{minute % 60} {minute // 60} * * *"
            slot = next_due(expression, tz, start)
            assert slot.astimezone(tz).date() == day, expression
            assert next_due(expression, tz, slot).astimezone(tz).date() == day + timedelta(days=1)
            late = datetime(day.year, day.month, day.day, 23, 59, tzinfo=tz)
            assert latest_due(expression, tz, start, late) == slot


@pytest.mark.parametrize("zone", ZONES + MIDNIGHT_ZONES)
@pytest.mark.parametrize("day", ["SUN", "MON"])
def test_weekly_job_has_exactly_one_slot_per_week(zone, day):
    tz = ZoneInfo(zone)
    start, end = datetime(YEARS.start, 1, 1, tzinfo=tz), datetime(YEARS.stop, 1, 1, tzinfo=tz)
    for time in ("0 0", "30 0", "30 1", "15 2", "59 3"):
        dates = [s.astimezone(tz).date() for s in slots(f"{time} * * {day}", tz, start, end)]
        gaps = {later - earlier for earlier, later in pairwise(dates)}
        assert gaps == {timedelta(days=7)}
        assert {d.strftime("%a").upper() for d in dates} == {day}


def test_repeated_hour_fires_a_daily_job_the_first_time_only():
    tz = ZoneInfo("America/New_York")
    before = datetime(2026, 10, 31, 12, tzinfo=UTC)
    first = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert next_due("30 1 * * *", tz, before) == first
    # Between the two half past one, and after both: nothing new.
    assert latest_due("30 1 * * *", tz, first, datetime(2026, 11, 1, 6, 45, tzinfo=UTC)) is None
    assert next_due("30 1 * * *", tz, first) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)
    # In the second quarter past one the slot is still the first half past one.
    at = datetime(2026, 11, 1, 6, 15, tzinfo=UTC)
    assert latest_due("30 1 * * *", tz, before, at) == first


def test_skipped_time_fires_right_after_the_jump():
    tz = ZoneInfo("America/New_York")
    jump = datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    before = datetime(2026, 3, 8, 5, 0, tzinfo=UTC)
    assert next_due("30 2 * * *", tz, before) == jump
    assert latest_due("30 2 * * *", tz, before, jump) == jump
    assert latest_due("30 2 * * *", tz, before, jump - timedelta(seconds=1)) is None


def test_half_hour_jump_is_found_to_the_second():
    tz = ZoneInfo("Australia/Lord_Howe")
    jump = datetime(2026, 10, 3, 15, 30, tzinfo=UTC)
    assert next_due("15 2 * * *", tz, jump - timedelta(hours=1)) == jump


def test_hourly_job_follows_the_wall_clock():
    tz = ZoneInfo("America/New_York")
    spring = slots(
        "15 * * * *",
        tz,
        datetime(2026, 3, 8, 0, tzinfo=tz),
        datetime(2026, 3, 9, 0, tzinfo=tz),
    )
    autumn = slots(
        "15 * * * *",
        tz,
        datetime(2026, 11, 1, 0, tzinfo=tz),
        datetime(2026, 11, 2, 0, tzinfo=tz),
    )
    assert [len(spring), len(autumn)] == [23, 25]
    for found in (spring, autumn):
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


def test_every_six_hours_fires_four_times_a_day_at_half_hour_jumps():
    tz = ZoneInfo("Australia/Lord_Howe")
    for month, day in ((4, 5), (10, 4)):
        start = datetime(2026, month, day, tzinfo=tz) - timedelta(seconds=1)
        found = slots("0 */6 * * *", tz, start, start + timedelta(days=1))
        assert [s.astimezone(tz).hour for s in found] == [0, 6, 12, 18]


@pytest.mark.parametrize(
    "expression", ["30 1 * * *", "* * * * *", "0 3 29 2 *", "* * * 1 *", "0 2 * * SUN"]
)
def test_years_of_silence_give_the_newest_slot_at_once(expression):
    tz = ZoneInfo("America/Chicago")
    now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    started = perf_counter()
    slot = latest_due(expression, tz, datetime(1990, 1, 1, tzinfo=UTC), now)
    assert perf_counter() - started < 60  # not a walk over every slot
    assert slot is not None
    assert slot <= now < next_due(expression, tz, slot)


def test_slots_are_utc_and_strictly_after():
    tz = ZoneInfo("Europe/Helsinki")
    slot = next_due("0 2 * * *", tz, datetime(2026, 6, 1, tzinfo=UTC))
    assert slot.tzinfo is UTC
    assert latest_due("0 2 * * *", tz, slot, slot) is None
    assert latest_due("0 2 * * *", tz, slot - timedelta(microseconds=1), slot) == slot
    assert latest_due("0 2 * * *", tz, slot, slot - timedelta(days=9)) is None


INSTANTS = st.datetimes(
    datetime(2024, 1, 1),
    datetime(2027, 12, 31),
    timezones=st.just(UTC),
)


@given(
    zone=st.sampled_from(ZONES + MIDNIGHT_ZONES),
    expression=st.sampled_from(
        ["30 1 * * *", "15 * * * *", "0 0 * * MON", "30 2 1 * *", "*/10 0-3 * * *", "* 1,2 * * *"]
    ),
    at=INSTANTS,
)
def test_latest_and_next_agree(zone, expression, at):
    tz = ZoneInfo(zone)
    coming = next_due(expression, tz, at)
    assert coming > at
    assert latest_due(expression, tz, at, coming) == coming
    assert latest_due(expression, tz, at, coming - timedelta(seconds=1)) is None
    newest = latest_due(expression, tz, at - timedelta(days=400), at)
    assert newest is not None
    assert newest <= at
    assert next_due(expression, tz, newest) == coming


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "* * * * * *", "61 * * * *", "0 24 * * *", "@daily", "0 2 * * FUNDAY",
     "0 0 30 2 *", "0 0 31 4,6 *"],
)  # fmt: skip
def test_wrong_expression_is_said_and_refused(expression):
    assert validate(expression)
    with pytest.raises(ValueError, match=r"cron|never|five"):
        next_due(expression, ZoneInfo("UTC"), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "expression", ["0 2 * * *", "0 2 * * mon", "*/5 8-18 * * MON-FRI", "0 3 L * *", "0 2 * * SUN#1"]
)
def test_right_expression_passes(expression):
    assert validate(expression) is None


@given(st.text("0123456789*/,-L#SUNMO W", max_size=24))
def test_any_text_is_judged_without_a_crash(text):
    assert validate(text) is None or isinstance(validate(text), str)
