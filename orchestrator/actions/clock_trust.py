"""Whether this machine's clock may be believed, before anything goes or is decided by it.

It is not if a bucket's server contradicts it, or if something was recorded at a later time: then
it stands wrong now, or did then. A server that agrees with it settles the second: what was
recorded later was recorded by a wrong clock. Nobody can tell on a site without a bucket whose
clock jumped ahead and that has recorded nothing since.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.finding import Finding
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.person import demand_person
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import facts, runs, snapshots
from orchestrator.config.site import ImmutableCopy
from orchestrator.errors import EngineTimeoutError, RefusedError, UnreachableError, UsageError

if TYPE_CHECKING:
    from sqlmodel import Session

CONFIRM = "orchestrator --as ACTOR catalog clock --note TEXT"

_EXPLAINED = "clock:explained"

_SET = "set the clock (timedatectl), then run it again"

_log = logging.getLogger(__name__)


def check_clock(current: Run, store: str) -> None:
    """Refuse to let a run remove anything by a clock that jumped or that somebody contradicts.

    Args:
        current: The run; its start is the time that must be right.
        store: Its store.

    Raises:
        As `demand_clock`.
    """
    demand_clock(current.site, [store], now=current.started_at, but=current.id)


def demand_clock(
    site: Site,
    stores: Iterable[str] | None = None,
    *,
    now: datetime | None = None,
    but: str | None = None,
) -> None:
    """Refuse to decide or remove anything by a clock that jumped or that somebody contradicts.

    Args:
        site: The site.
        stores: The stores it is about; None for all.
        now: The time that must be right; None for the present.
        but: A run that does not count: the one that asks.

    Raises:
        RefusedError: A bucket's server contradicts the clock; or something was recorded later,
            and no server agrees with the clock.
        OrchestratorError: A server answers, but with an error.
    """
    now = now or site.clock.now()
    is_vouched = _ask_servers(site)
    found = recorded_later(site, stores, now=now, but=but)
    if not found:
        return
    late = max(found.values())
    if is_vouched:
        _log.warning("something was recorded at a later time, %s", f"{late:%Y-%m-%d %H:%M} UTC")
        return
    raise RefusedError(
        f"this clock is behind what was recorded before ({late:%Y-%m-%d %H:%M} UTC): nothing is "
        "removed or decided by a clock that jumped",
        hint=f"{_SET}; where it is right: {CONFIRM}",
    )


def recorded_later(
    site: Site, stores: Iterable[str] | None, *, now: datetime, but: str | None = None
) -> dict[str, datetime]:
    """Return what was recorded at a time that is still to come, and that nobody has explained.

    Args:
        site: The site.
        stores: The stores whose snapshots it is about; None for all.
        now: The present.
        but: A run that does not count.

    Returns:
        Ids of runs and snapshots with their times.
    """
    limit = now + site.config.targets.max_clock_skew
    with site.catalog.reading() as session:
        found = runs.later_than(session, limit)
        for store in site.stores(stores):
            rows = snapshots.of_store(session, store)
            found |= {row.id: row.at for row in rows if row.at > limit}
        explained = {*_explained(session), but}
    return {one: at for one, at in found.items() if one not in explained}


def confirm(site: Site, *, note: str) -> datetime:
    """Say, as a person, that this clock is right although something was recorded later.

    What was recorded later does not count any more; what is recorded after this does.

    Args:
        site: The site; its actor answers for it.
        note: Why, in at most 200 characters; goes into the ledger and names nobody.

    Returns:
        The latest time that was recorded.

    Raises:
        RefusedError: No person of compliance acts, a server contradicts the clock, or the note
            holds an identifier.
        UsageError: There is nothing to confirm, or no note is given.
        OrchestratorError: Ledger or catalog fail, or a server answers with an error.
    """
    demand_person(site, "compliance")
    said = " ".join(note.split())
    if not said:
        raise UsageError("a confirmation needs a note: how you know the time")
    with run(site, "clock-confirm", exclusive=False) as current:
        _ask_servers(site)
        late = recorded_later(site, None, now=current.started_at, but=current.id)
        if not late:
            raise UsageError("nothing was recorded at a later time: there is nothing to confirm")
        until = max(late.values())
        body = {"recorded_until": until.isoformat(timespec="seconds"), "records": len(late)}
        record(site, [Event("clock.confirmed", body, note=said)])
        with site.catalog.transaction() as session:
            known = sorted({*_explained(session), *late})
            facts.put(session, _EXPLAINED, value=json.dumps(known), now=site.clock.now())
        current.metrics.update(records=len(late))
    return until


def look_at_clock(site: Site) -> Iterator[Finding]:
    """Say whether something was recorded at a time that is still to come; asks no server."""
    found = recorded_later(site, None, now=site.clock.now())
    if not found:
        yield Finding("clock", "ok", "nothing was recorded at a later time")
        return
    late = max(found.values())
    yield Finding(
        "clock",
        "fail",
        f"something was recorded at {late:%Y-%m-%d %H:%M} UTC, which is still to come: this clock "
        "stands wrong, or did then; nothing is removed while no bucket's server agrees with it",
        f"compare it with the time (timedatectl); where it is right: {CONFIRM}",
    )


def _explained(session: Session) -> list[str]:
    fact = facts.get(session, _EXPLAINED)
    return [] if fact is None else [str(one) for one in json.loads(fact.value)]


def _ask_servers(site: Site) -> bool:
    """Say whether a bucket's server tells the same time as this clock.

    Raises:
        RefusedError: One tells another time.
        OrchestratorError: One answers, but with an error.
    """
    buckets = [copy for copy in site.config.copies.values() if isinstance(copy, ImmutableCopy)]
    answers = [_agrees(site, copy) for copy in buckets]  # all of them: each may contradict
    return any(answers)


def _agrees(site: Site, copy: ImmutableCopy) -> bool:
    """Say whether a bucket's server tells the same time; False if it cannot be asked."""
    try:
        with site.bucket(copy.name) as bucket:
            skew: timedelta | None = bucket.facts().skew
    except (UnreachableError, EngineTimeoutError):
        return False  # a second opinion that cannot be had now; what was recorded is asked too
    if skew is None:
        return False
    if abs(skew) > site.config.targets.max_clock_skew:
        raise RefusedError(
            f"copy {copy.name}: its server's clock differs by {abs(skew)}: nothing is removed or "
            "decided by a clock that somebody contradicts",
            hint=_SET,
        )
    return True
