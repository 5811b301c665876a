"""Times, sizes and lengths of time as people read them, the same in every report.

Pure. English, without abbreviations that need a glossary; nothing depends on the machine's locale.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_IN_DAYS_S = 2 * _DAY_S
"""From here on in days: an objective of 24 h is called so."""


def day(at: datetime, zone: tzinfo) -> str:
    """Return a day as in ``22 Nov 2026``; the month is a word, so that none is mistaken."""
    local = at.astimezone(zone)
    return f"{local.day} {_MONTHS[local.month - 1]} {local.year}"


def instant(at: datetime, zone: tzinfo) -> str:
    """Return an instant in the site's time zone, with the zone's name, and in UTC.

    Args:
        at: An aware instant.
        zone: The site's time zone.
    """
    local = at.astimezone(zone)
    utc = at.astimezone(UTC)
    text = f"{_DAYS[local.weekday()]} {day(at, zone)}, {local:%H:%M} {local.tzname() or ''}".strip()
    if local.utcoffset() == utc.utcoffset():
        return text
    other_day = "" if utc.date() == local.date() else f"{utc.day} {_MONTHS[utc.month - 1]} "
    return f"{text} ({other_day}{utc:%H:%M} UTC)"


def written_day(iso: str) -> str:
    """Return a day written ``2026-11-21`` as in ``21 Nov 2026``; anything else as it is."""
    try:
        one = date.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{one.day} {_MONTHS[one.month - 1]} {one.year}"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units, as in ``3 h 12 min``.

    Args:
        seconds: 0 or more; less counts as 0.
    """
    if seconds < 1:
        return "under a second"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _in_two(whole, (_MINUTE_S, "min"), (1, "s"))
    if whole < _IN_DAYS_S:
        return _in_two(whole, (_HOUR_S, "h"), (_MINUTE_S, "min"))
    return _in_two(whole, (_DAY_S, "days"), (_HOUR_S, "h"))


def _in_two(seconds: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    whole, rest = divmod(round(seconds / small[0]) * small[0], large[0])
    text = f"{whole} {large[1]}"
    return f"{text} {rest // small[0]} {small[1]}" if rest else text


def size(length_bytes: int) -> str:
    """Return a number of bytes as in ``3.4 GB``, by powers of 1000."""
    value = float(length_bytes)
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            return (
                f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.5 else f"{value:.1f} {unit}"
            )
        value /= 1000
    return ""


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, as in ``1,204 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """Return a share as a percentage that never flatters: only the whole is 100 %, only none is 0.

    Args:
        share: 0 to 1.
    """
    if share >= 1:
        return "100 %"
    if share <= 0:
        return "0 %"
    if share < 0.01:
        return "under 1 %"
    return f"{int(share * 100)} %"
