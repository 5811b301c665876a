"""Media sanitization up to the decision: probe, propose, approve, refuse.

Two persons: whoever proposes may not approve, and nobody does either as `system`. What is approved
is one technique on one device of one identity; `execute` does it.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.holds import guard
from orchestrator.actions.ledger import note as ledger_note
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.person import are_one_person, demand_person
from orchestrator.actions.run import run
from orchestrator.actions.sanitization.evidence import runner
from orchestrator.actions.sanitization.rows import body_of, described, settle
from orchestrator.actions.site import Site
from orchestrator.catalog import media, sanitizations
from orchestrator.catalog.copy_tables import Medium
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.catalog.sanitizations import (
    APPROVED,
    PENDING,
    PROPOSED,
    REFUSED,
)
from orchestrator.errors import RefusedError, UsageError
from orchestrator.sanitization.facts import Facts
from orchestrator.sanitization.judgement import Reach, reach
from orchestrator.sanitization.probe import probe
from orchestrator.sanitization.techniques import CONDITIONS, TECHNIQUES, technique

if TYPE_CHECKING:
    from sqlmodel import Session

APPROVAL_LASTS = timedelta(days=7)
"""A proposal that is decided, or an approval that is used, later than this is out of date."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A device as a person wants to see it.

    Attributes:
        facts: What was found out.
        reaches: What each technique could reach on it, in the order of the table.
        medium: The medium of the register that it is; None if it is none.
    """

    facts: Facts
    reaches: tuple[Reach, ...]
    medium: Medium | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a person proposes.

    Attributes:
        device: The block device or file.
        technique: By name.
        required: The method the organization asks for; None for any.
        property_number: The organization's own number.
        media_source: The user or the computer the medium comes from.
        destination: Where the medium goes afterwards.
        conditions: What the person attests to, for a cryptographic erase.
    """

    device: Path
    technique: str
    required: str | None = None
    property_number: str | None = None
    media_source: str | None = None
    destination: str | None = None
    conditions: Sequence[str] = field(default_factory=tuple)


def look(site: Site, device: Path) -> Probed:
    """Find out what a device is and what could be reached on it; changes nothing.

    Raises:
        NotFoundError: It is not there.
        RefusedError: It is neither a block device nor a file.
    """
    facts = guarded(site, probe(device, runner(site)))
    reaches = tuple(reach(one, facts) for one in TECHNIQUES.values())
    return Probed(facts, reaches, registered(site, facts))


def guarded(site: Site, facts: Facts) -> Facts:
    """Add why this site must not lose what is on a device."""
    reasons = []
    if facts.kind == "file":
        path = Path(facts.device)
        for what, folder in _own_folders(site):
            if path.is_relative_to(folder.resolve()):
                reasons.append(f"it is a file of {what}")
    medium = registered(site, facts)
    if medium is not None and medium.retired_at is None:
        reasons.append(f"it is medium {medium.label}, which is in service: retire it first")
    if not reasons:
        return facts
    return dataclasses.replace(facts, in_use=(*facts.in_use, *reasons))


def _own_folders(site: Site) -> list[tuple[str, Path]]:
    return [
        ("the state folder", site.state_dir),
        *((f"store {one.name}", one.path) for one in site.config.stores.values()),
        *((f"copy {one.name}", one.path) for one in site.local_copies()),
    ]


def registered(site: Site, facts: Facts) -> Medium | None:
    """Return the medium of the register that a device is; one in service first."""
    with site.catalog.reading() as session:
        rows = media.of_copy(session, None, retired=True)
    found = [
        row
        for row in rows
        if row.fs_uuid in facts.file_systems
        or (facts.serial is not None and row.serial == facts.serial)
    ]
    return min(found, key=lambda row: row.retired_at is not None, default=None)


def demand_free(site: Site, session: Session, medium: str | None) -> None:
    """Refuse to lose a medium of the register that holds something on hold.

    Args:
        site: The site.
        session: The session of `guard.guarded`.
        medium: Id of the medium; None for a device that is none.

    Raises:
        RefusedError: It does.
    """
    if medium is not None:
        label = media.get(session, medium).label
        removal = guard.Removal("sanitization", f"medium {label}", medium=medium)
        guard.demand_free(site, session, removal)


def propose(site: Site, wanted: Proposal) -> Sanitization:
    """Plan a sanitization and put it before a second person.

    Raises:
        NotFoundError: The device is not there.
        RefusedError: The device is in use, the technique is wrong for it, or nobody is named.
        UsageError: There is no such technique or condition.
    """
    demand_person(site)
    how = technique(wanted.technique)
    if not how.measured:
        raise UsageError(
            f"{how.name} is not done by this machine",
            hint="record what was done: orchestrator sanitize record --help",
        )
    said = (wanted.property_number, wanted.media_source, wanted.destination)
    ledger_note.demand_nobody(site, filter(None, said))
    for one in wanted.conditions:
        if one not in CONDITIONS:
            raise UsageError(f"there is no condition {one!r}; there are: {', '.join(CONDITIONS)}")
    with run(site, "sanitize-propose"):
        settle(site)
        facts = guarded(site, probe(wanted.device, runner(site)))
        possible = demand_possible(how.name, facts)
        medium = registered(site, facts)
        now = site.clock.now()
        row = Sanitization(
            id=f"{now:%Y%m%d}-{secrets.token_hex(4)}",
            state=PROPOSED,
            basis="measured",
            technique=how.name,
            device=facts.device,
            kind=facts.kind,
            vendor=facts.vendor,
            model=facts.model,
            serial=facts.serial,
            identity=facts.identity,
            size_bytes=facts.size_bytes,
            medium=medium.id if medium is not None else None,
            property_number=wanted.property_number or (medium.label if medium else None),
            media_source=wanted.media_source,
            destination=wanted.destination,
            required=wanted.required,
            conditions=sorted(wanted.conditions),
            facts=described(facts),
            proposed_by=site.actor,
            proposed_at=now,
            reasons=list(possible.reasons),
            validation=PENDING,
        )
        (made,) = record(site, [Event("sanitization.proposed", body_of(row))])
        row.entries = [made.index]
        with site.catalog.transaction() as session:
            sanitizations.add(session, row)
    return show(site, row.id)


def demand_possible(name: str, facts: Facts) -> Reach:
    """Return what a technique could reach on a device.

    Raises:
        RefusedError: It must not be used on it now.
    """
    possible = reach(technique(name), facts)
    if not possible.allowed:
        raise RefusedError(
            f"{name} on this device: {'; '.join(possible.reasons)}",
            hint="orchestrator sanitize probe DEVICE",
        )
    return possible


def approve(site: Site, name: str) -> Sanitization:
    """Agree to a proposal, as a second person.

    Raises:
        NotFoundError: There is no such sanitization.
        RefusedError: It is not proposed, is out of date, or the same person proposed it.
    """
    return _decide(site, name, APPROVED, None)


def refuse(site: Site, name: str, *, reason: str) -> Sanitization:
    """Turn a proposal down.

    Raises:
        NotFoundError: There is no such sanitization.
        RefusedError: It is not proposed.
    """
    return _decide(site, name, REFUSED, reason)


def _decide(site: Site, name: str, state: str, reason: str | None) -> Sanitization:
    demand_person(site)
    with run(site, f"sanitize-{'approve' if state == APPROVED else 'refuse'}"):
        row = show(site, name)
        now = site.clock.now()
        if state == APPROVED:
            if are_one_person(site, row.proposed_by, site.actor):
                raise RefusedError(
                    f"sanitization {row.id}: {site.actor} proposed it and may not approve it",
                    hint=f"orchestrator --as ACTOR sanitize approve {row.id}",
                )
            if now - row.proposed_at > APPROVAL_LASTS:
                raise RefusedError(
                    f"sanitization {row.id}: the proposal is out of date",
                    hint="propose it again: orchestrator --as ACTOR sanitize run DEVICE "
                    "--technique NAME",
                )
        if row.state != PROPOSED:
            raise RefusedError(
                f"sanitization {row.id} is {row.state}, not {PROPOSED}",
                hint=f"orchestrator sanitize show {row.id}",
            )
        kind = "sanitization.approved" if state == APPROVED else "sanitization.refused"
        (made,) = record(site, [Event(kind, {"sanitization": row.id}, note=reason)])
        with site.catalog.transaction() as session:
            row = sanitizations.move(session, row.id, before=PROPOSED, after=state)
            row.decided_by, row.decided_at, row.decision_reason = site.actor, now, reason
            row.entries = [*row.entries, made.index]
            session.add(row)
    return show(site, name)


def show(site: Site, name: str) -> Sanitization:
    """Return one sanitization.

    Raises:
        NotFoundError: There is none.
    """
    with site.catalog.reading() as session:
        return sanitizations.get(session, name)


def listing(site: Site) -> list[Sanitization]:
    """Return every sanitization, oldest first."""
    with site.catalog.reading() as session:
        return list(sanitizations.listing(session))
