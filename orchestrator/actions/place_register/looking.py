"""Looking at a former place, as far as anybody can: is something of ours there still?

What is found there refuses its closing. That nothing is found proves little (a disk may be in a
drawer, a credential may have been withdrawn), so the words say what was seen and no more.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.place_register.spots import is_at, spots
from orchestrator.actions.places import read_marker
from orchestrator.actions.site import Site
from orchestrator.catalog import repositories
from orchestrator.config.site import ImmutableCopy
from orchestrator.engines.layout import parse_path
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.catalog.place_tables import CopyPlace
    from orchestrator.engines.bucket.bucket import Bucket

    Versions = set[tuple[str, str]]
    """Key and id of each."""

NOT_REACHED = "nobody could look"
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a former place has found.

    Attributes:
        is_there: Something of ours is there still.
        words: What was seen.
        is_moved: The very folder, by its marker, is where the copy is now, and not here any more.
        is_alias: What is there is listed where the copy is now, version by version: one bucket
            whose server has two names, or a mirror of it, which only people can tell.
    """

    is_there: bool
    words: str
    is_moved: bool = False
    is_alias: bool = False


def look(site: Site, row: CopyPlace) -> Look:
    """Look at a former place; changes nothing, and never raises for what cannot be reached.

    Raises:
        OrchestratorError: The catalog fails.
    """
    if "path" in row.address:
        return _folder(site, row, Path(row.address["path"]))
    if "bucket" in row.address:
        return _bucket(site, row)
    return Look(False, f"{NOT_REACHED}: where it was is not known")


def _folder(site: Site, row: CopyPlace, folder: Path) -> Look:
    here = spots(site)
    is_moved = bool(row.identity) and any(
        one.copy == row.copy_ and one.identity == row.identity and one.location != row.location
        for one in here
    )
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return Look(False, "its folder is not there", is_moved)
    except OSError as error:
        return Look(False, f"{NOT_REACHED}: {(error.strerror or 'unknown error').lower()}")
    if any(one.location == row.location and not is_at(row, one) for one in here):
        return Look(False, "another folder or disk is there now", is_moved)
    marker = read_marker(folder)
    if marker is not None and row.identity in (None, str(marker.get("id", ""))):
        return Look(True, "its folder is there with the copy's marker")
    if marker is not None:
        return Look(False, "the folder of another copy is there now", is_moved)
    with site.catalog.reading() as session:
        known = {one.name for one in repositories.of_store(session)}
    if any(_is_repository(folder / name, known) for name in names):
        return Look(True, "files of a repository are there")
    return Look(False, "its folder is there, without anything of a repository", is_moved)


def _is_repository(folder: Path, known: set[str]) -> bool:
    """Say whether a folder has files of one of our repositories, or is any repository at all."""
    if folder.name not in known:
        return all((folder / name).is_dir() for name in ("data", "index", "keys", "snapshots"))
    for below, _, names in os.walk(folder):
        within = os.path.relpath(below, folder)
        prefix = "" if within == os.curdir else f"{within}/"
        if any(parse_path(prefix + name) is not None for name in names):
            return True
    return False


def _bucket(site: Site, row: CopyPlace) -> Look:
    """List what a bucket has below the prefix, with a credential of today's site file."""
    with site.catalog.reading() as session:
        names = sorted({one.name for one in repositories.of_store(session)})
    words = f"{NOT_REACHED}: the site file has no credential for it"
    for copy in _credentials(site, row):
        try:
            found = _listed(site, copy, row, names)
        except OrchestratorError as error:
            words = f"{NOT_REACHED}: {error.message}"
            continue
        if found is None:
            return Look(False, "the bucket does not exist")
        if found and _is_alias(site, row, found, names):
            words = "the same versions are listed there and where the copy is now"
            return Look(True, words, is_alias=True)
        if found:
            return Look(True, "versions of repository files are listed there")
        return Look(False, "nothing of a repository is listed there")
    return Look(False, words)


def _credentials(site: Site, row: CopyPlace) -> list[ImmutableCopy]:
    """Return the buckets of the site file on the same server, that of the same name first."""
    known = [copy for copy in site.config.copies.values() if isinstance(copy, ImmutableCopy)]
    there = [
        copy
        for copy in known
        if copy.name == row.copy_
        or copy.endpoint.rstrip("/") == row.address["endpoint"].rstrip("/")
    ]
    return sorted(there, key=lambda copy: copy.name != row.copy_)


def _is_alias(site: Site, row: CopyPlace, found: Versions, names: list[str]) -> bool:
    copy = site.config.copies.get(row.copy_)
    if not isinstance(copy, ImmutableCopy):
        return False
    if (copy.bucket, copy.prefix) != (row.address["bucket"], row.address["prefix"]):
        return False
    try:
        with site.bucket(copy.name) as bucket:
            return found <= _versions(bucket, names)
    except OrchestratorError:
        return False


def _versions(bucket: Bucket, names: list[str]) -> Versions:
    return {
        (version.key, version.version_id)
        for name in names
        for version in bucket.versions(name)
        if not version.is_marker
    }


def _listed(site: Site, copy: ImmutableCopy, row: CopyPlace, names: list[str]) -> Versions | None:
    """Return the versions of repositories there; None if there is no such bucket."""
    from orchestrator.engines.bucket.bucket import Bucket

    with site.bucket(copy.name) as today:
        settings = replace(
            today.settings,
            endpoint=row.address["endpoint"],
            region=row.address["region"],
            bucket=row.address["bucket"],
            prefix=row.address["prefix"],
            attempts=_ATTEMPTS,
        )
    with Bucket(settings, site.clock) as bucket:
        if not bucket.facts().exists:
            return None
        return _versions(bucket, names)
