"""Attaching the right medium of an offline copy, and letting it go again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import copies, media
from orchestrator.catalog.copy_tables import MediumEvent
from orchestrator.config.site import OfflineCopy
from orchestrator.engines import medium as engine
from orchestrator.engines import medium_release, medium_search
from orchestrator.engines.medium_search import MountedMedium
from orchestrator.errors import AbsentCopyError, OrchestratorError, UnreachableError

if TYPE_CHECKING:
    from orchestrator.engines.medium import MediumHandle


def others_disks(site: Site) -> list[Path]:
    """Return the paths whose disks no medium may share."""
    return [
        *(store.path for store in site.config.stores.values()),
        *(copy.path for copy in site.local_copies()),
    ]


@contextmanager
def attached(site: Site, copy: OfflineCopy) -> Iterator[MediumHandle]:
    """Open the copy's medium, mounting it first and letting it go afterwards if the site says how.

    Raises:
        AbsentCopyError: No registered medium of this copy is connected.
        OrchestratorError: One is, and it is wrong or fails.
    """
    mounted = connected(site, copy)
    if mounted is None and copy.mount:
        try:
            medium_release.mount(copy.name, copy.mount)
        except UnreachableError as error:
            # Media are away by design: that nothing could be mounted is as a rule just that.
            raise AbsentCopyError(error.message, hint=error.hint) from error
        mounted = connected(site, copy)
    if mounted is None:
        raise AbsentCopyError(
            f"copy {copy.name}: no medium of this site is connected",
            hint="connect one; for a new one: orchestrator medium add COPY PATH",
        )
    _note_return(site, mounted)
    with engine.open_medium(mounted, site=site.keyring.id, allow_folder=True) as handle:
        try:
            yield handle
        except BaseException:
            # What failed is what a person must hear of; the medium is let go if it can be.
            with suppress(OrchestratorError):
                _let_go(copy, handle)
            raise
        _let_go(copy, handle)


def _let_go(copy: OfflineCopy, handle: MediumHandle) -> None:
    if copy.mount or copy.unmount:
        medium_release.release(handle, command=copy.unmount or None)
        if copy.power_off:
            medium_release.power_off(handle.mounted, copy.power_off)


def _note_return(site: Site, mounted: MountedMedium) -> None:
    """Record that a medium is here although the register says that somebody has taken it."""
    with site.catalog.reading() as session:
        row = media.get(session, mounted.identity.medium)
    if row.state == media.AWAY:
        event = MediumEvent(medium=row.id, at=site.clock.now(), actor=site.actor, event="connected")
        with site.catalog.transaction() as session:
            media.record(session, event, state=media.IN_USE)


def connected(site: Site, copy: OfflineCopy) -> MountedMedium | None:
    """Return the connected, registered medium whose turn it is; None for none.

    One that holds nothing yet comes first, then the one that is due first.
    """
    found = medium_search.find(copy.search, copy.name, apart_from=others_disks(site))
    with site.catalog.reading() as session:
        registered = {row.id: row for row in media.of_copy(session, copy.name)}
        states = copies.states(session, copy.name)
        holders = {row.medium for row in states if row.newest_snapshot is not None}
    ours = [m for m in found if m.identity.site == site.keyring.id]
    known = [m for m in ours if m.identity.medium in registered]
    if not known:
        return None

    def due(mounted: MountedMedium) -> tuple[bool, bool, float]:
        medium = mounted.identity.medium
        at = registered[medium].due_at
        return not mounted.separate, medium in holders, at.timestamp() if at is not None else 0.0

    return min(known, key=due)


def look(site: Site, copy: OfflineCopy) -> list[MountedMedium]:
    """Return the connected media of a copy, without touching any."""
    return medium_search.find(copy.search, copy.name, apart_from=others_disks(site))
