"""Every place that may hold a store's studies: a disposal is finished when none of them does.

More places rather than fewer: a medium counts from its registration until it is proven sanitized,
and where a copy was before the site file was changed counts until two people have closed it; then
it stands for what they have said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from orchestrator.actions.holds.witnessed import records_begin
from orchestrator.actions.place_register import standing
from orchestrator.actions.place_register.spots import spots
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, disposals, media, sanitizations
from orchestrator.catalog import places as register
from orchestrator.catalog.copy_tables import Medium
from orchestrator.catalog.disposal_tables import LIVE, DisposalCopy
from orchestrator.catalog.disposals import CopyKey
from orchestrator.catalog.sanitizations import ACCEPTED, EXECUTED, RECORDED
from orchestrator.config.site import LocalCopy, OfflineCopy

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.sanitization_tables import Sanitization

Condition = Literal["configured", "retired", "unconfigured", "former", "closed"]
"""`retired` is a medium out of service; `unconfigured` a store or copy that the site file no longer
names; `former` a place where a copy is no more, `closed` one of which two people say what became
of it."""

METHODS = ("clear", "purge", "destroy")

ATTESTED = "attested"
"""What a former place is shown as once two people have closed it: nobody has proved its absence."""

FREE = (disposals.ABSENT, ATTESTED)
"""What a place is shown as that keeps no disposal open."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place that may hold studies of a store.

    Attributes:
        store: Store name.
        copy: Copy name; `LIVE` for the store itself.
        medium: Id of the medium, or of the former place; empty where there is none.
        role: ``live``, a copy's role, or ``unknown`` for a copy that is no longer configured.
        label: What people call the medium, or where the former place is; None where there is none.
        condition: Whether it can be reached in the ordinary way.
        is_primary: It is the copy that restic writes.
    """

    store: str
    copy: str
    medium: str
    role: str
    label: str | None = None
    condition: Condition = "configured"
    is_primary: bool = False

    def key(self, disposal: str) -> CopyKey:
        """Return the key of its row in a disposal."""
        return CopyKey(disposal, self.store, self.copy, self.medium)


def places(
    site: Site, session: Session, store: str, *, came: datetime | None = None
) -> list[Place]:
    """Return every place that may hold studies of a store, the store itself first.

    Args:
        site: The site.
        session: Any session.
        store: The store.
        came: When the first of the studies came into the store; None if that is not known.
    """
    is_known = store in site.config.stores
    found = [Place(store, LIVE, "", "live", condition="configured" if is_known else "unconfigured")]
    for copy in site.config.copies.values():
        if not isinstance(copy, OfflineCopy):
            is_primary = isinstance(copy, LocalCopy) and copy is site.config.primary
            found.append(Place(store, copy.name, "", copy.role, is_primary=is_primary))
    found += [_medium(site, session, store, row) for row in _media(session)]
    left = _held_by(session, store) - set(site.config.copies)
    left -= {row.copy_ for row in register.listing(session)}  # its places stand for it
    found += _former(site, session, store, came)
    found += [Place(store, name, "", "unknown", condition="unconfigured") for name in sorted(left)]
    return found


def rows(site: Site, session: Session, disposal: str, store: str) -> list[DisposalCopy]:
    """Return a row for each place of a store that nobody has looked at yet."""
    return [
        DisposalCopy(
            disposal=disposal,
            store=store,
            copy_=place.copy,
            medium=place.medium,
            role=place.role,
            state=disposals.PENDING,
        )
        for place in places(site, session, store, came=all_came(session, disposal, store))
    ]


def drop_covered(site: Site, session: Session, disposal: str) -> None:
    """Drop the rows of a disposal that others stand for by now.

    A copy that is back where it was is looked at as itself; of one that is in no site file, each
    place where it was has a row of its own.

    Args:
        site: The site.
        session: A writing session, in which `rows` are added afterwards.
        disposal: Id of the disposal.
    """
    open_ones = {row.id for row in standing.former(site, session)}
    registered = {one.copy_ for one in register.listing(session)}
    for row in disposals.copies(session, disposal):
        if register.is_place(row.medium):
            place = register.find(session, row.medium)
            is_covered = place is not None and place.closed_at is None and place.id not in open_ones
        else:
            now = site.config.copies.get(row.copy_)
            is_nowhere = row.copy_ != LIVE and (now is None or isinstance(now, OfflineCopy))
            is_covered = is_nowhere and not row.medium and row.copy_ in registered
        if is_covered:
            disposals.drop_copy(session, CopyKey.of(row))


def came_at(session: Session, disposal: str, store: str, study: str) -> datetime | None:
    """Return when a study first came into its store; None where that is in doubt.

    In doubt are what a catalog that was made anew tells, and a study that came back.
    """
    known = register.study_came(session, store, study)
    begin = records_begin(session, store)
    if known is None or (begin is not None and known[0] <= begin):
        return None
    others = disposals.of_study(session, study, store=store)
    if any(one.disposal != disposal and one.state in disposals.GOING for one in others):
        return None
    return known[1]


def sanitized(session: Session, medium: Medium) -> Sanitization | None:
    """Return the sanitization that shows that a retired medium holds nothing; None if none does.

    It must have reached a method, have been accepted by a person, and have ended after the medium
    was last here: what was written later it did not remove.
    """
    if medium.retired_at is None:
        return None
    for row in reversed(sanitizations.of_medium(session, medium.id)):
        counts = row.state in (EXECUTED, RECORDED) and row.validation == ACCEPTED
        late = row.ended_at is not None and (
            medium.last_seen is None or row.ended_at >= medium.last_seen
        )
        if counts and late and row.method in METHODS:
            return row
    return None


def all_came(session: Session, disposal: str, store: str) -> datetime | None:
    """Return when the first of a disposal's studies came; None if that of one is in doubt."""
    going = disposals.studies(session, disposal, store=store, states=disposals.GOING)
    known = [one.came_at for one in going if one.came_at is not None]
    return min(known) if known and len(known) == len(going) else None


def _former(site: Site, session: Session, store: str, came: datetime | None) -> Iterator[Place]:
    """Yield where copies are no more; one that was left before the studies came is passed over."""
    here = spots(site)
    is_anew = records_begin(session, store) is not None  # it knows no snapshot of long ago
    known = None if is_anew else register.store_began(session, store)
    began = max(filter(None, (known, came)), default=None)
    for row in register.listing(session):
        state = standing.state_of(row, here)
        is_older = row.left_at is not None and began is not None and row.left_at < began
        if state != "current" and not is_older:
            condition: Condition = "closed" if state == "closed" else "former"
            yield Place(store, row.copy_, row.id, row.role, row.location, condition)


def _held_by(session: Session, store: str) -> set[str]:
    """Return the copies, those on media apart, that hold files of a store as far as is known."""
    return {
        row.copy_
        for row in copies.states(session, store=store)
        if not row.medium
        and copies.totals(session, (row.copy_, "", row.repository_id)).keys() - {"removed"}
    }


def _media(session: Session) -> list[Medium]:
    known = media.of_copy(session, None, retired=True)
    return [row for row in known if sanitized(session, row) is None]


def _medium(site: Site, session: Session, store: str, row: Medium) -> Place:
    condition: Condition = "configured"
    if row.retired_at is not None:
        condition = "retired"
    elif not isinstance(site.config.copies.get(row.copy_), OfflineCopy):
        condition = "unconfigured"
    return Place(store, row.copy_, row.id, "offline", row.label, condition)
