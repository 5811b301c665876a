"""Attaching the right medium of an offline copy, and letting it go again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import media
from orchestrator.config.site import OfflineCopy
from orchestrator.engines import medium as engine
from orchestrator.engines import medium_release, medium_search
from orchestrator.engines.medium_search import MountedMedium
from orchestrator.errors import AbsentCopyError

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
        medium_release.mount(copy.name, copy.mount)
        mounted = connected(site, copy)
    if mounted is None:
        raise AbsentCopyError(
            f"copy {copy.name}: no medium of this site is connected",
            hint="connect one; for a new one: orchestrator medium add",
        )
    with engine.open_medium(mounted, site=site.keyring.id, allow_folder=True) as handle:
        yield handle
        if copy.mount or copy.unmount:
            medium_release.release(handle, command=copy.unmount or None)
            if copy.power_off:
                medium_release.power_off(mounted, copy.power_off)


def connected(site: Site, copy: OfflineCopy) -> MountedMedium | None:
    """Return the connected, registered medium of a copy that is due first; None for none."""
    found = medium_search.find(copy.search, copy.name, apart_from=others_disks(site))
    with site.catalog.reading() as session:
        registered = {row.id: row for row in media.of_copy(session, copy.name)}
    ours = [m for m in found if m.identity.site == site.keyring.id]
    known = [m for m in ours if m.identity.medium in registered]
    if not known:
        return None

    def due(mounted: MountedMedium) -> tuple[bool, float]:
        at = registered[mounted.identity.medium].due_at
        return not mounted.separate, at.timestamp() if at is not None else 0.0

    return min(known, key=due)


def look(site: Site, copy: OfflineCopy) -> list[MountedMedium]:
    """Return the connected media of a copy, without touching any."""
    return medium_search.find(copy.search, copy.name, apart_from=others_disks(site))
