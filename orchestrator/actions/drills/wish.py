"""What is to be drilled, and the result that a drill of it begins with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.actions.site import Site
from orchestrator.config.site import Copy
from orchestrator.drills.result import DrillResult, RecoveryPoint, RecoveryTime
from orchestrator.drills.scope import Scope

if TYPE_CHECKING:
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
