"""How early each copy can be rid of a batch: what whoever approves must know before.

Nothing here is a promise. A day is the earliest on which the place can be free by what is known
now; where nothing says so, it is unknown, and so is the completion of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.disposal.places import Place, all_came, places
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, media, repositories
from orchestrator.config.site import ImmutableCopy, OfflineCopy

if TYPE_CHECKING:
    from sqlmodel import Session

    Dated = Callable[[datetime, str], "Expected"]


@dataclass(frozen=True, slots=True)
class Expected:
    """When one place can be free of a batch at the earliest.

    Attributes:
        place: Which.
        day: The day in the site's zone; None if nothing says.
        why: In words.
    """

    place: Place
    day: date | None
    why: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a disposal would take.

    Attributes:
        executable_at: From when it can be executed.
        expected: One for each place.
    """

    executable_at: datetime
    expected: tuple[Expected, ...]

    @property
    def completion(self) -> date | None:
        """The earliest day on which no copy is left; None if that of one copy is unknown."""
        days = [one.day for one in self.expected]
        known = [day for day in days if day is not None]
        return max(known) if known and len(known) == len(days) else None

    @property
    def unknown(self) -> tuple[Expected, ...]:
        """The places of which nothing says when."""
        return tuple(one for one in self.expected if one.day is None)


def timeline(
    site: Site,
    session: Session,
    stores: Iterable[str],
    *,
    executable_at: datetime,
    disposal: str | None = None,
) -> Timeline:
    """Return how early each place of some stores can be free of a batch.

    Args:
        site: The site.
        session: Any session.
        stores: The stores of the batch.
        executable_at: From when the batch can be executed.
        disposal: The batch, if it was begun: what was left before its studies came is passed over.
    """
    came = {
        store: None if disposal is None else all_came(session, disposal, store) for store in stores
    }
    found = [
        _expected(site, session, place, executable_at)
        for store in sorted(came)
        for place in places(site, session, store, came=came[store])
    ]
    return Timeline(executable_at, tuple(found))


def _expected(site: Site, session: Session, place: Place, start: datetime) -> Expected:
    def on(at: datetime, why: str) -> Expected:
        return Expected(place, at.astimezone(site.config.timezone).date(), why)

    if place.condition == "unconfigured":
        what = "store" if place.role == "live" else "copy"
        return Expected(place, None, f"{what} no longer configured: nobody can look at it")
    if place.condition == "former":
        return Expected(place, None, "a former place of the copy, which nobody has closed")
    if place.condition == "closed":
        return on(start, "closed: attested by two people")
    if place.condition == "retired":
        return Expected(place, None, "retired: it stays until its sanitization is accepted")
    copy = site.config.copies.get(place.copy)
    if isinstance(copy, OfflineCopy):
        return _medium(session, place, start, copy.due_every, on=on, now=site.clock.now())
    if isinstance(copy, ImmutableCopy):
        return _bucket(site, session, place, start, copy, on=on)
    return on(start, "when the disposal is executed")


def _medium(
    session: Session,
    place: Place,
    start: datetime,
    due_every: timedelta,
    *,
    on: Dated,
    now: datetime,
) -> Expected:
    row = media.get(session, place.medium)
    if row.due_at is None:
        return Expected(place, None, "no day is known on which this medium comes back")
    if row.due_at < now:
        return Expected(place, None, "overdue: it did not come back when it was due")
    visits = max(0, math.ceil((start - row.due_at) / due_every)) if due_every else 0
    return on(
        row.due_at + visits * due_every, "at its first visit after that; it may come back earlier"
    )


def _bucket(
    site: Site, session: Session, place: Place, start: datetime, copy: ImmutableCopy, *, on: Dated
) -> Expected:
    if copy.sweeper is None:
        return Expected(place, None, "by a life-cycle rule of the bucket, if it has one: unknown")
    now = site.clock.now()
    ends = [
        at
        for repository in repositories.of_store(session, place.store)
        for at in copies.lock_ends(session, (copy.name, "", repository.id))
    ]
    if None in ends:
        return Expected(place, None, "the lock of some versions is not known")
    known = [at for at in ends if at is not None]
    extend = site.config.targets.extend_below
    latest = last_lock_end(known, now=now, start=start, period=copy.lock_period, below=extend)
    if latest is None:
        return on(start, "nothing is locked there yet")
    return on(latest, "when the last lock ends")


def last_lock_end(
    ends: Sequence[datetime], *, now: datetime, start: datetime, period: timedelta, below: float
) -> datetime | None:
    """Return when the last of some locks ends if they are lengthened until a disposal starts. Pure.

    Args:
        ends: When each lock ends as it stands.
        now: The present.
        start: When the disposal can start: from then on nothing is lengthened.
        period: For how long a lock is set each time; more than nothing.
        below: A lock is lengthened when less than this share, 0 to 1, of its period is left.
    """
    return max((_lock_end(end, now, start, period, below) for end in ends), default=None)


def _lock_end(
    end: datetime, now: datetime, start: datetime, period: timedelta, below: float
) -> datetime:
    margin = period * below
    if end - margin >= max(now, start):
        return end  # too far off to be lengthened again
    if end - margin < now:  # the next run lengthens it
        end = now + period
    if end - margin < start:
        step = period - margin
        last = start + period  # as if it were lengthened just before
        end = min(end + step * math.ceil((start - (end - margin)) / step), last) if step else last
    return max(end, start)
