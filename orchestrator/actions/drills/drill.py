"""A restore drill: proof that a copy can be restored, measured against RTO and RPO.

Everything here is recorded: the drill before it begins, its verdict, what it proved study by
study, its report and its ledger entry. A drill that was killed is closed by the next one.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import observe
from orchestrator.actions.drills import snapshots
from orchestrator.actions.drills.keeping import UnprovenError, recorded, settle_killed
from orchestrator.actions.drills.parts import Known, Proof, Watch
from orchestrator.actions.drills.restoring import look_and_restore
from orchestrator.actions.drills.wish import Wish, copy_of, new_result
from orchestrator.actions.drills.work import DrillWork
from orchestrator.actions.lock import reading
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import files, suppressions
from orchestrator.drills.points import newest_day
from orchestrator.drills.result import DrillResult
from orchestrator.drills.scope import Scope, parse_scope
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow


def drill_from_kit(
    site: Site, kit: Path, store: str, copy: str, *, occasion: Occasion = BY_HAND
) -> DrillResult:
    """Make a drill of a whole store with nothing but a recovery kit; as `drill` otherwise."""
    return drill(site, Wish(store, copy, kit=kit), occasion=occasion)


def drill(site: Site, wish: Wish, *, occasion: Occasion = BY_HAND) -> DrillResult:
    """Make a drill and record it.

    Args:
        site: The site.
        wish: What and from where.
        occasion: Why it happens.

    Returns:
        The result, whatever the verdict: also of a drill that could not be run.

    Raises:
        UsageError: The wish makes no sense.
        NotFoundError: There is no such store or copy, or the store was never set up.
        LockedError: Another run is in the way.
        StoppedError: It was told to stop; it is recorded as one that could not be run.
    """
    watch = Watch(site.clock.monotonic())
    started_at = site.clock.now()
    scope = parse_scope(wish.scope)
    _check(site, wish)
    if wish.kit is not None:
        from orchestrator.actions.drills.from_kit import drill_with_kit  # rarely needed

        return drill_with_kit(site, wish, scope, watch, occasion=occasion)
    repository = site.repository(wish.store)
    result = new_result(site, wish, scope, started_at)
    with (
        suppress(UnprovenError),
        run(site, "drill", store=wish.store, exclusive=False, occasion=occasion) as current,
    ):
        result.drill = current.id
        settle_killed(site)
        with recorded(current, result) as proof:
            _perform(current, wish, scope, repository, Drilled(result, watch, proof))
    return result


@dataclass(frozen=True, slots=True)
class Drilled:
    """A drill in the making."""

    result: DrillResult
    watch: Watch
    proof: Proof


def _check(site: Site, wish: Wish) -> None:
    site.store_config(wish.store)
    copy_of(site, wish)
    site.demand_role("operator", "compliance")
    if wish.snapshot is not None and wish.random_within is not None:
        raise UsageError("a drill restores a named snapshot or one drawn by lot, not both")
    if wish.as_of is not None and wish.as_of > site.clock.now():
        raise UsageError("a drill cannot look at a copy as of a time to come")


def _perform(
    current: Run, wish: Wish, scope: Scope, repository: RepositoryRow, made: Drilled
) -> None:
    site, result = current.site, made.result
    with (
        reading(site.lock_dir, wish.store),
        open_copy(
            site,
            result.copy,
            repository,
            versions=observe.versions(site, result.copy, repository.id),
        ) as opened,
    ):
        result.medium = opened.label
        known = _known(site, wish, repository, opened)
        work = DrillWork(site, scope, known, result=result, watch=made.watch, proof=made.proof)
        with current.step("drill", copy=opened.name):
            look_and_restore(site, work, opened, repository.name, wish)
        work.check_clock()
        _note_newest(site, result)


def _known(site: Site, wish: Wish, repository: RepositoryRow, opened: OpenCopy) -> Known:
    """Gather what the catalog knows; a bucket as of an earlier time is asked itself."""
    asks_engine = wish.as_of is not None and opened.folder is None
    listed = [] if asks_engine else list(opened.place.list())
    with site.catalog.reading() as session:
        place = (opened.name, opened.medium)
        return Known(
            repository_id=repository.id,
            held=None
            if asks_engine
            else snapshots.in_catalog(session, repository.id, place, listed),
            suppressed=suppressions.suppressed(session, wish.store),
            pseudonyms=lambda: site.catalog.keys.pseudonyms,
            rpo=site.store_config(wish.store).rpo,
            snapshot=wish.snapshot,
            random_within=wish.random_within,
            seed=wish.seed if wish.seed is not None else secrets.randbits(63),
            judge_gaps=not asks_engine,
            recorded=snapshots.recorded_manifests(session, repository.id),
            incomplete=snapshots.incomplete_snapshots(session, repository.id),
        )


def _note_newest(site: Site, result: DrillResult) -> None:
    """Show the store's newest image at that time beside the snapshot's; neither is judged."""
    at = result.as_of or result.started_at
    with site.catalog.reading() as session:
        newest = files.newest_study_date(session, result.store, at=at, until=newest_day(at))
    if newest is not None:
        result.rpo = replace(result.rpo, store_newest_image_on=newest.isoformat())
