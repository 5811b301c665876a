"""Releasing a hold: one person asks, another one confirms; at least one of them of compliance.

The lock a hold has lengthened stays as long as it is; what the hold kept goes at the next turn of
whatever would have taken it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestrator.actions.holds import effects, events
from orchestrator.actions.holds.listing import HoldFacts, facts_of
from orchestrator.actions.holds.place import LONGEST_REASON
from orchestrator.actions.ledger.outside import demand_signable
from orchestrator.actions.ledger.record import Event, record, record_new
from orchestrator.actions.person import are_one_person, demand_person
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import holds
from orchestrator.errors import OrchestratorError, RefusedError, UsageError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.hold_tables import Hold as HoldRow


def release(site: Site, name: str, reason: str) -> HoldFacts:
    """Ask for the release of a hold, or confirm what another person has asked for.

    Args:
        site: The site; its actor acts.
        name: The hold's id.
        reason: Why; kept as ciphertext.

    Returns:
        The hold as it is then: ``release_asked`` or ``released``.

    Raises:
        RefusedError: Nobody is named, the same person asks twice, neither of the two is of
            compliance, the hold is released already, or the ledger may not be signed.
        UsageError: There is no reason, or it is too long.
        NotFoundError: There is no such hold.
    """
    if not reason.strip() or len(reason) > LONGEST_REASON:
        raise UsageError(f"a release needs a reason of at most {LONGEST_REASON} characters")
    return _changed(site, name, lambda session, row: _release(site, session, row, reason))


def withdraw(site: Site, name: str) -> HoldFacts:
    """Take back a release that was asked for, and that nobody has confirmed.

    Raises:
        RefusedError: Nobody is named, or nobody, or somebody else, has asked.
        NotFoundError: There is no such hold.
    """
    return _changed(site, name, lambda session, row: _withdraw(site, session, row))


Change = Callable[["Session", "HoldRow"], Event]


def _changed(site: Site, name: str, change: Change) -> HoldFacts:
    """Change one hold in a run of its own, and account for it."""
    demand_person(site)
    # Before the hold ends: what nobody could write down is not done.
    demand_signable(site)
    with run(site, "hold-release") as current:
        with site.catalog.transaction() as session:
            holds.gate(session)
            event = change(session, holds.get(session, name))
        try:
            # An end is recorded once, whoever sees it first.
            (record_new if event.type == "hold.released" else record)(site, [event])
        except OrchestratorError as error:
            current.fell_short(f"the ledger does not say so yet: {error.message}")
        with site.catalog.reading() as session:
            return facts_of(site, session, holds.get(session, name))


def _release(site: Site, session: Session, row: HoldRow, reason: str) -> Event:
    _demand_in_force(row)
    now = site.clock.now()
    if row.release_asked_by is None:
        row.release_asked_by, row.release_asked_at = site.actor, now
        row.release_reason_enc = _sealed(site, row, "asked", reason)
        holds.save(session, row)
        return events.release_asked(row)
    if are_one_person(site, row.release_asked_by, site.actor):
        also = "" if row.release_asked_by == site.actor else f" as {row.release_asked_by}"
        raise RefusedError(
            f"hold {row.id}: {site.actor} has asked for its release{also}; another person must "
            "confirm it",
            hint=f"orchestrator --as ANOTHER hold release {row.id} --reason TEXT",
        )
    if not any(_is_of_compliance(site, name) for name in (row.release_asked_by, site.actor)):
        raise RefusedError(
            f"hold {row.id}: one of the two who release it must have the role compliance",
            hint="use --as ACTOR",
        )
    row.released_by, row.released_at = site.actor, now
    holds.save(session, row)
    holds.keep_second_reason(session, row.id, _sealed(site, row, "confirmed", reason), now)
    effects.resume(site, session, row.id)
    return events.released(row)


def _withdraw(site: Site, session: Session, row: HoldRow) -> Event:
    _demand_in_force(row)
    if row.release_asked_by is None:
        raise RefusedError(f"hold {row.id}: nobody has asked for its release")
    if row.release_asked_by != site.actor:
        raise RefusedError(
            f"hold {row.id}: {row.release_asked_by} has asked for its release, and may withdraw",
            hint="orchestrator hold list",
        )
    row.release_asked_by = row.release_asked_at = row.release_reason_enc = None
    holds.save(session, row)
    return events.release_withdrawn(row, site.actor, site.clock.now())


def _is_of_compliance(site: Site, name: str) -> bool:
    actor = site.config.actors.get(name)
    return actor is not None and "compliance" in actor.roles


def _demand_in_force(row: HoldRow) -> None:
    if row.released_at is not None:
        raise RefusedError(
            f"hold {row.id} was released on {row.released_at:%Y-%m-%d}",
            hint="orchestrator hold list --released",
        )


def _sealed(site: Site, row: HoldRow, act: str, reason: str) -> bytes:
    plain = reason.strip().encode("utf-8", "replace")
    return site.catalog.keys.cipher.encrypt(plain, f"hold.release|{row.id}|{act}")
