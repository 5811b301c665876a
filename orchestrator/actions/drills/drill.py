"""A restore drill: proof that a copy can be restored, measured against RTO and RPO.

Everything here is recorded: the drill before it begins, its verdict, what it proved study by
study, its report and its ledger entry. A drill that was killed is closed by the next one.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.actions import observe
from orchestrator.actions.drills import checks as drill_checks
from orchestrator.actions.drills import snapshots
from orchestrator.actions.drills.keeping import UnprovenError, recorded, settle_killed
from orchestrator.actions.drills.parts import Known, Proof, Watch
from orchestrator.actions.drills.sandbox import Sandbox, sandbox
from orchestrator.actions.drills.work import DrillWork
from orchestrator.actions.engine_view import EngineView, engine_on
from orchestrator.actions.lock import reading
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import drills, files
from orchestrator.config.site import Copy
from orchestrator.drills.points import newest_day
from orchestrator.drills.result import DrillResult, RecoveryPoint, RecoveryTime, Traffic
from orchestrator.drills.scope import Scope, parse_scope
from orchestrator.errors import OrchestratorError, UsageError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.meter import Meter


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be drilled.

    Attributes:
        store: Store name.
        copy: Copy name; None for the primary.
        scope: ``all``, ``n/t`` or ``study:KEY``.
        snapshot: Id of a data snapshot or the beginning of one; None for the newest complete.
        random_within: Any complete snapshot that is younger than this, drawn by lot.
        as_of: Look at the copy as it was at this instant.
        max_requests: Most requests that may be made of the copy; None for no limit.
        max_bytes: Most bytes that may be fetched from it; None for no limit.
        previews: Put pictures of restored images on a contact sheet: PHI.
        kit: Use nothing but this recovery kit.
        seed: Draws the lots; None for a new one. It is recorded.
    """

    store: str
    copy: str | None = None
    scope: str = "all"
    snapshot: str | None = None
    random_within: timedelta | None = None
    as_of: datetime | None = None
    max_requests: int | None = None
    max_bytes: int | None = None
    previews: bool = False
    kit: Path | None = None
    seed: int | None = None


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
        from orchestrator.actions.drills.from_kit import drill_with_kit

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


def new_result(site: Site, wish: Wish, scope: Scope, started_at: datetime) -> DrillResult:
    """Return the result of a drill that begins now."""
    store = site.store_config(wish.store)
    copy = copy_of(site, wish)
    actor = site.config.actors.get(site.actor)
    return DrillResult(
        drill=f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        site=site.config.name,
        store=store.name,
        copy=copy.name,
        role=copy.role,
        scope=str(scope),
        started_at=started_at,
        actor=site.actor,
        actor_name=actor.name if actor is not None else None,
        actor_title=actor.title if actor is not None else None,
        as_of=wish.as_of,
        kit_only=wish.kit is not None,
        rto=RecoveryTime(store.rto.total_seconds()),
        rpo=RecoveryPoint(store.rpo.total_seconds()),
        versions={
            "imaging-orchestrator": __version__,
            "restic": ".".join(map(str, site.restic.version)),
        },
    )


def copy_of(site: Site, wish: Wish) -> Copy:
    """Return the copy to drill: the one that was named, or the primary.

    Raises:
        NotFoundError: There is no copy of this name.
    """
    return site.copy_config(wish.copy) if wish.copy is not None else site.config.primary


def meter_of(wish: Wish) -> Meter | None:
    """Return the meter that caps the traffic; None for no cap."""
    if wish.max_requests is None and wish.max_bytes is None:
        return None
    from orchestrator.engines.meter import CappedMeter

    return CappedMeter(max_requests=wish.max_requests, max_bytes=wish.max_bytes)


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


def look_and_restore(
    site: Site, work: DrillWork, opened: OpenCopy, repository: str, wish: Wish
) -> None:
    """Open restic on the copy, restore into a sandbox, and empty it again."""
    result = work.result
    boxes: list[Sandbox] = []
    try:
        with (
            sandbox(site, result.drill) as box,
            engine_on(
                site, opened, repository, as_of=wish.as_of, meter=meter_of(wish), spool=box.spool()
            ) as view,
        ):
            boxes.append(box)

            def look() -> None:
                if view.lens is not None and view.lens.failure is not None:
                    raise view.lens.failure
                next(iter(opened.place.list()), None)

            try:
                work.perform(view.engine, box, previews=wish.previews, look=look)
            except OSError as error:
                raise OrchestratorError(
                    "the disk that drills restore to fails: "
                    f"{(error.strerror or 'unknown error').lower()}",
                    hint="free some space on it, or name another disk in site.toml: [drills] "
                    'sandbox = "…"',
                ) from None
            finally:
                _note_traffic(result, view)
            _note_stored_files(result, view)
    finally:
        result.sandbox = next((box.removed for box in boxes), "")


def _note_traffic(result: DrillResult, view: EngineView) -> None:
    if view.lens is not None:
        traffic = view.lens.traffic
        result.traffic = Traffic(traffic.fetches, traffic.fetched_bytes)


def _note_stored_files(result: DrillResult, view: EngineView) -> None:
    """Judge what the lens saw of the copy's own files."""
    if view.lens is None:
        return
    suspects = view.suspicious or 0
    if result.snapshot is None and not suspects and not view.lens.bad_files:
        return  # nothing of it was read: that proves nothing
    if suspects and result.as_of is not None:
        # That is why somebody looks at an earlier time.
        result.remarks.append(
            f"{suspects} files of this copy have been overwritten or hidden since or before; what "
            "was restored is as of the time asked for."
        )
        suspects = 0
    result.checks.append(drill_checks.stored_files(suspects, len(view.lens.bad_files)))


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
            suppressed=drills.suppressed(session, wish.store),
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
