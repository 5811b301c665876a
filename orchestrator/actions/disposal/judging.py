"""What a look at one place means for a disposal; and what is known of places nobody can look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.actions.disposal.places import Place, sanitized
from orchestrator.actions.site import Site
from orchestrator.catalog import media, places
from orchestrator.catalog.disposal_tables import LIVE, DisposalCopy
from orchestrator.catalog.disposals import ABSENT, LEFT, UNKNOWN
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator.catalog.place_tables import CopyPlace
    from orchestrator.catalog.sanitization_tables import Sanitization

METHODS = {"clear": "Clear", "purge": "Purge", "destroy": "Destroy"}


class Proof(Protocol):
    """What a look at a copy has found."""

    @property
    def state(self) -> str:
        """``absent``, ``residual`` or ``unknown``."""
        ...

    @property
    def residual_until(self) -> datetime | None:
        """Until when something is left there, as far as that is known."""
        ...

    @property
    def detail(self) -> str | None:
        """More, in words."""
        ...

    @property
    def evidence(self) -> dict[str, Any]:
        """What was looked at and found, as JSON values."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a place now.

    Attributes:
        state: As of a `DisposalCopy`.
        at: As of when.
        residual_until: Until when something is left there, as far as that is known.
        detail: More, in words.
        evidence: What it rests on, as JSON values.
    """

    state: str
    at: datetime
    residual_until: datetime | None = None
    detail: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


def looked(site: Site, proof: Proof, at: datetime) -> Seen:
    """Return what a look came to.

    Args:
        site: The site; its actor has looked.
        proof: What was found.
        at: When the look began: what came later it may have missed.
    """
    state = proof.state if proof.state in (ABSENT, LEFT) else UNKNOWN
    evidence = {**proof.evidence, "by": site.actor}
    return Seen(state, at, proof.residual_until, proof.detail, evidence)


def away(site: Site, row: DisposalCopy, why: str) -> Seen | None:
    """Return what is known of a place that is not here; None if it was proved free before."""
    if row.state == ABSENT:
        return None
    now = site.clock.now()
    if not row.medium:
        return Seen(UNKNOWN, now, detail=why, evidence=row.evidence)
    with site.catalog.reading() as session:
        medium = media.get(session, row.medium)
    due = medium.due_at
    words = f"medium {medium.label} is not here"
    if due is None:
        words += "; no day is known on which it comes back"
    elif due < now:
        words += f"; it is overdue since {due.astimezone(site.config.timezone):%Y-%m-%d}"
    until = due if due is not None and due >= now else None
    return Seen(LEFT, now, until, words, row.evidence)


def failed(site: Site, row: DisposalCopy, why: str) -> Seen | None:
    """Return what is known of a place where looking failed; None if nothing new is."""
    if row.state in (ABSENT, LEFT):
        return None
    return Seen(UNKNOWN, site.clock.now(), detail=why, evidence=row.evidence)


def by_rule(site: Site, row: DisposalCopy, place: Place | None) -> Seen | None:
    """Return what is known of a place that nobody can look at; None for any other.

    A medium out of service counts as free once its sanitization was accepted, a former place of a
    copy once two people have closed it; a store that the site file does not name any more never
    does.
    """
    if place is not None and place.condition == "configured":
        return None
    now = site.clock.now()
    if places.is_place(row.medium):
        return _former(site, row, now)
    if row.medium:
        done = _sanitization(site, row.medium)
        if done is not None:
            return _sanitized(done, now)
    if place is not None and place.condition == "retired":
        words = f"medium {place.label} is out of service and not sanitized"
        return Seen(LEFT, now, detail=words, evidence=row.evidence)
    what = "store" if row.copy_ == LIVE else "copy"
    return Seen(LEFT, now, detail=f"{what} no longer configured", evidence=row.evidence)


def _former(site: Site, row: DisposalCopy, now: datetime) -> Seen:
    with site.catalog.reading() as session:
        known = places.find(session, row.medium)
    if known is None:
        return Seen(LEFT, now, detail="a former place that nobody knows any more")
    if known.closed_at is not None and known.how is not None:
        people = [_name_of(site, one) for one in (known.asked_by, known.closed_by)]
        day = known.closed_at.astimezone(site.config.timezone).date()
        return closed(known, known.closed_at, day=day, by=" and ".join(people))
    words = "a former place of the copy"
    if known.left_at is not None:
        words += f", left by {known.left_at.astimezone(site.config.timezone):%Y-%m-%d}"
    words += ": what is there nobody looks at"
    if known.asked_by is not None:
        words = f"{known.asked_by} says that it is {known.how}; nobody has confirmed it yet"
    return Seen(LEFT, now, detail=words)


def _name_of(site: Site, actor: str | None) -> str:
    known = site.config.actors.get(actor or "")
    return known.name if known is not None else str(actor)


def closed(known: CopyPlace, at: datetime, *, day: date, by: str) -> Seen:
    """Return what is known of a place that two people have closed: what they said, no more. Pure.

    Args:
        known: The place.
        at: When it was closed.
        day: The same as a day at the site.
        by: The names of the two.
    """
    evidence = {
        "technique": f"{known.how} by {day}, as stated by {by}; not observed",
        "basis": "attested",
        "place": known.id,
        "how": known.how,
        "asked_by": known.asked_by,
        "by": known.closed_by,
        "closed_at": at.isoformat(timespec="seconds"),
        "looked": known.looked,
    }
    if known.sanitization is not None:
        evidence["place_sanitization"] = known.sanitization
    return Seen(ABSENT, at, detail=f"attested: {known.how}, said {by}", evidence=evidence)


def _sanitization(site: Site, medium: str) -> Sanitization | None:
    with site.catalog.reading() as session:
        try:
            return sanitized(session, media.get(session, medium))
        except NotFoundError:
            return None


def _sanitized(done: Sanitization, now: datetime) -> Seen:
    method = METHODS[str(done.method)]
    certificate = f", certificate {done.certificate}" if done.certificate else ""
    evidence = {
        "technique": f"medium sanitized: {method}, {done.technique}{certificate}",
        "basis": done.basis,
        "sanitization": done.id,
        "method": done.method,
        "certificate": done.certificate,
        "by": done.validated_by,
    }
    return Seen(ABSENT, done.ended_at or now, detail=f"sanitized: {method}", evidence=evidence)
