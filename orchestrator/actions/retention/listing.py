"""Which schedules there are, which of them are in force, and what is not covered by any."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.retention.adopt import is_overdue
from orchestrator.actions.retention.decisions import today_at
from orchestrator.actions.retention.offered import Faulty, Offer, Origin, changed, offers
from orchestrator.actions.retention.policy import adopted_schedule
from orchestrator.actions.site import Site
from orchestrator.catalog import schedules as rows
from orchestrator.catalog.retention_tables import AdoptedSchedule
from orchestrator.errors import NotFoundError

if TYPE_CHECKING:
    from orchestrator.retention.schedule import Rule, Schedule

COVERING = frozenset({"patient_record", "xray_image"})
"""A jurisdiction is covered by an adopted schedule with a rule for one of these classes."""


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """One schedule: in force, to be adopted, or both.

    Attributes:
        schedule: What it says: as it was adopted, or else as its file stands.
        adopted: Its adoption; None if it is not in force.
        offered: The version its file has now; None if there is no file any more.
        origin: Whether the product ships the file or the site wrote it; None without a file.
        fault: How its file contradicts what was adopted; None if it does not.
        today: The day at the site.
    """

    schedule: Schedule
    adopted: AdoptedSchedule | None
    offered: str | None
    origin: Origin | None
    fault: str | None
    today: date

    @property
    def newer(self) -> str | None:
        """The version that could be adopted in place of the one in force."""
        if self.adopted is None or self.offered == self.adopted.version:
            return None
        return self.offered

    def standing(self, rule: Rule) -> str | None:
        """Say why a rule lets nothing go, as a reason for review; None if it may."""
        if rule.confidence == "low":
            return "rule_low_confidence"
        if rule.reviewer is None:
            return "rule_not_reviewed"
        return "rule_review_overdue" if is_overdue(rule, self.today) else None


@dataclass(frozen=True, slots=True)
class Covered:
    """A jurisdiction of the site's stores.

    Attributes:
        jurisdiction: Such as ``US-TX``.
        stores: The stores that lie in it.
        adopted: Ids of its schedules in force; empty means that nothing there comes due.
        offered: Ids of its schedules that could be adopted.
    """

    jurisdiction: str
    stores: tuple[str, ...]
    adopted: tuple[str, ...]
    offered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MajorityFacts:
    """The table of majority ages.

    Attributes:
        version: In force; None if none was adopted.
        adopted_by: Who adopted it; None likewise.
        adopted_at: When; None likewise.
        offered: The version that ships.
        fault: How the file contradicts what was adopted; None if it does not.
    """

    version: str | None
    adopted_by: str | None
    adopted_at: datetime | None
    offered: str
    fault: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything about schedules on this site.

    Attributes:
        schedules: Those in force first, then those for the site's jurisdictions, then by id.
        jurisdictions: Of the site's stores.
        majority: The table of majority ages.
        faulty: The site's files that cannot be adopted.
        templates: Shipped files to copy and fill in.
        changes: Files that contradict what was adopted; while there are any nothing is decided.
    """

    schedules: list[ScheduleFacts]
    jurisdictions: list[Covered]
    majority: MajorityFacts
    faulty: list[Faulty]
    templates: tuple[str, ...]
    changes: list[str]

    @property
    def uncovered(self) -> list[str]:
        """Jurisdictions of the site without an adopted schedule."""
        return [one.jurisdiction for one in self.jurisdictions if not one.adopted]


def listing(site: Site) -> Listing:
    """Return what can be adopted, what is, and what is not covered.

    Raises:
        ConfigError: The installation is incomplete.
        DamageError: An adopted text was changed in the catalog.
    """
    from orchestrator.config.schedules import shipped_majority, shipped_templates

    good, bad = offers(site)
    with site.catalog.reading() as session:
        in_force = {row.schedule_id: row for row in rows.in_force(session)}
        changes = changed(site, rows.digests(session))
    majority, _text = shipped_majority()
    row = in_force.pop(rows.MAJORITY, None)
    listed = _listed(site, {one.schedule.id: one for one in good}, in_force, changes)
    return Listing(
        schedules=listed,
        jurisdictions=_covered(site, listed),
        majority=MajorityFacts(
            row.version if row is not None else None,
            row.adopted_by if row is not None else None,
            row.adopted_at if row is not None else None,
            majority.version,
            _fault(changes, rows.MAJORITY),
        ),
        faulty=bad,
        templates=shipped_templates(),
        changes=changes,
    )


def one_schedule(site: Site, schedule_id: str) -> ScheduleFacts:
    """Return one schedule: as it is in force, or as it could be adopted.

    Raises:
        NotFoundError: There is none of this id.
        ConfigError: The installation is incomplete.
        DamageError: Its adopted text was changed in the catalog.
    """
    for one in listing(site).schedules:
        if one.schedule.id == schedule_id:
            return one
    raise NotFoundError(f"there is no schedule {schedule_id!r}", hint="orchestrator retention list")


def _listed(
    site: Site,
    offered: dict[str, Offer],
    in_force: dict[str, AdoptedSchedule],
    changes: list[str],
) -> list[ScheduleFacts]:
    today = today_at(site, site.clock.now())
    here = {one for store in site.config.stores.values() for one in store.jurisdictions}

    def order(name: str) -> tuple[bool, bool, str]:
        is_near = name in offered and offered[name].schedule.jurisdiction in here
        return name not in in_force, not is_near, name

    found = []
    for name in sorted({*offered, *in_force}, key=order):
        offer, row = offered.get(name), in_force.get(name)
        schedule = adopted_schedule(row).schedule if row is not None else offered[name].schedule
        found.append(
            ScheduleFacts(
                schedule,
                row,
                offer.schedule.version if offer is not None else None,
                offer.origin if offer is not None else None,
                _fault(changes, name),
                today,
            )
        )
    return found


def _fault(changes: list[str], name: str) -> str | None:
    """Return the fault of the file of this name, which is its schedule's id."""
    for fault in changes:
        if Path(fault.partition(": ")[0]).stem == name:
            return fault
    return None


def _covered(site: Site, listed: list[ScheduleFacts]) -> list[Covered]:
    wanted: dict[str, list[str]] = {}
    for store in site.config.stores.values():
        for jurisdiction in store.jurisdictions:
            if jurisdiction != "US":
                wanted.setdefault(jurisdiction, []).append(store.name)
    found = []
    for jurisdiction, stores in wanted.items():
        law = [one for one in listed if _is_law_of(one.schedule, jurisdiction)]
        found.append(
            Covered(
                jurisdiction,
                tuple(stores),
                tuple(one.schedule.id for one in law if one.adopted is not None),
                tuple(one.schedule.id for one in law if one.adopted is None),
            )
        )
    return found


def _is_law_of(schedule: Schedule, jurisdiction: str) -> bool:
    return (
        schedule.kind == "jurisdiction"
        and schedule.jurisdiction == jurisdiction
        and any(rule.record_class in COVERING for rule in schedule.rules)
    )
