"""Periods as people write them: ``90s``, ``15m``, ``24h``, ``35d``, ``7y``.

Pure. A year is 365 days here, which is right for a lock or an alarm, where a day more or less
changes nothing, and wrong for a retention period, which ends on a calendar day: retention counts
with the calendar (`retention.period`) and never uses this module.
"""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=100 * 365)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_PERIOD = re.compile(r"(-?[0-9]{1,12})([smhdy])")


def parse_period(text: str) -> timedelta:
    """Read a period: a whole number and one unit of s, m, h, d, y.

    Args:
        text: The period as written, without spaces.

    Returns:
        More than zero and at most 100 years of 365 days.

    Raises:
        ValueError: Not a period, zero or less, or longer than 100 years.
    """
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a period; write a whole number and a unit: 90s, 15m, 24h, 35d, 7y"
        )
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds <= 0:
        raise ValueError("must be more than zero")
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text} is longer than 100 years")
    return timedelta(seconds=seconds)


def format_period(length: timedelta) -> str:
    """Write a period in the largest unit that keeps it whole; fractions of a second are cut.

    Years are not used, so that nobody takes 365 days for a calendar year.
    """
    seconds = int(length.total_seconds())
    for unit in ("d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"
