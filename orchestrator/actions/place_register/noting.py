"""Noting where a copy is, whenever it is opened for writing or observed.

What was noted before at another place is left from then on, and stays in the register: whatever
was written there is there until two people have said what became of it.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.place_register.spots import UNKNOWN_LOCATION, Spot, is_at, spot_of
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, places
from orchestrator.catalog.place_tables import PLACE_PREFIX, CopyPlace
from orchestrator.config.site import ImmutableCopy, OfflineCopy
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.copy_tables import CopyState

_FRESH = timedelta(hours=1)
"""A place that was noted so recently is not noted again before it is written."""


def before_writing(site: Site, name: str) -> None:
    """Note where a copy is before anything is written there; cheap if that is known.

    A bucket is noted only once it answers: a wrong line in the site file makes no place.

    Args:
        site: The site.
        name: Copy name; one that is kept on media is passed over.

    Raises:
        OrchestratorError: The catalog fails.
    """
    copy = site.copy_config(name)
    spot = spot_of(copy)
    if spot is None:
        return
    with site.catalog.reading() as session:
        mine = _mine(session, spot)
    if mine is not None and mine.left_at is None and site.clock.now() - mine.last_seen < _FRESH:
        return
    if mine is None and isinstance(copy, ImmutableCopy) and not _answers(site, name):
        return
    with site.catalog.transaction() as session:
        note(site, session, name)


def note(site: Site, session: Session, name: str) -> None:
    """Note that a copy was seen where the site file says, and what it has left by that.

    Args:
        site: The site.
        session: A writing session.
        name: Copy name; one that is kept on media is passed over.
    """
    spot = spot_of(site.copy_config(name))
    if spot is None:
        return
    now = site.clock.now()
    row = _mine(session, spot)
    if row is None:
        places.gate(session)  # somebody else may be adding it
        row = _mine(session, spot) or _new(spot, now)
    row.last_seen = max(now, row.last_seen)
    row.identity = spot.identity if row.identity is None else row.identity
    row.volume = spot.volume if row.volume is None else row.volume
    if row.left_at is not None:  # the copy is back where it was
        row.left_at = None
        row.asked_by = row.asked_name = row.asked_at = row.asked_note = None
        row.how = row.sanitization = None
    places.save(session, row)
    _leave(site, session, row, now)


def derive(site: Site, session: Session, *, every: bool = False) -> None:
    """Add what the register lacks: of a catalog from before it had one, or made anew.

    Args:
        site: The site.
        session: A writing session.
        every: Every copy of the site file, not only those that are known to have held something.
    """
    places.gate(session)
    now = site.clock.now()
    known = {row.copy_ for row in places.listing(session)}
    used = {
        row.copy_
        for row in copies.states(session)
        if row.copy_ not in known and _has_held(session, row)
    }
    for copy in site.config.copies.values():
        spot = spot_of(copy)
        if spot is None or _mine(session, spot) is not None:
            continue
        if every or copy.name in used:
            places.save(session, _new(spot, now))
    for name in sorted(used - set(site.config.copies)):
        row = _new(Spot(name, "unknown", UNKNOWN_LOCATION), now)
        row.left_at = now
        places.save(session, row)


def _has_held(session: Session, row: CopyState) -> bool:
    """Say whether a copy that is not kept on media holds files, or did; asked of few."""
    key = (row.copy_, "", row.repository_id)
    return not row.medium and bool(copies.totals(session, key))


def _mine(session: Session, spot: Spot) -> CopyPlace | None:
    rows = places.listing(session, copy=spot.copy, closed=False)
    return next((row for row in rows if is_at(row, spot)), None)


def _new(spot: Spot, now: datetime) -> CopyPlace:
    return CopyPlace(
        id=f"{PLACE_PREFIX}{secrets.token_hex(4)}",
        copy_=spot.copy,
        role=spot.role,
        location=spot.location,
        address=spot.address,
        identity=spot.identity,
        volume=spot.volume,
        first_seen=now,
        last_seen=now,
    )


def _leave(site: Site, session: Session, here: CopyPlace, now: datetime) -> None:
    """Mark what this copy has left by being here, and what no copy of the site file names."""
    for row in places.listing(session, closed=False):
        copy = site.config.copies.get(row.copy_)
        is_elsewhere = row.copy_ == here.copy_ and row.id != here.id
        if row.left_at is None and (is_elsewhere or copy is None or isinstance(copy, OfflineCopy)):
            row.left_at = max(now, row.last_seen)  # a clock set back makes nothing older
            places.save(session, row)


def _answers(site: Site, name: str) -> bool:
    try:
        with site.bucket(name) as bucket:
            return bucket.facts().exists
    except OrchestratorError:
        return False
