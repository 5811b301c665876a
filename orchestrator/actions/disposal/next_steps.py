"""What a person does next about each place that is not free of a disposal yet, in one line each.

Words only: they are made from what was recorded, and nothing is looked at for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator import schedule
from orchestrator.actions.disposal.places import FREE
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, media
from orchestrator.catalog.disposals import OPEN
from orchestrator.config.jobs import load_jobs
from orchestrator.config.site import ImmutableCopy, LocalCopy, OfflineCopy
from orchestrator.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.actions.disposal.listing import Standing
    from orchestrator.catalog.copy_tables import Medium
    from orchestrator.catalog.disposal_tables import Disposal

_SETTLE = "orchestrator job run disposal-settle"


def with_next_steps(
    site: Site, session: Session, row: Disposal, copies: Sequence[Standing]
) -> tuple[Standing, ...]:
    """Return the places of a disposal, each that is still open with what to do about it.

    Args:
        site: The site.
        session: Any session.
        row: The disposal; one that is not under way has no next step at any place.
        copies: Its places.
    """
    if row.state not in OPEN:
        return tuple(copies)
    steps = _Steps(site, session, row)
    return tuple(
        one if one.state in FREE else replace(one, next=steps.about(one)) for one in copies
    )


class _Steps:
    """The next steps of one disposal.

    Args:
        site: The site.
        session: Any session.
        row: The disposal.
    """

    def __init__(self, site: Site, session: Session, row: Disposal) -> None:
        self._site = site
        self._session = session
        self._row = row
        self._now = site.clock.now()

    def about(self, one: Standing) -> str:
        """Return what to do about a place that is not free."""
        where = f"store {one.store}" if one.role == "live" else f"copy {one.copy}"
        if one.role != "live" and len(self._site.config.stores) > 1:
            where += f" of store {one.store}"
        if self._row.paused is not None:
            return f"{where}: it stays as it is until hold {self._row.paused} is released: " + (
                "orchestrator hold list"
            )
        if one.place is not None:
            return (
                f"{where}, former place {one.place} ({one.label}): {one.detail}; once it is empty "
                "or moved, two people say so: orchestrator --as ACTOR place close "
                f"{one.place} --how emptied --note TEXT"
            )
        if one.medium is not None:
            return self._of_medium(one, where)
        copy = self._site.config.copies.get(one.copy)
        if one.role != "live" and copy is None:
            return (
                f"{where}: put it back into the site file, so that it can be looked at, then: "
                f"{_SETTLE}"
            )
        why = f": {one.detail}" if one.detail else ""
        if one.role == "live" or one.copy == self._site.config.primary.name:
            command = f"orchestrator --as ACTOR disposal execute {self._row.id} --execute"
            return f"{where}{why}: {command}"
        if isinstance(copy, ImmutableCopy):
            return self._of_bucket(one, where, copy)
        if one.state == disposals.UNKNOWN or not isinstance(copy, LocalCopy):
            return f"{where}{why}; mend that, then: {_SETTLE}"
        return f"{where}{why}: orchestrator replicate {one.copy}, then: {_SETTLE}"

    def _of_medium(self, one: Standing, where: str) -> str:
        where = f"{where}, medium {one.label or one.medium}"
        row = self._medium(one)
        copy = self._site.config.copies.get(one.copy)
        if row is None or row.retired_at is not None:
            return (
                f"{where}: it is out of service and counts until its sanitization is accepted: "
                "orchestrator sanitize list"
            )
        if not isinstance(copy, OfflineCopy):
            return (
                f"{where}: put its copy back into the site file and connect the medium, then: "
                f"orchestrator replicate {one.copy}"
            )
        due = row.due_at
        if due is None:
            when = "nobody knows when it comes back"
        elif due < self._now:
            when = f"overdue since {self._day(due)}: bring it back"
        else:
            when = f"due back {self._day(due)}, it may come earlier"
        if one.state == disposals.UNKNOWN and one.detail:
            when = f"{one.detail}; {when}"
        return f"{where}: {when}; when it is connected: orchestrator replicate {one.copy}"

    def _medium(self, one: Standing) -> Medium | None:
        try:
            return media.get(self._session, one.medium or "")
        except NotFoundError:
            return None

    def _of_bucket(self, one: Standing, where: str, copy: ImmutableCopy) -> str:
        sweep = f"orchestrator bucket sweep {copy.name}"
        if copy.sweeper is None:
            return (
                f"{where}: a life-cycle rule of the bucket must empty it, for this site has no key "
                f"that may; with [copies.{copy.name}.sweeper] in the site file: {sweep}"
            )
        if one.state == disposals.UNKNOWN:
            why = f": {one.detail}" if one.detail else ""
            return f"{where}{why}; mend that, then: {_SETTLE}"
        until = one.residual_until
        nightly = self._next_extension(copy, max(until or self._now, self._now))
        if until is not None and until > self._now:
            then = f"{nightly} removes it then" if nightly else f"then: {sweep}"
            return f"{where}: locked until {self._instant(until)}; " + (
                f"{then}, or: {sweep}" if nightly else then
            )
        by_itself = f"; {nightly} does it too" if nightly else ""
        what = "its locks have ended" if until is not None else (one.detail or "not looked at yet")
        return f"{where}: {what}{by_itself}: {sweep}, then: {_SETTLE}"

    def _next_extension(self, copy: ImmutableCopy, after: datetime) -> str | None:
        """Name the job that sweeps a bucket, with its first turn after an instant."""
        try:
            jobs = load_jobs(self._site.config).active.values()
        except ConfigError:
            return None
        turns = [
            (schedule.next_due(job.schedule, self._site.config.timezone, after), job.name)
            for job in jobs
            if job.action == "extend"
            and job.schedule is not None
            and job.selects_copy(copy.name, copy.role)
        ]
        if not turns:
            return None
        at, name = min(turns)
        return f"the job {name} ({self._instant(at)})"

    def _day(self, at: datetime) -> str:
        return f"{at.astimezone(self._site.config.timezone):%Y-%m-%d}"

    def _instant(self, at: datetime) -> str:
        return f"{at.astimezone(self._site.config.timezone):%Y-%m-%d %H:%M %Z}"
