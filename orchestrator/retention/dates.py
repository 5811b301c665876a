"""Calendar arithmetic on arrays of days: anniversaries, birthdays, ends of periods. Pure.

A day is its proleptic Gregorian ordinal (`datetime.date.toordinal`), so that ten million of them
are one array. A period of n years from a day runs *through* the same calendar day n years later.
Where that day does not exist (29 February, the 31st of a short month) it is the first day of the
following month, never an earlier one; so a later start never yields an earlier end.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.retention.schedule import Period

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Days = NDArray[np.int32]

UNKNOWN = -10_000_000
"""Stands for a day that is not known; smaller than every day, so that a maximum passes it over."""

NEVER = 10_000_000
"""Stands for a day that never comes; larger than every day that an anniversary can yield."""

_FIRST_YEAR = 1
_YEARS = 12_000
_EPOCH = dt.date(1970, 1, 1).toordinal()
_MONTHS_TO_EPOCH = (1970 - _FIRST_YEAR) * 12


@lru_cache(maxsize=1)
def _month_starts() -> Days:
    """Return the ordinal of the first day of every month, from January of year 1 on."""
    months = np.arange(_YEARS * 12 + 1) - _MONTHS_TO_EPOCH
    starts = months.astype("M8[M]").astype("M8[D]").astype(np.int64) + _EPOCH
    return starts.astype(np.int32)


class Calendar:
    """Days taken apart into month and day of the month, ready to have periods added.

    Args:
        days: Ordinals; `UNKNOWN` stays unknown in everything that is computed from it.
    """

    def __init__(self, days: Days) -> None:
        known = days > UNKNOWN
        self.all_known = bool(known.all())
        self.known = known
        safe = days if self.all_known else np.where(known, days, 1)
        epoch_days = safe.astype(np.int64) - _EPOCH
        month = epoch_days.astype("M8[D]").astype("M8[M]").astype(np.int64) + _MONTHS_TO_EPOCH
        self._month = month.astype(np.int32)
        self._into_month = (safe - _month_starts()[self._month]).astype(np.int32)

    def after(self, period: Period) -> Days:
        """Return the last day of a period that begins on each day.

        Args:
            period: Not an indefinite one.
        """
        months = 12 * (period.years or 0) + (period.months or 0)
        starts = _month_starts()
        month = np.minimum(self._month + np.int32(min(months, _YEARS * 12)), len(starts) - 2)
        day = np.minimum(starts[month] + self._into_month, starts[month + 1])
        if period.days:
            day = day + np.int32(min(period.days, NEVER // 4))
        return day if self.all_known else np.where(self.known, day, np.int32(UNKNOWN))

    def birthday(self, age: int) -> Days:
        """Return the day on which somebody born on each day reaches an age in years."""
        return self.after(Period(age, 0))


def ordinal(day: dt.date | None) -> int:
    """Return a day's ordinal; `UNKNOWN` for None."""
    return UNKNOWN if day is None else day.toordinal()


def day_of(number: int) -> dt.date | None:
    """Return the day of an ordinal; None for `UNKNOWN` and `NEVER`.

    A day after the last one that a date can hold is shown as that one.
    """
    if number in {UNKNOWN, NEVER}:
        return None
    return dt.date.fromordinal(min(int(number), dt.date.max.toordinal()))


def last_day(start: dt.date, period: Period) -> dt.date | None:
    """Return the last day of a period that begins on a day; None if it is indefinite."""
    if period.is_indefinite:
        return None
    return day_of(int(Calendar(np.array([start.toordinal()], np.int32)).after(period)[0]))


def first_day_after(start: dt.date, period: Period) -> dt.date | None:
    """Return the first day on which a period no longer keeps; None if it is indefinite."""
    if period.is_indefinite:
        return None
    return day_of(int(Calendar(np.array([start.toordinal()], np.int32)).after(period)[0]) + 1)
