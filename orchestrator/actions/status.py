"""Whether 3-2-1 holds for each store, with every fact behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions import copy_facts, missed, primary
from orchestrator.actions.attach import look
from orchestrator.actions.disposal.under_way import UnderWay, under_way
from orchestrator.actions.drills.status import (
    CopyDrills,
    damage,
    of_copies,
    warnings_of_site,
    warnings_of_store,
)
from orchestrator.actions.ledger.doctor import warnings_of_ledger
from orchestrator.actions.media import is_overdue
from orchestrator.actions.missed import Missed
from orchestrator.actions.objectives import Objective, recovery_point, recovery_time
from orchestrator.actions.place_register.doctor import warnings_of_places
from orchestrator.actions.places import read_marker
from orchestrator.actions.site import Site
from orchestrator.actions.verdict import CopyFacts, Judged, Verdict, judge_copy, judge_store
from orchestrator.catalog import facts, media, repositories, runs
from orchestrator.config.jobs import Job, load_jobs
from orchestrator.config.site import LocalCopy, OfflineCopy
from orchestrator.errors import ConfigError, DamageError, NotFoundError, OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.copy_tables import Medium
    from orchestrator.catalog.tables import Run


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Where one store stands.

    Attributes:
        store: Name.
        verdict: Whether 3-2-1 holds.
        reasons: Why not, or what is notable.
        copies: Every copy, in the order of the site file.
        rpo: Age of the newest complete snapshot.
        rto: How long the whole store takes to restore.
        drills: What drills have proven on each copy.
        last_run: The newest backup run; None if there was none.
        files: Files in the store at the last backup.
        size_bytes: Their total length.
    """

    store: str
    verdict: Verdict
    reasons: list[str]
    copies: list[Judged]
    rpo: Objective
    rto: Objective
    drills: list[CopyDrills]
    last_run: Run | None
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """Where a site stands.

    Attributes:
        stores: Its stores.
        missed: What was due and did not happen of late, newest first.
        warnings: What changes no verdict and must be seen to nevertheless.
        disposals: Those that are not at their end.
    """

    stores: list[StoreStatus]
    missed: list[Missed]
    warnings: list[str]
    disposals: list[UnderWay]


def site_status(site: Site, stores: list[str]) -> SiteStatus:
    """Say where stores stand, and what was missed; records what nobody has noticed yet.

    Args:
        site: The site.
        stores: Store names.
    """
    warnings = []
    jobs: dict[str, Job] = {}
    try:
        jobs = load_jobs(site.config).active
        missed.notice(site, jobs)
    except ConfigError as error:
        # Where the stores stand does not hang on a job file; what was missed does.
        warnings.append(f"what was missed is unknown: {error.message}")
    found = status(site, stores)
    late = missed.shown(site, jobs)
    for one in found:
        warnings += warnings_of_store(one.store, one.drills)
    warnings += [*warnings_of_site(site, late), *warnings_of_ledger(site)]
    warnings += warnings_of_places(site)
    return SiteStatus(found, late, warnings, under_way(site))


def status(site: Site, stores: list[str]) -> list[StoreStatus]:
    """Say where stores stand. Reads the catalog and looks at what is mounted; no network.

    Args:
        site: The site.
        stores: Store names.
    """
    return [_status_of(site, store) for store in stores]


def _status_of(site: Site, store: str) -> StoreStatus:
    now = site.clock.now()
    limits = copy_facts.limits(site, store)
    with site.catalog.reading() as session:
        known, newest = copy_facts.facts_of_store(site, session, store)
        state = repositories.store_state(session, store)
        last_run = _last_backup(session, store)
        rpo = recovery_point(site, session, store)
        rto = recovery_time(site, session, store)
        drilled = of_copies(site, session, store)
        known = [_as_drilled(session, store, copy) for copy in known]
    fresh = [_look_again(site, store, copy) for copy in known]
    judged = [judge_copy(copy, newest=newest, limits=limits, now=now) for copy in fresh]
    verdict, reasons = judge_store(judged, newest=newest, limits=limits, now=now)
    if last_run is not None and last_run.outcome not in ("succeeded", None):
        why = f": {last_run.reason}" if last_run.reason else ""
        reasons.append(f"the last backup ended {last_run.outcome}{why}")
    reasons += _overdue(site, now)
    return StoreStatus(
        store=store,
        verdict=verdict,
        reasons=reasons,
        copies=judged,
        rpo=rpo,
        rto=rto,
        drills=drilled,
        last_run=last_run,
        files=state.file_count if state else 0,
        size_bytes=state.size_bytes if state else 0,
    )


def _overdue(site: Site, now: datetime) -> list[str]:
    """Name every medium that has not come back in time, whatever the others prove."""
    with site.catalog.reading() as session:
        rows = media.of_copy(session)
    return [
        f"copy {row.copy_}: medium {row.label} {_why_overdue(row, now)}"
        for row in rows
        if row.copy_ in site.config.copies and is_overdue(row, now)
    ]


def _why_overdue(row: Medium, now: datetime) -> str:
    if row.due_at is not None and now > row.due_at:
        return f"is overdue since {row.due_at:%Y-%m-%d %H:%M} UTC"
    return "was last here in the future: its day of return was set by a wrong clock; connect it"


def _last_backup(session: Session, store: str) -> Run | None:
    found = runs.recent(session, store, action="backup", limit=1)
    return found[0] if found else None


def _as_drilled(session: Session, store: str, known: CopyFacts) -> CopyFacts:
    words = damage(session, store, known)
    if words is None:
        return known
    return replace(known, alarm="; ".join(part for part in (known.alarm, words) if part))


def _look_again(site: Site, store: str, known: CopyFacts) -> CopyFacts:
    """Let what can be seen at once from here override what was seen last."""
    copy = site.config.copies[known.copy]
    now = site.clock.now()
    if isinstance(copy, LocalCopy):
        return _look_at_local(site, store, copy, known, now)
    if isinstance(copy, OfflineCopy):
        return _look_for_medium(site, copy, known)
    return known


def _look_at_local(
    site: Site, store: str, copy: LocalCopy, known: CopyFacts, now: datetime
) -> CopyFacts:
    if read_marker(copy.path) is None:
        return replace(
            known, reachable=False, observed_at=now, detail="its folder or disk is not there"
        )
    if copy.name != site.config.primary.name or known.newest_at is None:
        return known
    try:
        repository = site.repository(store)
        primary.check_there(site, repository)
        missing = primary.differs_from_inventory(site, repository)
    except (NotFoundError, DamageError) as error:
        return replace(known, damaged=max(known.damaged, 1), detail=error.message)
    return replace(known, damaged=max(known.damaged, missing), observed_at=now, reachable=True)


def _look_for_medium(site: Site, copy: OfflineCopy, known: CopyFacts) -> CopyFacts:
    try:
        connected = [mounted.identity.label for mounted in look(site, copy)]
    except OrchestratorError:
        return known
    if known.medium is not None and known.medium not in connected:
        return replace(known, reachable=False)
    return known


def record_status(site: Site, found: list[StoreStatus]) -> None:
    """Keep the verdict as a fact with its time, for the scheduled status job."""
    with site.catalog.transaction() as session:
        for one in found:
            facts.put(session, f"status:{one.store}", value=one.verdict, now=site.clock.now())
