"""RPO: how old the newest complete snapshot of a copy is, and how far they lie apart. Pure.

Only the snapshots' own times count; a file's modification time says nothing about a backup.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise

from orchestrator.drills.result import RecoveryPoint

DAY = timedelta(days=1)
_LEEWAY = 0.05
_SKEW = timedelta(minutes=5)


def recovery_point(
    instants: Iterable[datetime],
    *,
    now: datetime,
    target: timedelta,
    period: timedelta = timedelta(days=30),
    judge_gaps: bool = True,
) -> RecoveryPoint:
    """Measure a copy's recovery point.

    Args:
        instants: When each complete snapshot on the copy was taken, in any order.
        now: The drill's instant: the time the copy is looked at as of.
        target: The store's RPO.
        period: How far back gaps are looked for.
        judge_gaps: Whether a gap that is too wide counts; False where snapshots may have been
            removed by rotation unseen.

    Returns:
        `met` is None where it cannot be told: no snapshot, or one from the future, which means
        that a clock was wrong.
    """
    times = sorted(instants)
    days = round(period / DAY)
    if not times:
        return RecoveryPoint(target.total_seconds(), period_days=days)
    age = now - times[-1]
    if age < -_SKEW:
        return RecoveryPoint(target.total_seconds(), period_days=days)
    age = max(age, timedelta(0))
    gaps = [later - earlier for earlier, later in pairwise(times) if later > now - period]
    gap = max(gaps, default=None)
    met = age <= target and (not judge_gaps or gap is None or gap <= widest(target))
    return RecoveryPoint(
        target_s=target.total_seconds(),
        measured_s=age.total_seconds(),
        largest_gap_s=None if gap is None else gap.total_seconds(),
        period_days=days,
        met=met,
    )


def widest(target: timedelta) -> timedelta:
    """Return how far apart two snapshots may be for an RPO.

    A nightly run does not begin at the same second every night, and once a year a day has 25
    hours: a twentieth more is granted, and where the RPO is a day or longer one hour.
    """
    leeway = target * _LEEWAY
    return target + (max(leeway, timedelta(hours=1)) if target >= DAY else leeway)


def newest_day(at: datetime) -> date:
    """Return the newest date that an image can truly have at an instant.

    It is a day more than UTC's: the practice's own date may be ahead of it.
    """
    return at.date() + timedelta(days=1)
