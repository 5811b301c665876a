"""Which places are where a copy is now, which are former ones, and which are closed.

Decided by today's site file, not by when somebody noticed: a path that was changed a minute ago
has made a former place of the old one, whether a run has seen it or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.actions.place_register.spots import Spot, is_at, spots
from orchestrator.actions.site import Site
from orchestrator.catalog import places

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.place_tables import CopyPlace

PlaceState = Literal["current", "former", "close_asked", "closed"]
"""`close_asked` is a former place like any other: one of two people says that it is empty."""

OPEN_STATES = ("former", "close_asked")


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """A place as it is shown.

    Attributes:
        place: Its id.
        copy: The copy that was seen there.
        role: The copy's role then.
        state: What it is now.
        location: Where, in words.
        first_seen: When the copy was seen there first.
        last_seen: When last.
        left_at: Since when the copy is elsewhere, or in no site file; None if nobody has seen that.
        how: What is said to have become of it.
        asked_by: The first of two people.
        asked_at: When.
        closed_by: The second one.
        closed_at: When it was closed.
        sanitization: The sanitization it rests on.
        note: What the two have said, the first one first.
        looked: What a look at the place found when it was closed.
    """

    place: str
    copy: str
    role: str
    state: PlaceState
    location: str
    first_seen: datetime
    last_seen: datetime
    left_at: datetime | None
    how: str | None
    asked_by: str | None
    asked_at: datetime | None
    closed_by: str | None
    closed_at: datetime | None
    sanitization: str | None
    note: str | None
    looked: str | None

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def listing(site: Site) -> list[PlaceFacts]:
    """Return every place at which a copy was ever seen, by copy and age."""
    with site.catalog.reading() as session:
        here = spots(site)
        return [facts_of(row, here) for row in places.listing(session)]


def facts_of(row: CopyPlace, here: list[Spot]) -> PlaceFacts:
    """Return what there is to show of a place.

    Args:
        row: The place.
        here: Where the copies of the site file are.
    """
    notes = [text for text in (row.asked_note, row.closed_note) if text]
    return PlaceFacts(
        place=row.id,
        copy=row.copy_,
        role=row.role,
        state=state_of(row, here),
        location=row.location,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        left_at=row.left_at,
        how=row.how,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        closed_by=row.closed_by,
        closed_at=row.closed_at,
        sanitization=row.sanitization,
        note=" · ".join(notes) or None,
        looked=row.looked,
    )


def state_of(row: CopyPlace, here: list[Spot]) -> PlaceState:
    """Say what a place is. Pure.

    A place that another copy of the site file has now is looked at as that copy.
    """
    if row.closed_at is not None:
        return "closed"
    if any(is_at(row, spot) for spot in here):
        return "current"
    return "former" if row.asked_by is None else "close_asked"


def former(site: Site, session: Session) -> list[CopyPlace]:
    """Return the places that no copy of the site file is at, and that nobody has closed."""
    here = spots(site)
    rows = places.listing(session, closed=False)
    return [row for row in rows if state_of(row, here) in OPEN_STATES]


def current(site: Site, session: Session, copy: str) -> str | None:
    """Return the id of the place where a copy is now; None if it was never seen there."""
    here = [spot for spot in spots(site) if spot.copy == copy]
    rows = places.listing(session, copy=copy, closed=False)
    return next((row.id for row in rows if any(is_at(row, spot) for spot in here)), None)
