"""What a hold brings about at once: paused disposals, longer locks in the buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.actions.holds import coverage, guard
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, hold_cover, repositories
from orchestrator.config.site import ImmutableCopy
from orchestrator.errors import NotFoundError, OrchestratorError, StoppedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.retention.hold import Hold

_AT_STAKE = (disposals.DUE, *disposals.GOING)
"""States of studies that a hold wants kept, or that are not gone everywhere."""


def pause(site: Site, session: Session, name: str) -> list[str]:
    """Pause the disposals under way that have a study which a hold covers.

    Args:
        site: The site.
        session: A writing session, its gate shut.
        name: The hold's id.

    Returns:
        Ids of the disposals that stand still by this hold.
    """
    hold = next(one for one in coverage.in_force(session, site) if one.id == name)
    stopped = []
    for batch in disposals.open_batches(session):
        if batch.paused is None and _touches(site, session, hold, batch.id):
            disposals.change(session, batch.id, paused=name)
            stopped.append(batch.id)
    return stopped


def resume(site: Site, session: Session, name: str) -> list[str]:
    """Let disposals go on that a released hold has paused, unless another hold covers them.

    Args:
        site: The site.
        session: A writing session, its gate shut; the hold is released in it.
        name: The hold's id.

    Returns:
        Ids of the disposals that go on.
    """
    paused = paused_by(session, name)
    return [one for one in paused if unpause_where_free(site, session, one)]


def unpause_where_free(site: Site, session: Session, disposal: str) -> bool:
    """Let a disposal go on unless a hold in force covers one of its studies.

    Call it as well where a covered study was withheld from the disposal.

    Args:
        site: The site.
        session: A writing session, its gate shut.
        disposal: Its id.

    Returns:
        Whether it goes on.
    """
    kept = coverage.in_force(session, site)
    left = next((hold.id for hold in kept if _touches(site, session, hold, disposal)), None)
    disposals.change(session, disposal, paused=left)
    return left is None


def paused_by(session: Session, name: str) -> tuple[str, ...]:
    """Return the disposals that stand still by a hold."""
    return tuple(row.id for row in disposals.open_batches(session) if row.paused == name)


def kept_snapshots(site: Site, session: Session, name: str) -> int:
    """Return how many snapshots a hold keeps, forgotten ones too."""
    return sum(
        name in ids
        for row in repositories.of_store(session)
        for ids in guard.held_by(site, session, row.id).values()
    )


def extend_locks(site: Site) -> list[str]:
    """Lengthen the locks of what is on hold in every bucket, where little is left of them.

    Returns:
        What could not be done; the nightly extension goes on with it.
    """
    from orchestrator.actions.bucket import extend

    problems = []
    stores = [name for name in site.config.stores if _keeps(site, name)]
    for copy in site.config.copies.values():
        if not isinstance(copy, ImmutableCopy) or not stores:
            continue
        try:
            _, results = extend(site, copy.name, stores)
        except StoppedError:
            raise
        except OrchestratorError as error:
            problems.append(f"copy {copy.name}: locks were not lengthened: {error.message}")
            continue
        problems += [
            f"copy {copy.name}: {one.failed - one.absent} locks could not be lengthened: "
            f"{one.problem}"
            for one in results
            if one.failed > one.absent
        ]
    return problems


def _keeps(site: Site, store: str) -> bool:
    """Say whether a snapshot of a store is on hold."""
    try:
        repository = site.repository(store)
    except NotFoundError:
        return False
    with site.catalog.reading() as session:
        return bool(guard.held_snapshots(site, session, repository.id))


def _touches(site: Site, session: Session, hold: Hold, disposal: str) -> bool:
    stores = {one.store for one in disposals.studies(session, disposal, states=_AT_STAKE)}
    for store in stores:
        selected = coverage.cover(site, session, store, hold)
        if selected is not None and disposal in hold_cover.disposals_with(
            session, store, selected, _AT_STAKE
        ):
            return True
    return False
