"""The one choke point: whoever removes anything asks here, in the transaction in which it goes.

`gate` first, then ask, then act, then commit: a hold is placed either before that transaction,
and is seen in it, or after it. What cannot be known (snapshots from before the catalog was made
anew, files whose content was replaced) is taken for held. Knows nothing of how things are removed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.actions.holds import coverage
from orchestrator.actions.holds.replaced import Replaced
from orchestrator.actions.holds.witnessed import open_since, records_begin
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, hold_cover, holds, repositories, snapshots
from orchestrator.errors import OrchestratorError, RefusedError
from orchestrator.retention.hold import Hold

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.actions.ledger.record import Event
    from orchestrator.catalog.tables import Snapshot

_ATTEMPTS = "hold_refusals"
_THERE = ("good", "damaged", "missing")
_NAMED_IN_ENTRY = 50
_NAMED_IN_MESSAGE = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that somebody wants to remove for good, or take out of service.

    Attributes:
        path: Which way it would go, such as ``medium.retire``; stands in the ledger.
        what: In words, for the message, such as ``medium red``; names no patient.
        store: The store it is about; None for all.
        studies: Studies of the store that would go, by pseudonym.
        repository_id: The repository the snapshots are in.
        snapshots: Snapshots that would go, by full id.
        copy: The copy of the medium.
        medium: A medium all of whose snapshots would go, by its id in the register.
        everything: All of the store, or of all stores, would become unreadable.
    """

    path: str
    what: str
    store: str | None = None
    studies: Collection[str] = ()
    repository_id: str | None = None
    snapshots: Collection[str] = ()
    copy: str | None = None
    medium: str | None = None
    everything: bool = False


def gate(session: Session) -> None:
    """Shut the gate: nobody places or releases a hold until this transaction ends.

    Args:
        session: A writing session, before anything was read in it.

    Raises:
        LockedError: Somebody else holds it for longer than we wait.
        EngineError: The session cannot write.
    """
    holds.gate(session)


def in_force(session: Session, site: Site) -> list[Hold]:
    """Return the holds in force; see `coverage.in_force`."""
    return coverage.in_force(session, site)


@contextmanager
def guarded(site: Site) -> Iterator[Session]:
    """Open a transaction with its gate shut; what `demand_free` refuses in it is an entry after.

    Raises:
        LockedError: Somebody else writes for longer than we wait.
    """
    attempts: list[Event] = []
    try:
        with site.catalog.transaction() as session:
            session.info[_ATTEMPTS] = attempts
            gate(session)
            yield session
    finally:
        _record(site, attempts)


def held_studies(
    site: Site, session: Session, store: str, studies: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return which of these studies are on hold, each with the ids of its holds, sorted.

    Args:
        site: The site.
        session: The session of the transaction in which they would go.
        store: Their store.
        studies: Pseudonyms.
    """
    found: dict[str, list[str]] = {}
    for hold in in_force(session, site):
        selected = coverage.cover(site, session, store, hold, studies)
        if selected is None:
            continue
        covered = (
            set(studies)
            if hold.kind == "store"
            else hold_cover.studies(session, store, selected, studies)
        )
        if hold.study is not None and hold.study in studies:
            covered.add(hold.study)  # also of one that no row names any more
        for study in covered:
            found.setdefault(study, []).append(hold.id)
    return {study: tuple(sorted(ids)) for study, ids in found.items()}


def held_snapshots(site: Site, session: Session, repository_id: str) -> frozenset[str]:
    """Return the data snapshots of a repository that hold a held study, forgotten ones too.

    Args:
        site: The site.
        session: The session of the transaction in which they would go.
        repository_id: restic's full id.
    """
    return frozenset(held_by(site, session, repository_id))


def held_by(site: Site, session: Session, repository_id: str) -> dict[str, tuple[str, ...]]:
    """Return the data snapshots that hold a held study, each with the ids of the holds, sorted.

    Forgotten snapshots too: a replica may hold them still. One that a disposal has replaced does
    not count while what replaced it is kept and holds the study as well.

    Args:
        site: The site.
        session: The session of the transaction in which they would go.
        repository_id: restic's full id.
    """
    repository = repositories.get(session, repository_id)
    found: dict[str, list[str]] = {}
    kept = in_force(session, site)
    if repository is None or not kept:
        return {}
    rows = snapshots.of_store(
        session, repository.store, repository_id=repository_id, forgotten=True
    )
    replaced = Replaced.of(session, repository_id, rows)
    for hold in kept:
        for row in _holding(site, session, repository.store, hold, rows, replaced):
            found.setdefault(row.id, []).append(hold.id)
    return {snapshot: tuple(sorted(ids)) for snapshot, ids in found.items()}


def concerning(session: Session, site: Site, store: str | None) -> tuple[str, ...]:
    """Return the ids of the holds that may be about a store, or about any for None.

    For what nobody can look into: a snapshot of a run that was never committed, a key.
    """
    kept = in_force(session, site)
    return tuple(sorted(h.id for h in kept if store is None or h.store in (None, store)))


def held_on(site: Site, session: Session, key: copies.CopyKey) -> dict[str, tuple[str, ...]]:
    """Return the held snapshots that a copy has by its inventory, with their holds.

    A snapshot there that the catalog does not know is held by every hold about its store.

    Args:
        site: The site.
        session: Any session.
        key: The repository in the copy.
    """
    there = copies.inventory(session, key, states=_THERE)
    names = {file.name for file in there if file.kind == "snapshots"}
    return held_among(site, session, key[2], names)


def held_among(
    site: Site, session: Session, repository_id: str, names: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return which of some snapshots are on hold, with their holds.

    One that the catalog does not know is held by every hold about its store.

    Args:
        site: The site.
        session: The session of the transaction in which they would go.
        repository_id: restic's full id.
        names: Full ids of snapshots of any kind.
    """
    repository = repositories.get(session, repository_id)
    unknown = concerning(session, site, repository.store if repository is not None else None)
    if not unknown:
        return {}
    held = held_by(site, session, repository_id)
    known = {
        row.id
        for row in snapshots.of_store(
            session, None, kind=None, repository_id=repository_id, forgotten=True
        )
    }
    found = {name: held.get(name, () if name in known else unknown) for name in names}
    return {name: ids for name, ids in found.items() if ids}


def demand_free(site: Site, session: Session, removal: Removal) -> None:
    """Refuse a removal that a hold forbids, and remember the attempt for the ledger.

    Args:
        site: The site.
        session: The session of the transaction in which it would happen, its gate shut; that of
            `guarded`, or `record_refused` MUST follow the transaction.
        removal: What would go.

    Raises:
        RefusedError: A hold covers some of it; the holds are named.
    """
    ids: set[str] = set()
    held = 0
    if removal.studies and removal.store is not None:
        studies = held_studies(site, session, removal.store, removal.studies)
        held += len(studies)
        ids.update(*studies.values())
    if removal.snapshots and removal.repository_id is not None:
        going = held_among(site, session, removal.repository_id, removal.snapshots)
        held += len(going)
        ids.update(*going.values())
    if removal.medium is not None:
        for state in copies.states(session, removal.copy):
            if state.medium == removal.medium:
                key = (state.copy_, state.medium, state.repository_id)
                there = held_on(site, session, key)
                held += len(there)
                ids.update(*there.values())
    if removal.everything:
        ids.update(concerning(session, site, removal.store))
    if ids:
        session.info.setdefault(_ATTEMPTS, []).append(_refusal(removal, sorted(ids), held))
        raise RefusedError(f"{removal.what}: {in_words(ids)}", hint="orchestrator hold list")


def record_refused(site: Site, session: Session) -> None:
    """Write the attempts that were refused in a session; call it after its transaction."""
    _record(site, session.info.pop(_ATTEMPTS, []))


def _holding(
    site: Site,
    session: Session,
    store: str,
    hold: Hold,
    rows: Sequence[Snapshot],
    replaced: Replaced,
) -> Iterator[Snapshot]:
    """Yield the snapshots that hold something a hold covers, or may."""
    selected = coverage.cover(site, session, store, hold)
    if selected is None:
        return
    spans = [] if hold.kind == "store" else hold_cover.spans(session, store, selected)
    since = open_since(session, hold.id, store)
    begin = records_begin(session, store) or ""
    taken = replaced.taken_by(hold_cover.disposals_with(session, store, selected, Replaced.TAKEN))
    for row in rows:
        covered = (
            hold.kind == "store"
            or (since is not None and row.run_id >= since)
            or row.run_id < begin
            or any(
                span.first_run <= row.run_id
                and (span.gone_run is None or row.run_id < span.gone_run)
                for span in spans
            )
        )
        if row.id in taken or (covered and not replaced.is_superseded(row.id)):
            yield row


def _refusal(removal: Removal, ids: Sequence[str], held: int) -> Event:
    from orchestrator.actions.ledger.record import Event

    body: dict[str, Any] = {
        "path": removal.path,
        "holds": list(ids[:_NAMED_IN_ENTRY]),
        "held": held,
    }
    if removal.store is not None:
        body["store"] = removal.store
    if removal.medium is not None:
        body["medium"] = removal.medium
    return Event("hold.refused", body)


def _record(site: Site, attempts: list[Event]) -> None:
    from orchestrator.actions.ledger.record import record

    if not attempts:
        return
    try:
        record(site, attempts)
    except OrchestratorError as error:
        _log.error("the ledger does not say yet that a hold was met: %s", error.message)


def in_words(ids: Collection[str]) -> str:
    """Name holds in a sentence: ``on hold H-2026-0001``."""
    return f"on hold {_some(sorted(set(ids)))}"


def _some(ids: Sequence[str]) -> str:
    more = len(ids) - _NAMED_IN_MESSAGE
    return ", ".join(ids[:_NAMED_IN_MESSAGE]) + (f" and {more} more" if more > 0 else "")
