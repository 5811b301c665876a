"""A prune that was cut off, and a hold that came before anybody went on with it.

Between forgetting and pruning a crash may lie, and so may days. Until the prune what was forgotten
is still there in packs: where a hold covers some of it by now, the snapshots are brought back from
a replica; while none can give them, nothing is pruned.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import observe
from orchestrator.actions.holds import guard
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, disposals, facts, media, snapshots
from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.layout import RepositoryFile
from orchestrator.errors import DamageError, OrchestratorError, StoppedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.interface import StoredFile
    from orchestrator.engines.layout import FileKey
    from orchestrator.engines.restic.repository import Repository

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Unpruned:
    """What was forgotten, or was about to be, and is not known to be pruned.

    Attributes:
        ids: Full ids of snapshots.
        is_torn: A prune had begun to remove packs: a snapshot alone would be an empty shell.
    """

    ids: tuple[str, ...] = ()
    is_torn: bool = False


def note(session: Session, site: Site, repository: RepositoryRow, ids: Collection[str]) -> None:
    """Remember what is about to be forgotten, beside what was and is not pruned yet.

    Args:
        session: A writing session.
        site: The site.
        repository: The repository.
        ids: Full ids of data snapshots, and of those that nobody has recorded.
    """
    if ids:
        known = _noted(session, repository)
        _put(session, site, repository, replace(known, ids=tuple(sorted({*known.ids, *ids}))))


def is_noted(session: Session, repository: RepositoryRow) -> bool:
    """Say whether something was forgotten that is not known to be pruned."""
    return bool(_noted(session, repository).ids)


def drop(session: Session, repository: RepositoryRow) -> None:
    """Let it be over: the prune is recorded."""
    facts.drop(session, _key(repository))


def in_the_way(site: Site, repository: RepositoryRow, engine: Repository) -> str | None:
    """Say why a prune that was cut off may not go on; None if it may.

    What is on hold by now is brought back first, where a replica has it. What a disposal has
    replaced never comes back: it holds studies that are to go.

    Args:
        site: The site.
        repository: The repository; the lock of its store is ours.
        engine: restic on the primary.

    Raises:
        StoppedError: The work was told to stop.
        OrchestratorError: The primary or the catalog fail.
    """
    there = {stored.file.key for stored in _primary(site, repository).list()}
    with guard.guarded(site) as session:
        noted = _noted(session, repository)
        gone = [one for one in noted.ids if ("snapshots", one) not in there]
        # What came back before this was cut off is kept like anything that was never forgotten.
        back = _with_companions(session, repository, set(noted.ids) - set(gone))
        snapshots.mark_kept(session, (one for one in back if ("snapshots", one) in there))
        held = guard.held_among(site, session, repository.id, gone)
        if not held:
            return None
        lacking = _lacking(site, session, repository, there)
        if "data" in lacking and not noted.is_torn:
            noted = replace(noted, is_torn=True)
            _put(session, site, repository, noted)
        wanted = _with_companions(session, repository, held)
        replaced = {one.old for one in disposals.replacements(session, repository_id=repository.id)}
        holders = _holders(site, session, repository, held)
    name = f"copy {site.config.primary.name}, store {repository.store}"
    words = (
        f"{name}: nothing is pruned, for {len(held)} snapshots that were forgotten and not pruned "
        f"yet are {guard.in_words({one for ids in held.values() for one in ids})}"
    )
    if held.keys() & replaced:
        return f"{words}; a disposal has replaced them"
    if noted.is_torn:
        return f"{words}; some of what they need was removed before: {holders}"
    missing = {one for one in wanted if ("snapshots", one) not in there}
    source = _bring_back(site, repository, missing)
    if source is None:
        return f"{words}: {holders}"
    if "index" in lacking:
        engine.repair_index()
    with site.catalog.transaction() as session:
        snapshots.mark_kept(session, wanted)
    _log.warning("%s: %d snapshots on hold came back from copy %s", name, len(held), source)
    return None


def _lacking(
    site: Site, session: Session, repository: RepositoryRow, there: Collection[FileKey]
) -> set[str]:
    """Return the kinds of files that the primary had and does not have any more."""
    key = (site.config.primary.name, "", repository.id)
    rows = copies.inventory(session, key, states=("good", "damaged", "missing"))
    return {row.kind for row in rows if (row.kind, row.name) not in there}


def _with_companions(
    session: Session, repository: RepositoryRow, held: Iterable[str]
) -> frozenset[str]:
    """Return snapshots with the manifests and states of their runs."""
    wanted = set(held)
    rows = snapshots.of_store(session, None, kind=None, repository_id=repository.id, forgotten=True)
    nights = {row.run_id for row in rows if row.id in wanted}
    return frozenset(wanted | {row.id for row in rows if row.run_id in nights})


def _bring_back(site: Site, repository: RepositoryRow, wanted: Collection[str]) -> str | None:
    """Take snapshots from the first replica that has them all; return its name, or None."""
    for name in site.config.copies:
        if name == site.config.primary.name:
            continue
        try:
            known = observe.versions(site, name, repository.id)
            with open_copy(site, name, repository, versions=known) as opened:
                if _take_over(site, repository, opened, wanted):
                    return name
        except StoppedError:
            raise
        except OrchestratorError as error:
            _log.info("copy %s cannot give back what is on hold: %s", name, error.message)
    return None


def _take_over(
    site: Site, repository: RepositoryRow, opened: OpenCopy, wanted: Collection[str]
) -> bool:
    there = {
        stored.file.name: stored
        for stored in opened.place.list()
        if stored.file.kind == "snapshots" and stored.file.name in wanted
    }
    if there.keys() != set(wanted):
        return False
    target = _primary(site, repository)
    with tempfile.TemporaryDirectory(dir=site.state_dir, prefix="back-") as folder:
        for name, stored in sorted(there.items()):
            source = Path(folder) / name
            source.write_bytes(_content(opened, stored))
            target.put(RepositoryFile("snapshots", name, source.stat().st_size), source, name)
    target.flush()
    return True


def _content(opened: OpenCopy, stored: StoredFile) -> bytes:
    content = b"".join(opened.place.read(stored))
    if hashlib.sha256(content).hexdigest() != stored.file.name:
        raise DamageError(f"copy {opened.name}: {stored.file.path} is damaged")
    return content


def _holders(site: Site, session: Session, repository: RepositoryRow, held: Collection[str]) -> str:
    """Say which copies have what is on hold, as far as is known."""
    found = []
    for state in copies.states(session, store=repository.store):
        key = (state.copy_, state.medium, repository.id)
        names = {row.name for row in copies.inventory(session, key) if row.kind == "snapshots"}
        if state.copy_ != site.config.primary.name and names >= set(held):
            label = f", medium {media.get(session, state.medium).label}" if state.medium else ""
            found.append(f"copy {state.copy_}{label}")
    if not found:
        return "no other copy has them whole"
    return f"only {' and '.join(sorted(found))} has them whole"


def _primary(site: Site, repository: RepositoryRow) -> DirectoryPlace:
    return DirectoryPlace(site.config.primary.name, site.primary_root(repository.name))


def _noted(session: Session, repository: RepositoryRow) -> _Unpruned:
    fact = facts.get(session, _key(repository))
    if fact is None:
        return _Unpruned()
    found = json.loads(fact.value)
    return _Unpruned(tuple(found["ids"]), bool(found["is_torn"]))


def _put(session: Session, site: Site, repository: RepositoryRow, known: _Unpruned) -> None:
    value = json.dumps({"ids": list(known.ids), "is_torn": known.is_torn})
    facts.put(session, _key(repository), value=value, now=site.clock.now())


def _key(repository: RepositoryRow) -> str:
    return f"forgotten:{repository.id}"
