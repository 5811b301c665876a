"""Proving that a place holds nothing any more of what was disposed of. Nothing is removed here.

The primary was proved by restic when it was rewritten (`inside`); later it is enough that nothing
that was replaced is back. A replica is proved by its names: it has nothing that the primary gave
up, or that nobody knows. What the proof rests on is told in the evidence; nothing is assumed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.actions import observe
from orchestrator.actions import primary as primaries
from orchestrator.actions.disposal import beside, live
from orchestrator.actions.engine_view import engine_on
from orchestrator.actions.lock import reading
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, disposals, disposed, repositories, snapshots
from orchestrator.catalog.disposal_tables import LIVE
from orchestrator.catalog.disposals import GOING, CopyKey
from orchestrator.config.site import ImmutableCopy
from orchestrator.errors import AbsentCopyError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.layout import FileKey

State = Literal["absent", "residual", "unknown"]

FOLLOWED = "what the primary gave up was removed"
LOCK_ENDED = "versions removed after their lock had ended"

FREE_SINCE = "free_since"
"""Field of a primary's evidence: when it was first proved to hold nothing of the studies."""

_MOST_ASKED = 200
"""So many versions are asked for their lock, one request each."""

_THERE = ("good", "damaged", "missing")


@dataclass(frozen=True, slots=True)
class Proof:
    """What a look at a place has found.

    Attributes:
        state: Whether anything of the studies is there.
        residual_until: Until when it is kept there, as far as that is known.
        detail: More, in words; names no study.
        evidence: What was looked at and found, as JSON values; `technique` is in words.
    """

    state: State
    residual_until: datetime | None = None
    detail: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


def prove_copy(site: Site, disposal: str, key: CopyKey) -> Proof:
    """Look whether a place still holds anything of a disposal's studies.

    Args:
        site: The site.
        disposal: Id of the disposal.
        key: The place: the store itself, its primary, a replica or one medium.

    Raises:
        AbsentCopyError: The copy or medium is not here now.
        LockedError: Files are being removed from it just now.
        OrchestratorError: It cannot be looked at.
    """
    if key.copy == LIVE:
        return _prove_live(site, disposal, key)
    repository = site.repository(key.store)
    with ExitStack() as stack:
        stack.enter_context(reading(site.lock_dir, key.store))
        versions = observe.versions(site, key.copy, repository.id)
        opened = stack.enter_context(open_copy(site, key.copy, repository, versions=versions))
        if opened.medium != key.medium:
            raise AbsentCopyError(f"copy {key.copy}: another medium is connected")
        if key.copy == site.config.primary.name:
            return _prove_primary(site, disposal, key, repository)
        return _prove_replica(site, disposal, opened, repository)


def _prove_live(site: Site, disposal: str, key: CopyKey) -> Proof:
    """Look whether the last walk of the store has seen one of the studies."""
    with site.catalog.reading() as session:
        gone = disposals.studies(session, disposal, store=key.store, states=GOING)
        row = disposals.copy_row(session, key)
        there = disposed.there(session, key.store, [one.study_key for one in gone])
        state = repositories.store_state(session, key.store)
        waiting = disposals.studies(
            session, disposal, store=key.store, states=(disposals.SUPPRESSED,)
        )
    evidence = {"technique": live.TECHNIQUE, **(row.evidence if row is not None else {})}
    if state is not None and state.walked_at is not None:
        evidence["walked_at"] = state.walked_at.isoformat(timespec="seconds")
    if there:
        return Proof(
            "residual", detail=f"{sum(there.values())} files are in the store", evidence=evidence
        )
    if waiting:
        return Proof("residual", detail="not removed from the store yet", evidence=evidence)
    if row is None or "files" not in evidence:
        return Proof("unknown", detail="nobody has removed it", evidence=evidence)
    removed = max((one.live_removed_at for one in gone if one.live_removed_at), default=None)
    walked = state.walked_at if state is not None else None
    if evidence.get(live.MOVED) and (walked is None or removed is None or walked <= removed):
        words = "files were not where the backup had seen them: the next backup looks for them"
        return Proof("unknown", detail=words, evidence=evidence)
    return Proof("absent", evidence=evidence)


def _prove_primary(site: Site, disposal: str, key: CopyKey, repository: RepositoryRow) -> Proof:
    """Look into the primary once more: nothing that is unused, nothing that is unknown."""
    with site.catalog.reading() as session:
        row = disposals.copy_row(session, key)
        studies = _studies(session, disposal, key.store)
        waiting = disposals.studies(
            session,
            disposal,
            store=key.store,
            states=(disposals.SUPPRESSED, disposals.LIVE_REMOVED),
        )
        was_proved = row is not None and "blobs_used" in row.evidence
        there = disposed.there(session, key.store, studies)
    if waiting or not was_proved:
        return Proof("residual", detail="not rewritten yet")
    evidence = dict(row.evidence) if row is not None else {}
    if there:
        return Proof("residual", detail="a backup has stored it again", evidence=evidence)
    engine = site.primary_engine(key.store, repository.name)
    present = {one.file.key for one in primaries.place_of(site, repository).list()}
    with site.catalog.reading() as session:
        # Beyond these a backup may be writing just now; what was given up nobody writes again.
        left, _ = _obsolete(site, session, disposal, repository, present)
        known = {
            one.id
            for one in snapshots.of_store(session, None, kind=None, repository_id=repository.id)
        }
        replaced = _replaced(session, disposal, repository.id)
    listed = {one.id for one in engine.snapshots()}
    if listed & replaced or listed - known:
        strange = len(listed & replaced) + len(listed - known)
        return Proof(
            "residual", detail=f"{strange} snapshots hold what was replaced", evidence=evidence
        )
    if left:
        words = f"{len(left)} files that it had given up are there again"
        return Proof("residual", detail=words, evidence=evidence)
    strays = beside.strays(site.primary_root(repository.name), is_written=True)
    if strays:
        words = f"{strays} files in its folder are of nobody known"
        return Proof("unknown", detail=words, evidence=evidence)
    evidence["looked_at"] = site.clock.now().isoformat(timespec="seconds")
    return Proof("absent", evidence=evidence)


def _prove_replica(site: Site, disposal: str, opened: OpenCopy, repository: RepositoryRow) -> Proof:
    """Compare a replica's names with the primary's, then let restic look at what is left."""
    is_bucket = isinstance(opened.copy, ImmutableCopy)
    present = _names(site, opened, repository)
    strays = beside.strays(opened.folder) if opened.folder is not None else 0
    with site.catalog.reading() as session:
        left, strange = _obsolete(site, session, disposal, repository, present)
        replaced = _replaced(session, disposal, repository.id)
        free = _looked_into(site, session, disposal, repository)
        until = _locked_until(session, opened, repository, left)
    evidence: dict[str, Any] = {
        "technique": LOCK_ENDED if is_bucket else FOLLOWED,
        "files": len(present),
        "given_up": len(left),
        "unknown": len(strange) + strays,
        "looked_at": site.clock.now().isoformat(timespec="seconds"),
    }
    if left:
        if is_bucket and (until is None or until <= site.clock.now()):
            until = _lengthened(site, opened.name, repository, left, until)
        words = f"{len(left)} files that the primary gave up are there"
        return Proof("residual", until, words, evidence)
    if strange or strays:
        words = f"{len(strange) + strays} files are of nobody known"
        return Proof("unknown", None, words, evidence)
    with engine_on(site, opened, repository.name) as view:
        listed = {one.id for one in view.engine.snapshots()}
    evidence["snapshots"] = len(listed)
    evidence["snapshots_replaced"] = len(listed & replaced)
    if listed & replaced or listed - free:
        return Proof("residual", None, "it shows snapshots that were replaced", evidence)
    return Proof("absent", evidence=evidence)


def _names(site: Site, opened: OpenCopy, repository: RepositoryRow) -> set[FileKey]:
    """Return what a copy lists; of a bucket every version, hidden ones too."""
    if not isinstance(opened.copy, ImmutableCopy):
        return {stored.file.key for stored in opened.place.list()}
    names: set[FileKey] = set()
    with site.bucket(opened.name) as bucket:
        for version in bucket.versions(repository.name):
            if not version.is_marker:
                names.add(version.parsed or ("unknown", version.path))
    return names


def _obsolete(
    site: Site,
    session: Session,
    disposal: str,
    repository: RepositoryRow,
    present: set[FileKey],
) -> tuple[set[FileKey], set[FileKey]]:
    """Return which of a copy's files may hold the studies, and which nobody knows.

    What the primary gave up later than it was proved free for the first time cannot: it was there
    then, and had been looked into.
    """
    key = (site.config.primary.name, "", repository.id)
    proved = _free_since(site, session, disposal, repository)
    needed = {(one.kind, one.name) for one in copies.inventory(session, key, states=_THERE)}
    given_up = {
        (one.kind, one.name): one.removed_at
        for one in copies.inventory(session, key, states=("removed",))
    }
    beyond = present - needed
    strange = beyond - given_up.keys()
    left: set[FileKey] = set()
    for name in beyond - strange:
        at = given_up[name]
        if at is None or at <= proved:
            left.add(name)
    return left, strange


def _looked_into(
    site: Site, session: Session, disposal: str, repository: RepositoryRow
) -> set[str]:
    """Return the snapshots that were in the primary when it was proved free, or came later.

    One that rotation took from it since then may stay on a copy for as long as a lock runs.
    """
    proved = _free_since(site, session, disposal, repository)
    rows = snapshots.of_store(session, None, kind=None, repository_id=repository.id, forgotten=True)
    return {one.id for one in rows if one.forgotten_at is None or one.forgotten_at > proved}


def _free_since(site: Site, session: Session, disposal: str, repository: RepositoryRow) -> datetime:
    """Return when a primary was proved free for the first time; the end of time if it was not."""
    row = disposals.copy_row(session, CopyKey(disposal, repository.store, site.config.primary.name))
    first = row.evidence.get(FREE_SINCE) if row is not None else None
    return datetime.fromisoformat(first or "9999-12-31T00:00:00+00:00")


def _locked_until(
    session: Session, opened: OpenCopy, repository: RepositoryRow, left: set[FileKey]
) -> datetime | None:
    """Return when the last lock of these files ends, as far as it is recorded."""
    if not left:
        return None
    key = (opened.name, opened.medium, repository.id)
    locks = [
        one.retain_until
        for one in copies.inventory(session, key, states=(*_THERE, "removed"))
        if (one.kind, one.name) in left and one.retain_until is not None
    ]
    return max(locks, default=None)


def _lengthened(
    site: Site,
    copy: str,
    repository: RepositoryRow,
    left: set[FileKey],
    until: datetime | None,
) -> datetime | None:
    """Ask a bucket until when it keeps what should be gone: others may lengthen locks, too."""
    found = [until] if until is not None else []
    with site.bucket(copy) as bucket:
        there = (one for one in bucket.versions(repository.name) if not one.is_marker)
        for version in islice((one for one in there if one.parsed in left), _MOST_ASKED):
            retained = bucket.retention(version)
            found += [retained] if retained is not None else []
    return max(found, default=None)


def _studies(session: Session, disposal: str, store: str) -> list[str]:
    rows = disposals.studies(session, disposal, store=store, states=GOING)
    return [row.study_key for row in rows]


def _replaced(session: Session, disposal: str, repository_id: str) -> set[str]:
    rows = disposals.replacements(session, disposal=disposal, repository_id=repository_id)
    return {row.old for row in rows}
