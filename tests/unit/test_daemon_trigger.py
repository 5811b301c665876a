"""The daemon's trigger: a daily job runs once per local date, whatever the clocks do."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestrator.daemon import SlotTrigger

ZONES = ("America/New_York", "America/Chicago", "Europe/Helsinki", "Australia/Lord_Howe", "UTC")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["0 0", "15 0", "30 1", "0 2", "30 2", "30 3"])
def test_daily_job_fires_once_on_every_local_date(zone: str, at: str) -> None:
    tz = ZoneInfo(zone)
    trigger = SlotTrigger(f"{at} * * *", tz)
    now = datetime(2026, 1, 1, tzinfo=tz)
    fired: list[datetime] = []
    previous = None
    while now < datetime(2027, 1, 1, tzinfo=tz):
        slot = trigger.get_next_fire_time(previous, now)
        assert slot is not None
        assert slot > now
        fired.append(slot)
        previous = slot
        now = slot + timedelta(microseconds=1)
    dates = Counter(
        slot.astimezone(tz).date() for slot in fired if slot.astimezone(tz).year == 2026
    )
    assert set(dates.values()) == {1}
    assert len(dates) >= 364  # 00:00 on 1 January is not later than the beginning


def test_weekly_job_loses_no_week_when_clocks_change() -> None:
    tz = ZoneInfo("America/New_York")
    trigger = SlotTrigger("0 0 * * MON", tz)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    days = []
    for _ in range(3):
        slot = trigger.get_next_fire_time(None, now)
        assert slot is not None
        days.append(slot.astimezone(tz).date().isoformat())
        now = slot
    assert days == ["2026-03-02", "2026-03-09", "2026-03-16"]
