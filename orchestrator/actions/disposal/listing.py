"""Where disposals stand, as a person wants to see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.actions.disposal.hints import OnHold, held_now, hints
from orchestrator.actions.disposal.next_steps import with_next_steps
from orchestrator.actions.disposal.places import ATTESTED, FREE, Place
from orchestrator.actions.disposal.timeline import Timeline, timeline
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, media, places
from orchestrator.catalog.disposal_tables import Disposal, DisposalCopy
from orchestrator.catalog.disposals import (
    ABSENT,
    APPROVED,
    COMPLETE,
    OPEN,
    PENDING,
    PROPOSED,
    REFUSED,
    WITHHELD,
)
from orchestrator.config.site import ImmutableCopy

if TYPE_CHECKING:
    from sqlmodel import Session

LIVE_NAME = "live"
"""What the store itself is called where copies are listed."""


@dataclass(frozen=True, slots=True)
class Share:
    """The studies of one store in a batch.

    Attributes:
        store: Store name.
        studies: Those that go.
        withheld: Those that were taken out of it.
        files: Files of those that go.
        size_bytes: Their length together.
    """

    store: str
    studies: int
    withheld: int
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one copy.

    Attributes:
        store: Store name.
        copy: Copy name, or `LIVE_NAME`.
        role: ``live``, a copy's role, or ``unknown``.
        medium: Id of the medium; None where there is none.
        label: What people call the medium, or where the former place is.
        state: ``pending``, ``absent``, ``residual``, ``unknown``, or ``attested`` for a former
            place that two people have closed.
        residual_until: Until when something is left there, as far as that is known.
        expected: The earliest day on which it can be free; None if nothing says.
        proved_at: When absence was proved.
        detail: More, in words.
        next: What a person does next about it, while the disposal is under way; None for nothing.
        place: Id of the former place; None for where the copy is now.
    """

    store: str
    copy: str
    role: str
    medium: str | None
    label: str | None
    state: str
    residual_until: datetime | None
    expected: date | None
    proved_at: datetime | None
    detail: str | None
    next: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A disposal as it stands.

    Attributes:
        row: Its row.
        stores: Its studies by store.
        copies: Every place, as it was proved or as it is expected.
        executable_at: From when it can be executed; None if it cannot be any more.
        earliest_completion: The earliest day on which no copy is left; None if nothing says.
        withheld: Why studies were taken out of it, with how many.
        hints: What to do next, and what is in the way, in sentences.
        on_hold: What of it is on hold now.
    """

    row: Disposal
    stores: tuple[Share, ...]
    copies: tuple[Standing, ...]
    executable_at: datetime | None
    earliest_completion: date | None
    withheld: Mapping[str, int]
    hints: tuple[str, ...]
    on_hold: OnHold

    @property
    def next(self) -> tuple[str, ...]:
        """What to do next about each place that is not free, in one line each."""
        return tuple(one.next for one in self.copies if one.next is not None)

    @property
    def studies(self) -> int:
        """How many studies go."""
        return sum(share.studies for share in self.stores)

    @property
    def notices(self) -> list[dict[str, Any]]:
        """What must be done before, by the schedules."""
        return list(self.row.plan.get("notices", ()))


def show(site: Site, name: str) -> Batch:
    """Return one disposal.

    Raises:
        NotFoundError: There is none.
    """
    with site.catalog.reading() as session:
        return _batch(site, session, disposals.get(session, name))


def listing(site: Site) -> list[Batch]:
    """Return every disposal, oldest first."""
    with site.catalog.reading() as session:
        return [_batch(site, session, row) for row in disposals.listing(session)]


def _batch(site: Site, session: Session, row: Disposal) -> Batch:
    stores = _shares(session, row)
    start = _executable_at(site, row)
    rows = list(disposals.copies(session, row.id))
    expected = None
    if row.state in (PROPOSED, APPROVED, *OPEN):
        wanted = [share.store for share in stores if share.studies]
        expected = timeline(
            site,
            session,
            wanted,
            executable_at=start or site.clock.now(),
            disposal=row.id if row.state in OPEN else None,
        )
    standings = with_next_steps(site, session, row, _standings(session, rows, expected))
    on_hold = held_now(site, session, row)
    return Batch(
        row=row,
        stores=stores,
        copies=standings,
        executable_at=start,
        earliest_completion=_completion(site, row, standings),
        withheld=_withheld(session, row),
        hints=tuple(hints(site, row, standings, start, on_hold=on_hold)),
        on_hold=on_hold,
    )


def _shares(session: Session, row: Disposal) -> tuple[Share, ...]:
    found: dict[str, list[int]] = {}
    for study in disposals.studies(session, row.id):
        counts = found.setdefault(study.store, [0, 0, 0, 0])
        if study.state == WITHHELD:
            counts[1] += 1
            continue
        counts[0] += 1
        counts[2] += study.files
        counts[3] += study.size_bytes
    return tuple(Share(store, *counts) for store, counts in found.items())


def _withheld(session: Session, row: Disposal) -> dict[str, int]:
    found: dict[str, int] = {}
    for study in disposals.studies(session, row.id, states=[WITHHELD]):
        why = study.withheld or "not said"
        found[why] = found.get(why, 0) + 1
    return found


def _executable_at(site: Site, row: Disposal) -> datetime | None:
    now = site.clock.now()
    if row.state == PROPOSED:
        wait: timedelta = site.config.retention.quarantine
        return now + wait
    if row.state == APPROVED and row.quarantine_until is not None:
        return max(row.quarantine_until, now)
    return None


def _standings(
    session: Session, rows: list[DisposalCopy], expected: Timeline | None
) -> tuple[Standing, ...]:
    labels = {row.id: row.label for row in media.of_copy(session, None, retired=True)}
    labels |= {row.id: row.location for row in places.listing(session)}
    planned = {
        (one.place.store, one.place.copy, one.place.medium): one
        for one in (expected.expected if expected is not None else ())
    }
    found: dict[tuple[str, str, str], Standing] = {}
    for key, one in planned.items():
        found[key] = _planned(one.place, one.day, one.why)
    for row in rows:
        key = (row.store, row.copy_, row.medium)
        plan = planned.get(key)
        is_open = row.state != ABSENT and plan is not None
        is_place = places.is_place(row.medium)
        found[key] = Standing(
            store=row.store,
            copy=row.copy_ or LIVE_NAME,
            role=row.role,
            medium=None if is_place else row.medium or None,
            place=row.medium if is_place else None,
            label=labels.get(row.medium),
            state=ATTESTED if is_place and row.state == ABSENT else row.state,
            residual_until=None if row.state == ABSENT else row.residual_until,
            # What locks end when says nothing of what is left: they are not all of it.
            expected=plan.day
            if plan is not None and is_open and row.residual_until is None
            else None,
            proved_at=row.proved_at if row.state == ABSENT and not is_place else None,
            detail=row.detail or (plan.why if plan is not None and is_open else None),
        )
    return tuple(found[key] for key in sorted(found))


def _planned(place: Place, day: date | None, why: str) -> Standing:
    return Standing(
        store=place.store,
        copy=place.copy or LIVE_NAME,
        role=place.role,
        medium=None if places.is_place(place.medium) else place.medium or None,
        place=place.medium if places.is_place(place.medium) else None,
        label=place.label,
        state=PENDING,
        residual_until=None,
        expected=day,
        proved_at=None,
        detail=why,
    )


def _completion(site: Site, row: Disposal, copies: tuple[Standing, ...]) -> date | None:
    zone = site.config.timezone
    if row.state == COMPLETE:
        return row.completed_at.astimezone(zone).date() if row.completed_at is not None else None
    if row.state == REFUSED or row.paused is not None:
        return None
    today = site.clock.now().astimezone(zone).date()
    days = [today]
    for one in copies:
        if one.state in FREE:
            continue
        until = one.residual_until
        day = until.astimezone(zone).date() if until is not None else one.expected
        if day is None or _is_by_rule(site, one):
            return None
        days.append(day)
    return max(days)


def _is_by_rule(site: Site, one: Standing) -> bool:
    """Say whether nobody but a life-cycle rule, which we cannot see, empties a copy."""
    copy = site.config.copies.get(one.copy)
    return isinstance(copy, ImmutableCopy) and copy.sweeper is None
