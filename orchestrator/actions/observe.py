"""Recording what was seen of a copy, and what it holds by the catalog's inventory."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.actions.copy_facts import BAD, detail_of, facts_of, limits
from orchestrator.actions.place_register import noting
from orchestrator.actions.places import OpenCopy
from orchestrator.actions.site import Site
from orchestrator.actions.verdict import CopyState, judge_copy
from orchestrator.catalog import (
    copies,
    disposals,
    generations,
    media,
    repositories,
    snapshots,
)
from orchestrator.engines.layout import FileKey

if TYPE_CHECKING:
    from sqlmodel import Session

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Held:
    """What a copy holds, by the catalog's inventory.

    Attributes:
        names: Kind and name of the good files.
        bad: Number of damaged or missing files.
        verified_at: The oldest verification among the good files; None if one was never verified.
        protected_until: The earliest lock end among the files the primary still needs.
    """

    names: frozenset[FileKey]
    bad: int
    verified_at: datetime | None
    protected_until: datetime | None


def versions(site: Site, copy: str, repository_id: str) -> dict[str, str]:
    """Return the recorded version id by repository path; empty but for buckets."""
    from orchestrator.engines.layout import file_path

    with site.catalog.reading() as session:
        return {
            file_path(held.kind, held.name): held.version_id
            for held in copies.inventory(session, (copy, "", repository_id))
            if held.version_id is not None
        }


def distrusted(site: Site, key: copies.CopyKey) -> set[FileKey]:
    """Return the files of a copy that are known to be damaged, and must be sent anew."""
    with site.catalog.reading() as session:
        return {(held.kind, held.name) for held in copies.inventory(session, key, states=BAD)}


def removed_from_primary(site: Site, repository_id: str) -> dict[FileKey, datetime]:
    """Return the files that a recorded prune took out of the primary, and when that was."""
    key = (site.config.primary.name, "", repository_id)
    with site.catalog.reading() as session:
        return {
            (held.kind, held.name): held.removed_at or _LONG_AGO
            for held in copies.inventory(session, key, states=("removed",))
        }


def held(session: Session, key: copies.CopyKey, needed: Collection[FileKey] | None) -> Held:
    """Sum up a copy's inventory.

    Args:
        session: Any session.
        key: The repository in the copy.
        needed: Files whose lock counts for `protected_until`; None for all.
    """
    names: set[FileKey] = set()
    bad = 0
    verified: list[datetime | None] = []
    protected: list[datetime | None] = []
    for row in copies.inventory(session, key, states=("good", *BAD)):
        if row.state in BAD:
            bad += 1
            continue
        name: FileKey = (row.kind, row.name)
        names.add(name)
        verified.append(row.verified_at)
        if needed is None or name in needed:
            protected.append(row.retain_until)
    return Held(frozenset(names), bad, _earliest(verified), _earliest(protected))


def record(
    site: Site,
    opened: OpenCopy,
    repository_id: str,
    *,
    replicated: bool,
    trouble: str | None = None,
    structure: str = "skipped",
    seen: bool = True,
) -> CopyState:
    """Record that a copy was there and what it holds now.

    Args:
        site: The site.
        opened: The copy.
        repository_id: The repository.
        replicated: Whether everything of the primary was brought to it.
        trouble: What is alarming about it; None for nothing.
        structure: What restic's own check found, as `CopyCheck.structure`; if it was not asked,
            what it found last still holds.
        seen: Whether its place has answered at all.

    Returns:
        The state that follows.
    """
    now = site.clock.now()
    key = (opened.name, opened.medium, repository_id)
    primary_key = (site.config.primary.name, "", repository_id)
    with site.catalog.transaction() as session:
        needed = held(session, primary_key, None).names
        have = held(session, key, needed)
        newest = _newest_held(session, repository_id, have.names, now)
        last = copies.get_state(session, key)
        unsound = detail_of(last.detail if last else None).get("unsound", False)
        detail = {
            "domain": opened.domain,
            "separate": opened.separate,
            "label": opened.label,
            "reachable": True,
            "words": trouble or opened.detail,
            "alarm": trouble is not None,
            "unsound": unsound if structure == "skipped" else structure == "damaged",
        }
        changes: copies.StateChanges = {
            "newest_snapshot": newest[0] if newest else None,
            "newest_at": newest[1] if newest else None,
            "verified_at": have.verified_at,
            "protected_until": have.protected_until,
            "observed_at": now,
            "detail": json.dumps(detail),
        }
        if replicated:
            changes["replicated_at"] = now
        copies.update_state(session, key, **changes)
        if seen:
            noting.note(site, session, opened.name)
        if opened.medium:
            copy = site.offline_config(opened.name)
            media.mark_seen(session, opened.medium, now=now, due_at=now + copy.due_every)
        return _judge_and_note(site, session, key, now)


def record_absence(site: Site, name: str, repository_id: str, words: str) -> None:
    """Record that a copy was looked for and not found."""
    now = site.clock.now()
    with site.catalog.transaction() as session:
        rows = [row for row in copies.states(session, name) if row.repository_id == repository_id]
        for medium, detail in [(row.medium, row.detail) for row in rows] or [("", None)]:
            body = {**detail_of(detail), "reachable": False, "words": words}
            key = (name, medium, repository_id)
            copies.update_state(session, key, observed_at=now, detail=json.dumps(body))
            _judge_and_note(site, session, key, now)


def suspicion(tampered: int, foreign: int = 0) -> str | None:
    """Say what is alarming about a bucket's names; None if nothing is.

    Args:
        tampered: Names with several versions, or hidden.
        foreign: Names that the primary never had.
    """
    words = []
    if tampered:
        words.append(
            f"{tampered} files have more than one version or are hidden: somebody overwrote or "
            "deleted them; the locked versions are still there"
        )
    if foreign:
        words.append(f"{foreign} files were put there by somebody else")
    return "; ".join(words) or None


def _judge_and_note(site: Site, session: Session, key: copies.CopyKey, now: datetime) -> CopyState:
    row = copies.get_state(session, key)
    if row is None:
        return "unknown"
    store = next(r.store for r in repositories.of_store(session) if r.id == key[2])
    newest = snapshots.newest_complete(session, store, now=now)
    judged = judge_copy(
        facts_of(site, session, row),
        newest=newest.at if newest else None,
        limits=limits(site, store),
        now=now,
    )
    copies.update_state(session, key, state=judged.state)
    return judged.state


def _newest_held(
    session: Session, repository_id: str, names: frozenset[FileKey], now: datetime
) -> tuple[str, datetime] | None:
    """The newest complete snapshot that is whole on a copy, together with its manifest.

    A copy that has not followed a disposal yet holds the pair that was replaced: it counts.
    """
    manifests = generations.manifest_by_data(session, repository_id)
    replaced = {row.old for row in disposals.replacements(session, repository_id=repository_id)}
    rows = snapshots.of_store(
        session, None, kind="data", repository_id=repository_id, forgotten=True
    )
    for row in rows:
        counts = row.complete and row.at <= now and row.id in manifests
        if (
            counts
            and (row.forgotten_at is None or row.id in replaced)
            and ("snapshots", row.id) in names
            and ("snapshots", manifests[row.id]) in names
        ):
            return row.id, row.at
    return None


def _earliest(instants: list[datetime | None]) -> datetime | None:
    if not instants or None in instants:
        return None
    return min(instant for instant in instants if instant is not None)
