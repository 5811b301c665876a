"""Whether 3-2-1 holds, from observed facts alone. Pure.

A fact that is missing, too old or contradictory makes the verdict `unknown`, never `met`.

Source: the 3-2-1 rule as given by CISA and US-CERT, "Data Backup Options" (2012): three copies,
two media, one off-site. Stricter here in two points: the live store is not counted among the
three, and two copies that share one device count as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Role = Literal["local", "offline", "immutable"]
CopyState = Literal["proven", "present", "behind", "absent", "damaged", "unknown"]
Verdict = Literal["met", "not_met", "unknown"]

COPIES_WANTED = 3
MEDIA_WANTED = 2

_SLACK = timedelta(minutes=5)
"""What was recorded later than this after the present was recorded by a wrong clock."""


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """What has been observed of one copy of one store.

    Attributes:
        copy: Name.
        role: `local`, `offline` or `immutable`.
        medium: Label of the medium, for an offline copy that has one.
        domain: What fails together: a device, a medium's file system, a bucket's endpoint; None
            if it was never observed.
        reachable: Whether it was there when last looked at; None if nobody has looked.
        observed_at: When it was last looked at.
        separate: Whether it is a medium of its own; False for a plain directory that stands in
            for one.
        damaged: Number of files known to be damaged or missing.
        newest_snapshot: Id in full of the newest complete snapshot it holds whole.
        newest_at: When that snapshot was taken.
        verified_at: The oldest instant at which any file of the copy was last read and found
            good; None if a file was never verified.
        protected_until: Earliest retain-until of what that snapshot needs; immutable only.
        due_at: When the medium is due back; offline only.
        detail: What else a person should know.
        alarm: What somebody has done to it, as a clause; None for nothing. Counts as damage.
    """

    copy: str
    role: Role
    medium: str | None = None
    domain: str | None = None
    reachable: bool | None = None
    observed_at: datetime | None = None
    separate: bool = True
    damaged: int = 0
    newest_snapshot: str | None = None
    newest_at: datetime | None = None
    verified_at: datetime | None = None
    protected_until: datetime | None = None
    due_at: datetime | None = None
    detail: str | None = None
    alarm: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How old a fact may be.

    Attributes:
        rpo: Largest age of the newest complete snapshot.
        verified_within: Largest age of a verification.
        observed_within: Largest age of an observation of a copy.
    """

    rpo: timedelta
    verified_within: timedelta
    observed_within: timedelta


@dataclass(frozen=True, slots=True)
class Judged:
    """One copy's state and whether it counts towards the three.

    Attributes:
        facts: What was observed.
        state: What follows from it.
        counts: Whether it is one of the three.
        reason: Why it does not count, or what is notable; None if there is nothing to say.
    """

    facts: CopyFacts
    state: CopyState
    counts: bool
    reason: str | None


def judge_copy(
    facts: CopyFacts, *, newest: datetime | None, limits: Limits, now: datetime
) -> Judged:
    """Say what state a copy is in.

    Args:
        facts: What was observed of it.
        newest: When the store's newest complete snapshot was taken; None if there is none.
        limits: How old facts may be.
        now: The present.
    """
    name = f"copy {facts.copy}"
    if facts.damaged or facts.alarm:
        count = f"{facts.damaged} damaged or missing files" if facts.damaged else None
        words = "; ".join(part for part in (facts.alarm, count) if part)
        return Judged(facts, "damaged", False, f"{name}: {words}")
    if not facts.separate:
        state = _state_when_there(facts, newest, limits, now)
        return Judged(facts, state, False, f"{name}: a plain directory is not a separate medium")
    if facts.reachable is None or facts.observed_at is None:
        return Judged(facts, "unknown", False, f"{name}: was never looked at")
    if facts.observed_at > now + _SLACK:
        return Judged(facts, "unknown", False, f"{name}: was last looked at in the future")
    is_stale = now - facts.observed_at > limits.observed_within
    if facts.role == "offline" and (is_stale or not facts.reachable):
        return _judge_absent_medium(facts, limits, now)
    if not facts.reachable:
        return Judged(facts, "absent", False, f"{name}: {facts.detail or 'is not there'}")
    if is_stale:
        return Judged(facts, "unknown", False, f"{name}: last looked at {_age(now, facts)} ago")
    state = _state_when_there(facts, newest, limits, now)
    return Judged(facts, state, state == "proven", _why(facts, state, limits, now))


def _judge_absent_medium(facts: CopyFacts, limits: Limits, now: datetime) -> Judged:
    """A medium in the safe counts as long as it is not overdue and was proven when it left."""
    name = f"copy {facts.copy}"
    if facts.newest_at is None:
        return Judged(facts, "absent", False, f"{name}: no medium has ever held a snapshot")
    if facts.due_at is None or now > facts.due_at:
        return Judged(facts, "absent", False, f"{name}: the medium is overdue")
    if not _is_verified(facts, limits, now):
        return Judged(facts, "absent", False, f"{name}: the medium was not verified lately")
    return Judged(facts, "absent", True, f"{name}: the medium is away, due {facts.due_at:%Y-%m-%d}")


def _state_when_there(
    facts: CopyFacts, newest: datetime | None, limits: Limits, now: datetime
) -> CopyState:
    if facts.newest_at is None or newest is None:
        return "behind"
    if facts.newest_at < newest:
        return "behind"
    if not _is_verified(facts, limits, now):
        return "present"
    if facts.role == "immutable" and (
        facts.protected_until is None or facts.protected_until <= now
    ):
        return "present"
    return "proven"


def _is_verified(facts: CopyFacts, limits: Limits, now: datetime) -> bool:
    """Say whether every file was verified lately; what lies in the future is not believed."""
    if facts.verified_at is None or facts.verified_at > now + _SLACK:
        return False
    return now - facts.verified_at <= limits.verified_within


def _why(facts: CopyFacts, state: CopyState, limits: Limits, now: datetime) -> str | None:
    name = f"copy {facts.copy}"
    if state == "behind":
        return f"{name}: does not hold the newest snapshot"
    if state == "present":
        if facts.verified_at is None:
            return f"{name}: holds files that were never verified"
        if facts.verified_at > now + _SLACK:
            return f"{name}: was last verified in the future"
        if now - facts.verified_at > limits.verified_within:
            return f"{name}: holds files not verified within {limits.verified_within.days} days"
        if facts.protected_until is None:
            return f"{name}: its lock was never proved by a listing"
        return f"{name}: its lock ended {facts.protected_until:%Y-%m-%d %H:%M} UTC"
    return None


def judge_store(
    judged: Iterable[Judged], *, newest: datetime | None, limits: Limits, now: datetime
) -> tuple[Verdict, list[str]]:
    """Say whether 3-2-1 holds for a store, and why not or what is notable.

    Args:
        judged: Every copy of the store.
        newest: When its newest complete snapshot was taken; None if there is none.
        limits: How old facts may be.
        now: The present.
    """
    copies = list(judged)
    reasons = [copy.reason for copy in copies if copy.reason is not None]
    if newest is None:
        return "not_met", ["there is no complete snapshot yet", *reasons]
    if newest > now + _SLACK:
        return "unknown", ["the newest snapshot is dated in the future: check the clock", *reasons]
    stale = now - newest > limits.rpo
    if stale:
        reasons.insert(0, f"the newest complete snapshot is older than the RPO of {limits.rpo}")
    verdict, missing = _count([copy for copy in copies if copy.counts])
    reasons = missing + reasons
    if stale:
        return "not_met", reasons
    if verdict:
        return "met", reasons
    hopeful, _ = _count([copy for copy in copies if copy.counts or copy.state == "unknown"])
    return ("unknown" if hopeful else "not_met"), reasons


def _count(copies: list[Judged]) -> tuple[bool, list[str]]:
    domains = {copy.facts.domain or copy.facts.copy for copy in copies}
    away = [copy for copy in copies if copy.facts.role in ("offline", "immutable")]
    missing = []
    if len(domains) < COPIES_WANTED:
        missing.append(f"{len(domains)} of {COPIES_WANTED} copies are proven and stand apart")
    if copies and len(domains) < MEDIA_WANTED:
        missing.append("all proven copies share one device")
    if not away:
        missing.append("no offline or immutable copy is proven")
    return not missing, missing


def _age(now: datetime, facts: CopyFacts) -> str:
    if facts.observed_at is None:
        return "an unknown time"
    hours = int((now - facts.observed_at).total_seconds() // 3600)
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
