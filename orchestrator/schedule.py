"""When a job is due: cron expressions in a site's time zone, safe around daylight saving.

Pure: reads no clock. cronsim matches the calendar; the mapping from wall-clock times to instants
is done here, by these rules (Debian cron's, with one promise added):

- An expression that names hours (``30 1 * * *``) fires once for each wall-clock time it names.
  A time that the clocks jump over fires at the first instant after the jump; a time that comes
  twice fires the first time only. So a daily job runs once per local date.
- An expression for every hour (``*/15 * * * *``) follows the clock on the wall as it is: a
  skipped hour has no slots, a repeated hour has them twice.

Source: Debian's cron(8), "Notes", read 2026-11-22. APScheduler 3.11's own cron trigger skips a
whole day after the spring change for local times between 00:00 and 03:59, hence this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FOLD = timedelta(hours=3)
"""More than any zone's clocks are put back at once: how far wall-clock order can mislead."""

_MINUTE = timedelta(minutes=1)
_HOURS = set(range(24))


def validate(expression: str) -> str | None:
    """Return what is wrong with an expression, or None if it is right.

    Args:
        expression: Five cron fields: minute, hour, day of month, month, day of week (names).
    """
    try:
        times = _Times(expression, datetime(2000, 1, 1))  # noqa: DTZ001 - wall-clock time
    except ValueError as error:
        return str(error)
    return None if next(times.walk(), None) else f"{expression!r} never comes"


def latest_due(expression: str, tz: ZoneInfo, after: datetime, now: datetime) -> datetime | None:
    """Return the newest slot that is later than one instant and not later than another.

    The work does not depend on how long ago `after` is.

    Args:
        expression: As `validate` accepts it.
        tz: The zone in which the expression is meant.
        after: Aware instant, usually the last slot that was run.
        now: Aware instant.

    Returns:
        The slot in UTC, or None if nothing is due.

    Raises:
        ValueError: The expression is wrong.
    """
    if now <= after:
        return None
    local = now.astimezone(tz).replace(tzinfo=None)
    newest: datetime | None = None
    until: datetime | None = None
    times = _Times(expression, local + _FOLD + _MINUTE)
    for wall in times.walk(reverse=True):
        if until is not None and wall < until:
            break
        due = [slot for slot in times.instants(wall, tz) if slot <= now]
        if due and (newest is None or due[-1] > newest):
            newest = due[-1]
            until = until or wall - _FOLD
    return newest if newest is not None and newest > after else None


def next_due(expression: str, tz: ZoneInfo, after: datetime) -> datetime:
    """Return the first slot later than an instant.

    Args:
        expression: As `validate` accepts it.
        tz: The zone in which the expression is meant.
        after: Aware instant.

    Returns:
        The slot in UTC.

    Raises:
        ValueError: The expression is wrong or never comes.
    """
    local = after.astimezone(tz).replace(tzinfo=None)
    first: datetime | None = None
    until: datetime | None = None
    times = _Times(expression, local - _FOLD - _MINUTE)
    for wall in times.walk():
        if until is not None and wall > until:
            break
        due = [slot for slot in times.instants(wall, tz) if slot > after]
        if due and (first is None or due[0] < first):
            first = due[0]
            until = until or wall + _FOLD
    if first is None:
        raise ValueError(f"{expression!r} never comes")
    return first


class _Times:
    """The wall-clock times of an expression, from a wall-clock time on (not counted itself)."""

    def __init__(self, expression: str, start: datetime) -> None:
        if len(expression.split()) != 5:
            raise ValueError(
                f"{expression!r} must have five fields: minute, hour, day of month, month, "
                'day of week, as in "30 2 * * MON"'
            )
        self.expression = expression
        self.start = start.replace(microsecond=0)
        try:
            self.every_hour = CronSim(expression, start).hours == _HOURS
        except CronSimError as error:
            wrong = str(error).lower()
            raise ValueError(f"{expression!r} is not a cron expression: {wrong}") from None

    def walk(self, *, reverse: bool = False) -> Iterator[datetime]:
        """Yield naive wall-clock times, ever later or ever earlier; may end after 50 years."""
        # Without a zone cronsim does plain calendar arithmetic, in which no time is missing.
        yield from CronSim(self.expression, self.start, reverse=reverse)

    def instants(self, wall: datetime, tz: ZoneInfo) -> list[datetime]:
        """Return the slots in UTC of one wall-clock time, earlier ones first."""
        first = wall.replace(tzinfo=tz).astimezone(UTC)
        second = wall.replace(tzinfo=tz, fold=1).astimezone(UTC)
        if first == second:
            return [first]
        if first < second:
            return [first, second] if self.every_hour else [first]
        # In the gap: `first` reads the old offset and lies after the jump, `second` before it.
        return [] if self.every_hour else [_jump(second, first, tz)]


def _jump(before: datetime, after: datetime, tz: ZoneInfo) -> datetime:
    """Return the first instant after the clocks jump, known to lie between two instants."""
    old = before.astimezone(tz).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(tz).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
