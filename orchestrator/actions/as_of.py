"""An instant in the past, and which snapshot a copy had then.

Asks the repository itself, through restic: what the catalog has forgotten, or never knew, is found
as well. The catalog is believed where it knows that a snapshot is not complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from orchestrator.actions.site import Site
from orchestrator.catalog import snapshots
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.engines.restic.values import Snapshot

REWRITTEN = "rewrite"
"""restic's tag of a data snapshot that was stored anew."""

REPLACES = "replaces="
"""Begins the tag of a manifest that was stored anew; the data snapshot it was about follows."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A data snapshot with its manifest, as a repository holds them.

    Attributes:
        id: Id in full of the data snapshot.
        at: When it was taken, aware UTC.
        run_id: The run that took it.
        manifest: Id in full of the manifest's snapshot.
    """

    id: str
    at: datetime
    run_id: str
    manifest: str


def instant(text: str, zone: ZoneInfo, *, now: datetime) -> datetime:
    """Read an instant as people write it.

    Args:
        text: ISO 8601. A date means the end of that day; a time without a zone is the site's.
        zone: The site's zone.
        now: The present.

    Returns:
        The instant, aware, in UTC.

    Raises:
        UsageError: It is neither, or lies in the future.
    """
    try:
        if _DATE.fullmatch(text):
            next_day = date.fromisoformat(text) + timedelta(days=1)
            # the last second of the day: bucket servers count whole seconds
            at = datetime.combine(next_day, time(), zone).astimezone(UTC) - timedelta(seconds=1)
            at = min(at, now) if date.fromisoformat(text) == now.astimezone(zone).date() else at
        else:
            read = datetime.fromisoformat(text)
            at = (read if read.tzinfo is not None else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            "--as-of: not a date or an instant",
            hint="write 2026-03-01, or 2026-03-01T18:00:00-06:00",
        ) from None
    if at > now:
        raise UsageError("--as-of: it lies in the future")
    return at


def newest_complete(site: Site, engine: Repository, store: str, *, at: datetime) -> Chosen | None:
    """Return the newest complete snapshot of a store that a repository had at an instant.

    Args:
        site: The site.
        engine: restic on the copy; for a bucket as of the same instant.
        store: The store.
        at: The instant, aware.

    Raises:
        OrchestratorError: The snapshots cannot be listed.
    """
    with site.catalog.reading() as session:
        rows = snapshots.of_store(session, store, forgotten=True)
        complete = {row.id: row.complete for row in rows}
    found = complete_snapshots(engine.snapshots(), store, known=complete)
    return max(
        (one for one in found if one.at <= at), key=lambda one: (one.at, one.id), default=None
    )


def one_snapshot(engine: Repository, store: str, prefix: str) -> Chosen:
    """Return the data snapshot of a repository whose id begins so, complete or not.

    Args:
        engine: restic on the copy.
        store: The store it must be of.
        prefix: The beginning of its id.

    Raises:
        NotFoundError: There is none, or it has no manifest.
        UsageError: There are several.
        OrchestratorError: The snapshots cannot be listed.
    """
    found = [
        one for one in complete_snapshots(engine.snapshots(), store) if one.id.startswith(prefix)
    ]
    if len(found) > 1:
        raise UsageError(
            f"several snapshots begin with {prefix}", hint="give more digits of the snapshot's id"
        )
    if not found:
        raise NotFoundError(
            f"store {store}: this copy had no snapshot {prefix} with a manifest then",
            hint="orchestrator snapshots, or a later instant",
        )
    return found[0]


def complete_snapshots(
    listed: Iterable[Snapshot], store: str, *, known: Mapping[str, bool] | None = None
) -> list[Chosen]:
    """Return the data snapshots that have a manifest: the last thing that a backup writes.

    Args:
        listed: All snapshots of the repository.
        store: The store they must be of.
        known: Whether a snapshot is complete, by id, as far as it is known.
    """
    ours = sorted(
        (one for one in listed if f"store={store}" in one.tags), key=lambda one: (one.time, one.id)
    )
    # Amended manifests come later, and replace the first one.
    manifests = {(run_of(one), replaced(one)): one.id for one in ours if "manifest" in one.tags}
    found = []
    for one in ours:
        run = run_of(one)
        whole = (known or {}).get(one.id, True)
        # What a disposal has stored anew has a manifest of its own.
        manifest = manifests.get((run, replaced(one))) or manifests.get((run, one.id))
        if "data" in one.tags and run is not None and manifest is not None and whole:
            found.append(Chosen(one.id, one.time, run, manifest))
    return found


def newest_manifest(listed: Iterable[Snapshot]) -> Snapshot | None:
    """Return the newest manifest of a repository; of a run that has several, the last one stored.

    A disposal dates what it stores anew as what it replaces, to the second.
    """
    by_id = {one.id: one for one in listed}
    manifests = [one for one in by_id.values() if "manifest" in one.tags]

    def generation(one: Snapshot) -> int:
        origin, count = replaced(one), 0
        while origin is not None and count < len(by_id):
            count += 1
            origin = replaced(by_id[origin]) if origin in by_id else None
        return count

    return max(
        manifests,
        key=lambda one: (one.time.replace(microsecond=0), generation(one), one.time),
        default=None,
    )


def replaced(snapshot: Snapshot) -> str | None:
    """Return the data snapshot in whose place a disposal has stored this one, or its manifest.

    Returns:
        Its full id, by tags and original; None for what no disposal has stored.
    """
    if "manifest" in snapshot.tags:
        marks = [tag for tag in snapshot.tags if tag.startswith(REPLACES)]
        return marks[0].removeprefix(REPLACES) if marks else None
    return snapshot.original if REWRITTEN in snapshot.tags else None


def run_of(snapshot: Snapshot) -> str | None:
    """Return the id of the run that took a snapshot, by its tag; None without one."""
    prefix = "run="
    return next((tag.removeprefix(prefix) for tag in snapshot.tags if tag.startswith(prefix)), None)
