"""What a person does next about a whole disposal, and what is in the way of it, in sentences.

Words only: what to do about single places is said by `next_steps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.disposal.places import FREE
from orchestrator.actions.holds import guard
from orchestrator.actions.key_destruction.left import unreadable
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals
from orchestrator.catalog.disposals import APPROVED, OPEN, PROPOSED, UNDECIDED, WITHHELD

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.actions.disposal.listing import Standing
    from orchestrator.catalog.disposal_tables import Disposal


@dataclass(frozen=True, slots=True)
class OnHold:
    """What of a batch is on hold now; it is left out, or stands still, whatever was approved.

    Attributes:
        studies: How many studies.
        holds: Ids of the holds, sorted.
    """

    studies: int = 0
    holds: tuple[str, ...] = ()


def held_now(site: Site, session: Session, row: Disposal) -> OnHold:
    """Ask the holds of now: some may have been placed since the batch was proposed."""
    if row.state not in (*UNDECIDED, *OPEN):
        return OnHold()
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    studies = [one for one in disposals.studies(session, row.id) if one.state != WITHHELD]
    for store in sorted({one.store for one in studies}):
        keys = [one.study_key for one in studies if one.store == store]
        held = guard.held_studies(site, session, store, keys)
        found |= {(store, study): ids for study, ids in held.items()}
    return OnHold(len(found), tuple(sorted({one for ids in found.values() for one in ids})))


def hints(
    site: Site,
    row: Disposal,
    copies: tuple[Standing, ...],
    start: datetime | None,
    *,
    on_hold: OnHold,
) -> list[str]:
    """Return what to do next about a disposal, and what is in the way.

    Args:
        site: The site.
        row: The disposal.
        copies: Its places.
        start: From when it can be executed; None if it cannot be any more.
        on_hold: What of it is on hold now.
    """
    found = _hints_of_state(site, row, copies, start)
    if on_hold.studies and row.state in UNDECIDED:
        found.insert(
            0,
            f"{on_hold.studies} of its studies are {guard.in_words(on_hold.holds)} now: they are "
            "left out when it is executed, unless the holds are released: orchestrator hold list",
        )
    if row.state in OPEN:
        found += _without_key(site, {one.store for one in copies if one.state not in FREE})
    return found


def _without_key(site: Site, stores: set[str]) -> list[str]:
    """Say what a destroyed key means for places that are not free: nothing is absent by it."""
    return [
        f"the key of repository {name} was destroyed: nobody opens what is left of it here, and "
        "it counts as still there until it is removed: orchestrator key destroy list"
        for name in unreadable(site, stores)
    ]


def _hints_of_state(
    site: Site, row: Disposal, copies: tuple[Standing, ...], start: datetime | None
) -> list[str]:
    if row.paused is not None:
        return [f"paused by hold {row.paused}: what is left stays until the hold is released"]
    if row.state == PROPOSED:
        approve = f"orchestrator --as ACTOR disposal approve {row.id}"
        if not row.plan.get("notices"):
            return [f"next, another person of compliance: {approve}"]
        return [
            "what must be done before is said with the approval",
            f"next, another person of compliance: {approve} --notice TEXT",
        ]
    if row.state == APPROVED and start is not None:
        if start > site.clock.now():
            until = start.astimezone(site.config.timezone)
            return [
                f"in quarantine until {until:%Y-%m-%d %H:%M %Z}; to call it off: "
                f"orchestrator --as ACTOR disposal refuse {row.id} --reason TEXT"
            ]
        return [f"next: orchestrator --as ACTOR disposal execute {row.id} --execute"]
    if row.state in OPEN:
        return _hints_of_open(row, copies)
    return []


def _hints_of_open(row: Disposal, copies: tuple[Standing, ...]) -> list[str]:
    left = [one for one in copies if one.state not in FREE]
    if not left:
        return [
            "every copy is proved absent and no certificate is issued yet: "
            "the reason: orchestrator job run disposal-settle"
        ]
    return [f"what remains on paper: orchestrator disposal statement {row.id} --to FILE"]
