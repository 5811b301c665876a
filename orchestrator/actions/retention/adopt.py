"""Adopting a retention schedule: the site's own decision to be bound by one exact text.

The entry in the ledger comes before the row in the catalog: nothing is in force that the ledger
does not say. The text itself is kept with the row, and beside the ledger as evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from orchestrator.actions.certificates.files import keep_evidence
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.person import demand_person
from orchestrator.actions.retention.decisions import today_at
from orchestrator.actions.retention.offered import Offer, demand_unchanged, offers
from orchestrator.actions.retention.policy import behind_ledger
from orchestrator.actions.site import Site
from orchestrator.catalog import schedules as rows
from orchestrator.catalog.retention_tables import AdoptedSchedule
from orchestrator.catalog.schedules import MAJORITY
from orchestrator.errors import ConfigError, NotFoundError, UsageError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.retention.schedule import Rule, Schedule

NOT_LEGAL_ADVICE = (
    "This is not legal advice: by adopting a schedule the site takes it as its own rule. "
    "Let counsel read it."
)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What adopting came to.

    Attributes:
        row: What is in force now.
        schedule: What it says; None for the table of majority ages.
        is_new: Something was changed; False if the very same was in force already.
        replaced: The version that was in force before; None for none.
        with_majority: The version of the table of majority ages that was adopted along with it;
            None if one was in force.
        today: The day at the site.
    """

    row: AdoptedSchedule
    schedule: Schedule | None
    is_new: bool
    replaced: str | None
    with_majority: str | None
    today: date

    @property
    def low_confidence(self) -> list[str]:
        """Rules that never let anything go, because their reading is not sure."""
        return [rule.id for rule in self._rules if rule.confidence == "low"]

    @property
    def not_reviewed(self) -> list[str]:
        """Rules that never let anything go, because nobody has reviewed them."""
        return [rule.id for rule in self._rules if rule.reviewer is None]

    @property
    def overdue(self) -> list[str]:
        """Rules that let nothing go until they are reviewed anew."""
        return [rule.id for rule in self._rules if is_overdue(rule, self.today)]

    @property
    def reviewers(self) -> list[str]:
        """Who has reviewed the rules."""
        return sorted({rule.reviewer for rule in self._rules if rule.reviewer is not None})

    @property
    def _rules(self) -> tuple[Rule, ...]:
        return () if self.schedule is None else self.schedule.rules


def is_overdue(rule: Rule, today: date) -> bool:
    """Say whether a rule's review is overdue."""
    return rule.review_by is not None and rule.review_by < today


def adopt(site: Site, schedule_id: str, *, image_clock: bool = False) -> Adoption:
    """Adopt a schedule, or the table of majority ages, as its file stands now.

    Args:
        site: The site; its actor adopts.
        schedule_id: Id of the schedule; ``majority`` for the table.
        image_clock: Apply the schedule's separate clock to images, where it has one.

    Raises:
        RefusedError: The actor is no person of compliance, or the ledger may not be written.
        NotFoundError: There is no such schedule.
        ConfigError: Its file has faults, or was changed under a version that was adopted.
        UsageError: It has no separate clock for images.
        EngineError: The disk refuses.
    """
    demand_person(site, "compliance")
    if schedule_id == MAJORITY:
        return _adopt_majority(site, image_clock=image_clock)
    offer = _find(site, schedule_id)
    if image_clock and not any(rule.images == "own_clock" for rule in offer.schedule.rules):
        raise UsageError(
            f"schedule {schedule_id} has no separate clock for images",
            hint=f"orchestrator --as ACTOR retention adopt {schedule_id}",
        )
    with site.catalog.reading() as session:
        demand_unchanged(site, rows.digests(session))
        before = _in_force(session, schedule_id)
        has_majority = _in_force(session, MAJORITY) is not None
        is_sure = not behind_ledger(site, session, schedule_id)
    wanted = _row(site, offer, image_clock=image_clock)
    today = today_at(site, site.clock.now())
    if before is not None and is_sure and _is_same(before, wanted):
        return Adoption(before, offer.schedule, False, None, None, today)
    pinned = [wanted] if has_majority else [_majority_row(site), wanted]
    _put(site, pinned, {schedule_id: before})
    return Adoption(
        wanted,
        offer.schedule,
        is_new=True,
        replaced=before.version if before is not None else None,
        with_majority=None if has_majority else pinned[0].version,
        today=today,
    )


def _adopt_majority(site: Site, *, image_clock: bool) -> Adoption:
    if image_clock:
        raise UsageError("the table of majority ages has no clock for images")
    with site.catalog.reading() as session:
        demand_unchanged(site, rows.digests(session))
        before = _in_force(session, MAJORITY)
        is_sure = not behind_ledger(site, session, MAJORITY)
    wanted = _majority_row(site)
    today = today_at(site, site.clock.now())
    if before is not None and is_sure and _is_same(before, wanted):
        return Adoption(before, None, False, None, None, today)
    _put(site, [wanted], {MAJORITY: before})
    replaced = before.version if before is not None else None
    return Adoption(wanted, None, True, replaced, None, today)


def _find(site: Site, schedule_id: str) -> Offer:
    from orchestrator.config.schedules import shipped_templates

    good, bad = offers(site)
    # First what the site wrote: whoever named a file of theirs like a shipped one means theirs.
    faults = [fault for one in bad if one.id == schedule_id for fault in one.faults]
    if faults:
        raise ConfigError(faults, hint="correct the file, then: orchestrator retention list")
    for offer in good:
        if offer.schedule.id == schedule_id:
            return offer
    if schedule_id in shipped_templates():
        raise ConfigError(
            [f"{schedule_id}: template: it has blanks that only the site can fill in"],
            hint=f"copy it to {site.config.schedules_dir}, under a name of its own, and fill it in",
        )
    raise NotFoundError(
        f"there is no schedule {schedule_id!r} to adopt", hint="orchestrator retention list"
    )


def _in_force(session: Session, schedule_id: str) -> AdoptedSchedule | None:
    found = [row for row in rows.in_force(session) if row.schedule_id == schedule_id]
    return found[0] if found else None


def _is_same(one: AdoptedSchedule, other: AdoptedSchedule) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("version", "digest", "text", "image_clock")
    )


def _row(site: Site, offer: Offer, *, image_clock: bool) -> AdoptedSchedule:
    schedule = offer.schedule
    return AdoptedSchedule(
        schedule_id=schedule.id,
        version=schedule.version,
        digest=schedule.digest,
        kind=schedule.kind,
        jurisdiction=schedule.jurisdiction,
        text=offer.text,
        image_clock=image_clock,
        adopted_by=site.actor,
        adopted_at=site.clock.now(),
    )


def _majority_row(site: Site) -> AdoptedSchedule:
    from orchestrator.config.schedules import shipped_majority

    table, text = shipped_majority()
    return AdoptedSchedule(
        schedule_id=MAJORITY,
        version=table.version,
        digest=table.digest,
        kind=MAJORITY,
        text=text,
        adopted_by=site.actor,
        adopted_at=site.clock.now(),
    )


def _put(
    site: Site, wanted: list[AdoptedSchedule], before: dict[str, AdoptedSchedule | None]
) -> None:
    for row in wanted:
        keep_evidence(site, row.text.encode("utf-8"))
    record(site, [_event(row, before.get(row.schedule_id)) for row in wanted])
    with site.catalog.transaction() as session:
        for row in wanted:
            rows.adopt(session, row)


def _event(row: AdoptedSchedule, before: AdoptedSchedule | None) -> Event:
    body: dict[str, Any] = {
        "schedule": row.schedule_id,
        "version": row.version,
        "digest": row.digest,
        "kind": row.kind,
        "image_clock": row.image_clock,
        "adopted_at": row.adopted_at.isoformat(),
    }
    if row.jurisdiction is not None:
        body["jurisdiction"] = row.jurisdiction
    if before is not None:
        body["replaced"] = before.version
    return Event("retention.adopted", body, evidence={"text": row.digest})
