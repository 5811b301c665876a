"""Where each copy is, by today's site file and by what is found there.

A place is the same only if its location is, and nothing that can be seen says otherwise: a folder
of the same path with another marker, or on another file system, is another disk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.places import read_marker
from orchestrator.actions.site import Site
from orchestrator.config.site import Copy, ImmutableCopy, LocalCopy
from orchestrator.engines.mounts import volume_under

if TYPE_CHECKING:
    from orchestrator.catalog.place_tables import CopyPlace

UNKNOWN_LOCATION = "not known"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a copy is now.

    Attributes:
        copy: Name of the copy.
        role: `local` or `immutable`; media have a register of their own.
        location: In words for people: a folder, or endpoint, bucket and prefix.
        address: The same by its parts, for looking there later.
        identity: Id of the folder's marker, empty for one that has none and for a bucket; None if
            nobody could look.
        volume: UUID of the file system; None if that is not known.
    """

    copy: str
    role: str
    location: str
    address: dict[str, str] = field(default_factory=dict)
    identity: str | None = None
    volume: str | None = None


def spot_of(copy: Copy) -> Spot | None:
    """Return where a copy is; None for one that is kept on media."""
    if isinstance(copy, LocalCopy):
        return _folder(copy)
    if isinstance(copy, ImmutableCopy):
        return _bucket(copy)
    return None


def spots(site: Site) -> list[Spot]:
    """Return where the site's copies are, those on media apart."""
    return [spot for copy in site.config.copies.values() if (spot := spot_of(copy)) is not None]


def is_at(row: CopyPlace, spot: Spot) -> bool:
    """Say whether a place of the register is where a copy is now, as far as can be seen. Pure."""
    return (
        row.location == spot.location
        and _may_be_one(row.identity, spot.identity)
        and _may_be_one(row.volume, spot.volume)
    )


def _may_be_one(known: str | None, found: str | None) -> bool:
    return known is None or found is None or known == found


def _folder(copy: LocalCopy) -> Spot:
    path = os.path.realpath(copy.path)
    marker = read_marker(Path(path))
    is_ours = marker is not None and marker.get("copy") == copy.name
    return Spot(
        copy.name,
        copy.role,
        path,
        {"path": path},
        str(marker.get("id", "")) if marker is not None and is_ours else None,
        volume_under(Path(path)) if is_ours else None,
    )


def _bucket(copy: ImmutableCopy) -> Spot:
    endpoint = copy.endpoint.rstrip("/").lower()
    words = f"{endpoint}, bucket {copy.bucket}"
    if copy.prefix:
        words += f", prefix {copy.prefix}"
    address = {
        "endpoint": copy.endpoint,
        "region": copy.region,
        "bucket": copy.bucket,
        "prefix": copy.prefix,
    }
    return Spot(copy.name, copy.role, words, address, identity="")
