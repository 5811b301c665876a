"""Who had a medium when, and whether it may leave service.

The chain of custody is shown with its gaps; none is filled in by guessing. A medium leaves service
only when everything it holds is proven elsewhere.

Source: 45 CFR 164.310(d)(2)(iii) asks for a record of the movements of media and of who is
responsible, (iv) for a retrievable copy before equipment is moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.actions import observe
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, media, repositories, sanitizations, snapshots
from orchestrator.catalog.copy_tables import CopyState, Medium, MediumEvent
from orchestrator.catalog.sanitization_tables import CustodyAct, MediumHolding
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

_OUT, _BACK = "released", ("received", "connected")
_NOT_THERE = ("absent", "damaged", "unknown")


@dataclass(frozen=True, slots=True)
class Link:
    """One act of custody.

    Attributes:
        at: When.
        event: ``registered``, ``released``, ``received``, ``connected``, ``retired`` …
        actor: Who recorded it.
        given_by: Who gave the medium; None if nobody said so.
        taken_by: Who took it.
        location: Where it went.
        seal: The seal it was under.
        note: What was noted.
    """

    at: datetime
    event: str
    actor: str
    given_by: str | None
    taken_by: str | None
    location: str | None
    seal: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of custody of a medium.

    Attributes:
        medium: The register's row.
        links: Oldest first.
        gaps: What is missing or does not fit, in sentences with their instant.
    """

    medium: Medium
    links: tuple[Link, ...]
    gaps: tuple[str, ...]


def chain(site: Site, medium: Medium) -> Chain:
    """Return who had a medium from its registration on, and the gaps in that."""
    with site.catalog.reading() as session:
        events = media.events(session, medium.id)
        acts = sanitizations.custody(session, medium.id)
    links = tuple(_link(event, acts.get(event.at)) for event in events)
    return Chain(
        medium,
        links,
        tuple(
            gaps(links, due_at=medium.due_at, now=site.clock.now())
            if medium.retired_at is None
            else gaps(links)
        ),
    )


def _link(event: MediumEvent, act: CustodyAct | None) -> Link:
    return Link(
        at=event.at,
        event=event.event,
        actor=event.actor,
        given_by=act.given_by if act is not None else None,
        taken_by=(act.taken_by if act is not None else None) or event.holder,
        location=event.location,
        seal=act.seal if act is not None else None,
        note=event.note,
    )


def gaps(
    links: Sequence[Link], *, due_at: datetime | None = None, now: datetime | None = None
) -> list[str]:
    """Return what is missing in a chain of custody. Pure.

    Args:
        links: Oldest first.
        due_at: When the medium must be back; None for no such date.
        now: The present; None leaves the date aside.
    """
    found: list[str] = []
    away: Link | None = None
    for link in links:
        day = f"{link.at:%Y-%m-%d %H:%M} UTC"
        if link.event == _OUT:
            if away is not None:
                found.append(f"{day}: released again without having come back")
            if link.taken_by is None:
                found.append(f"{day}: released, and nobody is named who took it")
            away = link
        elif link.event in _BACK:
            found += [f"{day}: {one}" for one in _at_return(link, away)]
            away = None
    if away is not None and due_at is not None and now is not None and now > due_at:
        found.append(f"overdue since {due_at:%Y-%m-%d %H:%M} UTC: it has not come back")
    return found


def _at_return(link: Link, away: Link | None) -> Iterable[str]:
    if away is None:
        yield f"{link.event}, and nobody had released it"
        return
    if link.event == "connected":
        yield "it was connected, and nobody had received it"
        return
    if link.given_by is not None and away.taken_by is not None and link.given_by != away.taken_by:
        yield "brought back by another person than the one who took it"
    if away.seal != link.seal:
        yield f"the seal was {away.seal or 'none'} and is {link.seal or 'not named'}"


def demand_elsewhere(site: Site, medium: Medium) -> list[MediumHolding]:
    """Return what a medium holds and where each of it is proven elsewhere.

    Raises:
        RefusedError: It holds a snapshot that no other copy is proven to hold.
    """
    now = site.clock.now()
    found: list[MediumHolding] = []
    with site.catalog.reading() as session:
        states = copies.states(session)
        own = [row for row in states if (row.copy_, row.medium) == (medium.copy_, medium.id)]
        in_service = {row.id for row in media.of_copy(session, None)}
        for row in own:
            others = [
                one
                for one in states
                if one.repository_id == row.repository_id
                and one.medium != medium.id
                and (not one.medium or one.medium in in_service)
            ]
            found += _held_elsewhere(session, site, row, others, now)
    return found


def _held_elsewhere(
    session: Session, site: Site, own: CopyState, others: Sequence[CopyState], now: datetime
) -> list[MediumHolding]:
    repository = repositories.get(session, own.repository_id)
    held = observe.held(session, (own.copy_, own.medium, own.repository_id), None)
    if repository is None:
        return []
    needed = {one.id for one in snapshots.of_store(session, None, repository_id=repository.id)}
    on_it = sorted(one for one in needed if ("snapshots", one) in held.names)
    proofs = [(one, proof) for one in others if (proof := proof_of(session, site, one, now))]
    entry = site.keyring.find_repository(repository.name)
    keys = [] if entry is None else list(entry.key_ids)
    found = []
    for snapshot in on_it:
        where = [
            (one.copy_, proof[1]) for one, proof in proofs if ("snapshots", snapshot) in proof[0]
        ]
        if not where:
            raise RefusedError(
                f"copy {own.copy_}: the medium holds snapshot {snapshot[:8]}, and no other copy "
                f"is proven to hold it within {_days(site.config.targets.verified_within)}",
                hint="orchestrator replicate, then: orchestrator check",
            )
        copy, verified_at = max(where, key=lambda one: one[1])
        found.append(
            MediumHolding(
                medium=own.medium,
                snapshot=snapshot,
                repository_id=repository.id,
                repository=repository.name,
                keys=keys,
                retired_at=now,
                elsewhere=copy,
                elsewhere_verified_at=verified_at,
            )
        )
    return found


def proof_of(
    session: Session, site: Site, state: CopyState, now: datetime
) -> tuple[frozenset[tuple[str, str]], datetime] | None:
    """Return what a copy is proven to hold and since when; None if it is not proven.

    Args:
        session: Any session.
        site: The site.
        state: What is known of one repository in the copy.
        now: The present.
    """
    copy = site.config.copies.get(state.copy_)
    if copy is None or state.observed_at is None:
        return None
    if copy.role != "offline" and (
        state.state in _NOT_THERE or now - state.observed_at > site.config.targets.observed_within
    ):
        return None
    held = observe.held(session, (state.copy_, state.medium, state.repository_id), None)
    if held.bad or held.verified_at is None:
        return None
    if now - held.verified_at > site.config.targets.verified_within:
        return None
    return held.names, held.verified_at


def holding_document(row: MediumHolding) -> dict[str, Any]:
    """Return what a retired medium held as it lies beside the ledger."""
    return {
        "snapshot": row.snapshot,
        "repository_id": row.repository_id,
        "repository": row.repository,
        "keys": list(row.keys),
        "elsewhere": row.elsewhere,
        "elsewhere_verified_at": row.elsewhere_verified_at.isoformat(),
    }


def holding_of(medium: Medium, found: dict[str, Any]) -> MediumHolding:
    """Return what a retired medium held, from what lies beside the ledger."""
    verified = datetime.fromisoformat(found["elsewhere_verified_at"])
    return MediumHolding(
        **found | {"elsewhere_verified_at": verified},
        medium=medium.id,
        retired_at=medium.retired_at or verified,
    )


def _days(length: timedelta) -> str:
    return f"{length.days} days"
