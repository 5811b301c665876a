"""What the primary of a store holds, before snapshots are stored anew and after a crash.

What a disposal stored anew and nobody recorded is known by its marks: a data snapshot by its
original, a manifest by the tag ``replaces=``. While the original is still there it is of no use
and is discarded; once the original is gone it is what stands in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.actions import as_of
from orchestrator.actions.holds import guard
from orchestrator.actions.run import Run
from orchestrator.catalog import generations, runs, snapshots
from orchestrator.errors import DamageError, RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.catalog.tables import Run as RunRow
    from orchestrator.catalog.tables import Snapshot as Row
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.engines.restic.values import Snapshot


@dataclass(frozen=True, slots=True)
class Pair:
    """A data snapshot of the primary and its manifest.

    Attributes:
        data: As recorded.
        manifest: As recorded.
        listed: The data snapshot as the repository lists it.
        listed_manifest: The manifest's snapshot as the repository lists it.
    """

    data: Row
    manifest: Row
    listed: Snapshot
    listed_manifest: Snapshot


@dataclass(slots=True)
class Look:
    """The snapshots of a primary.

    Attributes:
        pairs: What is kept, newest first.
        states: Ids of the snapshots of the site's state.
        adopted: What a disposal that was cut off has stored anew, and whose original is gone.
        discard: What one has stored anew, and whose original is still there.
        leftovers: What failed runs left, and what was forgotten and is still there.
    """

    pairs: list[Pair] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    adopted: list[Snapshot] = field(default_factory=list)
    discard: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def look(current: Run, repository: RepositoryRow, engine: Repository) -> Look:
    """List a primary and compare it with what is recorded.

    Raises:
        RefusedError: It holds a snapshot of which nobody can say what is in it.
        DamageError: A snapshot that is recorded is not there.
    """
    listed = {one.id: one for one in engine.snapshots()}
    found = Look()
    with current.site.catalog.reading() as session:
        rows = snapshots.of_store(
            session, None, kind=None, repository_id=repository.id, forgotten=True
        )
        known = {row.id: row for row in rows}
        manifests = generations.manifest_by_data(session, repository.id, forgotten=False)
        for one in listed.values():
            _classify(current, session, repository, one, known, listed, found)
    for row in rows:
        if row.forgotten_at is not None or row.kind == "manifest":
            continue
        if row.id not in listed:
            raise _damaged(current, repository, f"snapshot {row.id[:8]} is not there")
        if row.kind == "state":
            found.states.append(row.id)
            continue
        manifest = manifests.get(row.id)
        if manifest is None or manifest not in listed:
            raise _unknown(current, repository, row.id, "has no manifest")
        found.pairs.append(Pair(row, known[manifest], listed[row.id], listed[manifest]))
    return found


def _classify(
    current: Run,
    session: Session,
    repository: RepositoryRow,
    one: Snapshot,
    known: dict[str, Row],
    listed: dict[str, Snapshot],
    found: Look,
) -> None:
    row = known.get(one.id)
    if row is not None:
        if row.forgotten_at is not None:
            _demand_free(current, session, repository, one)
            found.leftovers.append(one.id)
        return
    origin = as_of.replaced(one)
    if origin is not None and origin in known:
        if origin in listed:
            found.discard.append(one.id)
        else:
            found.adopted.append(one)
        return
    name = as_of.run_of(one)
    of_run = runs.get(session, name) if name is not None else None
    if of_run is None or of_run.store != repository.store or of_run.id == current.id:
        hint = None
        if name is not None and f"store={repository.store}" in one.tags:
            # It bears the marks of a backup of ours: rather the catalog lacks it.
            hint = (
                "if the catalog was made anew from another copy, make it from this one: "
                f"orchestrator catalog rebuild --copy {current.site.config.primary.name}; "
                f"else {_BY_HAND}"
            )
        raise _unknown(current, repository, one.id, "is of no run of this site", hint=hint)
    if "state" not in one.tags:  # which holds no image, and a newer one is made each time
        _demand_useless(current, session, repository, one, of_run)
    found.leftovers.append(one.id)


def _demand_free(current: Run, session: Session, repository: RepositoryRow, one: Snapshot) -> None:
    """Refuse what was forgotten, came back by hand, and is on hold by now."""
    held = guard.held_among(current.site, session, repository.id, [one.id])
    if held:
        raise RefusedError(
            f"copy {current.site.config.primary.name}, store {repository.store}: snapshot "
            f"{one.id[:8]} was forgotten and is there again, and it is "
            f"{guard.in_words(held[one.id])}",
            hint="orchestrator hold list",
        )


def _demand_useless(
    current: Run, session: Session, repository: RepositoryRow, one: Snapshot, of_run: RunRow
) -> None:
    """Refuse what a run has left unless that run failed and a whole snapshot is newer."""
    if of_run.outcome not in ("failed", "interrupted", "refused"):
        raise _unknown(current, repository, one.id, "was never recorded")
    if guard.concerning(session, current.site, repository.store):
        raise _unknown(
            current, repository, one.id, "was left by a failed run, and holds are placed"
        )
    newest = snapshots.newest_complete(
        session, repository.store, now=current.site.clock.now(), repository_id=repository.id
    )
    if newest is None or of_run.started_at >= newest.at:
        raise RefusedError(
            f"store {repository.store}: the last backup failed and has left a snapshot that "
            "nobody can look into",
            hint=f"orchestrator backup {repository.store}, then run it again",
        )


_BY_HAND = "look into it with restic, and forget it there: docs/recovery.md"


def _unknown(
    current: Run, repository: RepositoryRow, snapshot: str, why: str, *, hint: str | None = None
) -> RefusedError:
    return RefusedError(
        f"copy {current.site.config.primary.name}, store {repository.store}: snapshot "
        f"{snapshot[:8]} {why}: nobody can say whether it holds a study that is disposed of",
        hint=hint or _BY_HAND,
    )


def _damaged(current: Run, repository: RepositoryRow, what: str) -> DamageError:
    name = current.site.config.primary.name
    return DamageError(
        f"copy {name}, store {repository.store}: {what}", hint=f"orchestrator check {name}"
    )
