"""Closing a former place: one person says what has become of it, another one confirms it.

It is their word. Where we can look, what is there refuses it; a legal hold on anything that may
be there refuses it too, for it may be the last place that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from orchestrator.actions.disposal.places import METHODS
from orchestrator.actions.holds import guard
from orchestrator.actions.holds.witnessed import records_begin
from orchestrator.actions.ledger import note as ledger_note
from orchestrator.actions.ledger.outside import demand_signable
from orchestrator.actions.ledger.record import Event, record, record_new
from orchestrator.actions.person import are_one_person, demand_person, plain_name
from orchestrator.actions.place_register import events
from orchestrator.actions.place_register.looking import Look, look
from orchestrator.actions.place_register.spots import spots
from orchestrator.actions.place_register.standing import (
    OPEN_STATES,
    PlaceFacts,
    facts_of,
    state_of,
)
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, places, repositories, sanitizations, snapshots
from orchestrator.catalog.sanitizations import ACCEPTED, EXECUTED, RECORDED
from orchestrator.errors import OrchestratorError, RefusedError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from sqlmodel import Session

    from orchestrator.catalog.place_tables import CopyPlace

How = Literal["moved", "emptied", "destroyed", "sanitized"]
"""What has become of a former place: its content is where the copy is now; it was removed there;
the carrier was destroyed, or sanitized."""

_LIST = "orchestrator place list"

Change = Callable[["Session", "CopyPlace"], list[Event]]


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says of a former place.

    Attributes:
        how: What has become of it.
        note: In words; goes into the ledger and names nobody.
        sanitization: Id of the sanitization of its carrier, for `sanitized`.
    """

    how: str
    note: str | None = None
    sanitization: str | None = None


def close(site: Site, name: str, said: Said) -> PlaceFacts:
    """Say what has become of a former place, or confirm what another person has said.

    Args:
        site: The site; its actor acts.
        name: The place's id, or the beginning of it.
        said: What has become of it; the second person says the same.

    Returns:
        The place as it is then: ``close_asked`` or ``closed``.

    Raises:
        NotFoundError: There is no such place or sanitization.
        UsageError: What is said does not hang together, or the note is missing or too long.
        RefusedError: A copy is there now, something of ours is still there, a hold covers what may
            be there, the same person confirms, the role is missing, the sanitization does not
            prove it, or the note names somebody.
        OrchestratorError: Catalog or ledger fail.
    """
    said = _demand_sound(site, said)
    with site.catalog.reading() as session:
        row = places.get(session, name)
    seen = look(site, row)

    def change(session: Session, row: CopyPlace) -> list[Event]:
        if seen.is_there and not (seen.is_alias and said.how == "moved"):
            raise RefusedError(
                f"place {row.id} of copy {row.copy_}: {seen.words}: it is not {said.how}",
                hint=_LIST,
            )
        return _say(site, session, row, said, seen)

    return _changed(site, row.id, change)


def withdraw(site: Site, name: str) -> PlaceFacts:
    """Take back what one has said of a former place, and what nobody has confirmed.

    What somebody has said who has left the site file since, a person of compliance takes back.

    Raises:
        NotFoundError: There is no such place.
        RefusedError: Nobody is named, or nobody, or somebody else, has said anything.
        OrchestratorError: Catalog or ledger fail.
    """

    def change(session: Session, row: CopyPlace) -> list[Event]:
        if _has_left(site, row):
            site.demand_role("compliance")
        elif row.asked_by is None or row.asked_by != site.actor:
            who = row.asked_by or "nobody"
            raise RefusedError(f"place {row.id}: {who} has asked for its closing", hint=_LIST)
        row.asked_by = row.asked_name = row.asked_at = row.asked_note = None
        row.how = row.sanitization = None
        places.save(session, row)
        return [events.close_withdrawn(row, site.actor, site.clock.now())]

    return _changed(site, name, change)


def _demand_sound(site: Site, said: Said) -> Said:
    demand_person(site)
    if said.how not in get_args(How):
        raise UsageError(f"a place is closed as one of {', '.join(get_args(How))}")
    if (said.how == "sanitized") != (said.sanitization is not None):
        raise UsageError(
            "--sanitization ID belongs to --how sanitized, and is needed there",
            hint="orchestrator sanitize list",
        )
    text = " ".join((said.note or "").split())
    if text:
        ledger_note.demand_clean(site, text)
    return Said(said.how, text or None, said.sanitization)


def _changed(site: Site, name: str, change: Change) -> PlaceFacts:
    """Change one place in a run of its own, and account for it."""
    demand_person(site)
    # Before it is closed: what nobody could write down is not done.
    demand_signable(site)
    with run(site, "place-close") as current:
        with guard.guarded(site) as session:
            places.gate(session)
            row = places.get(session, name)
            _demand_former(site, row)
            happened = change(session, row)
        try:
            for event in happened:
                once = event.type in (events.LEFT, events.CLOSED)
                (record_new if once else record)(site, [event])
        except OrchestratorError as error:
            current.fell_short(f"the ledger does not say so yet: {error.message}")
        with site.catalog.reading() as session:
            return facts_of(places.get(session, row.id), spots(site))


def _demand_former(site: Site, row: CopyPlace) -> None:
    state = state_of(row, spots(site))
    if state == "closed":
        raise RefusedError(f"place {row.id} is closed already", hint=_LIST)
    if state not in OPEN_STATES:
        raise RefusedError(
            f"place {row.id} is where copy {row.copy_} is now: only a former place is closed",
            hint=_LIST,
        )


def _say(site: Site, session: Session, row: CopyPlace, said: Said, seen: Look) -> list[Event]:
    now = site.clock.now()
    happened: list[Event] = []
    if row.left_at is None:  # nobody has noticed yet that the site file names another place
        row.left_at = max(now, row.last_seen)
        happened.append(events.left(row))
    if said.sanitization is not None:
        said = Said(said.how, said.note, _proving(session, row, said.sanitization))
    for removal in _removals(session, row, seen, said.how):
        guard.demand_free(site, session, removal)
    row.looked = seen.words
    if row.asked_by is None:
        happened.append(_ask(site, row, said, now))
    else:
        happened.append(_confirm(site, row, said, now))
    places.save(session, row)
    return happened


def _ask(site: Site, row: CopyPlace, said: Said, now: datetime) -> Event:
    if said.note is None:
        raise UsageError(
            "say with --note TEXT what was done, when and by whom; it names no patient"
        )
    row.asked_by, row.asked_at = site.actor, now
    row.asked_name = site.config.actors[site.actor].name
    row.asked_note, row.how, row.sanitization = said.note, said.how, said.sanitization
    return events.close_asked(row)


def _confirm(site: Site, row: CopyPlace, said: Said, now: datetime) -> Event:
    again = f"orchestrator --as ANOTHER place close {row.id} --how {row.how}"
    if row.sanitization is not None:
        again += f" --sanitization {row.sanitization}"
    if _is_first_person(site, row):
        also = "" if row.asked_by == site.actor else f" as {row.asked_by}"
        raise RefusedError(
            f"place {row.id}: {site.actor} has asked for its closing{also}; another person of "
            "compliance must confirm it",
            hint=again,
        )
    site.demand_role("compliance")
    if _has_left(site, row):
        raise RefusedError(
            f"place {row.id}: {row.asked_by}, who has asked for its closing, is not in the site "
            "file any more and may stand in it under another name: take it back, and say it anew",
            hint=f"orchestrator --as ACTOR place close {row.id} --withdraw",
        )
    if (said.how, said.sanitization) != (row.how, row.sanitization):
        raise RefusedError(
            f"place {row.id}: {row.asked_by} says that it is {row.how}: two people must say the "
            "same",
            hint=f"orchestrator --as {row.asked_by} place close {row.id} --withdraw",
        )
    row.closed_by, row.closed_at, row.closed_note = site.actor, now, said.note
    return events.closed(row)


def _has_left(site: Site, row: CopyPlace) -> bool:
    """Say whether who has asked is not in the site file any more."""
    return row.asked_by is not None and row.asked_by not in site.config.actors


def _is_first_person(site: Site, row: CopyPlace) -> bool:
    """Say whether the actor is who has asked, under whatever name in the site file."""
    if are_one_person(site, str(row.asked_by), site.actor):
        return True
    then = plain_name(row.asked_name or "")
    return plain_name(site.config.actors[site.actor].name) == then != ""


def _proving(session: Session, row: CopyPlace, name: str) -> str:
    """Return the id of a sanitization that shows that nothing is left at a place."""
    done = sanitizations.get(session, name)
    lacking = {
        "has no outcome yet": done.state not in (EXECUTED, RECORDED),
        "reached no method": done.state in (EXECUTED, RECORDED) and done.method not in METHODS,
        "was not accepted by a second person": done.validation != ACCEPTED,
        "did not end after the copy was last seen there": done.ended_at is None
        or done.ended_at < row.last_seen,
    }
    why = [words for words, is_lacking in lacking.items() if is_lacking]
    if why:
        raise RefusedError(
            f"sanitization {done.id} does not show that place {row.id} is empty: it "
            + "; it ".join(why),
            hint=f"orchestrator sanitize show {done.id}",
        )
    return done.id


def _removals(session: Session, row: CopyPlace, seen: Look, how: str) -> Iterator[guard.Removal]:
    """Yield what is given up by closing a place: every snapshot that may be there.

    What was moved, and by its marker or its versions is where the copy is now, is given up only as
    far as the copy lacks it.
    """
    what = f"place {row.id} of copy {row.copy_}"
    for repository in repositories.of_store(session):
        known = snapshots.of_store(
            session, repository.store, repository_id=repository.id, forgotten=True
        )
        names = {one.id for one in known if row.left_at is None or one.at <= row.left_at}
        if how == "moved" and (seen.is_moved or seen.is_alias):
            have = copies.inventory(session, (row.copy_, "", repository.id))
            names -= {one.name for one in have if one.kind == "snapshots"}
        elif row.identity is None or records_begin(session, repository.store) is not None:
            # Nobody knows all that may be there.
            yield guard.Removal("place.close", what, store=repository.store, everything=True)
        yield guard.Removal("place.close", what, repository_id=repository.id, snapshots=names)
