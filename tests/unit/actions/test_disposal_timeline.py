"""When the last lock ends if locks are lengthened until a disposal can start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.actions.disposal.timeline import last_lock_end

NOW = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
DAY = timedelta(days=1)


def end(*days: float, start: float, period: float = 35, below: float = 0.5) -> float | None:
    found = last_lock_end(
        [NOW + DAY * day for day in days],
        now=NOW,
        start=NOW + DAY * start,
        period=DAY * period,
        below=below,
    )
    return None if found is None else (found - NOW) / DAY


def test_nothing_locked_has_no_end() -> None:
    assert end(start=14) is None


def test_a_lock_that_is_not_lengthened_before_the_start_ends_when_it_says() -> None:
    assert end(35, start=14) == 35
    assert end(20, 35, start=1) == 35


def test_a_lock_that_is_lengthened_during_the_quarantine_ends_later() -> None:
    assert end(20, start=14) == 37.5  # lengthened after 2.5 days, for 35
    assert end(1, start=14) == 35  # lengthened in the next run


def test_a_lock_longer_than_its_period_is_not_shortened() -> None:
    assert end(400, start=14) == 400


def test_a_lock_that_ends_before_the_disposal_can_start_ends_with_its_start() -> None:
    assert end(1, start=0, period=2, below=0.0) == 1
    assert end(-5, start=0, period=2, below=0.0) == 2


def test_locks_lengthened_every_night_end_a_period_after_the_start() -> None:
    assert end(20, start=14, below=1.0) == 49


@given(
    days=st.floats(-100, 400),
    start=st.floats(0, 60),
    period=st.floats(0.001, 400),
    below=st.floats(0, 1),
)
def test_no_lock_ends_before_the_start_nor_before_it_says_nor_later_than_it_can(
    days: float, start: float, period: float, below: float
) -> None:
    found = end(days, start=start, period=period, below=below)
    assert found is not None
    tolerance = 1e-6
    assert found >= max(start, min(days, start)) - tolerance
    assert found >= days - tolerance or days < period * below
    assert found <= max(days, start + period) + tolerance
