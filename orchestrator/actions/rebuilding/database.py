"""The file of a catalog made anew: beside the old one until it is whole, then in its place."""

from __future__ import annotations

from pathlib import Path

from orchestrator.actions.site import CATALOG_FILE, Site

UNFINISHED = "catalog.unfinished.sqlite"
"""The new catalog until it is whole."""

_PARTS = ("-wal", "-shm", "")


def put_in_place(site: Site) -> Path | None:
    """Give a whole SQLite catalog its name; the old one is kept beside it."""
    if site.config.catalog.url is not None:
        return None
    path = site.state_dir / CATALOG_FILE
    kept = path.with_name(f"catalog.{site.clock.now():%Y%m%dT%H%M%SZ}.sqlite")
    was_there = path.exists()
    # The old one goes with its name first: without its log it would be another catalog. The new
    # one, which has no log any more, comes with it last.
    for suffix in reversed(_PARTS):
        _rename(path, kept, suffix)
    for suffix in _PARTS:
        _rename(site.state_dir / UNFINISHED, path, suffix)
    return kept if was_there else None


def _rename(path: Path, to: Path, suffix: str) -> None:
    part = path.with_name(path.name + suffix)
    if part.exists():
        part.rename(to.with_name(to.name + suffix))


def remove_database(path: Path) -> None:
    """Remove a catalog's files, if they are there."""
    for suffix in _PARTS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
