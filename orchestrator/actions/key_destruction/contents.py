"""Whether everything in a repository is proven elsewhere, or was disposed of.

Content by content, as its manifests say: a version of an image that was changed since counts like
any other. What cannot be told is taken for the last copy. Knows nothing of keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions import custody
from orchestrator.actions.manifests import entry_lines, lines_of
from orchestrator.actions.site import Site
from orchestrator.catalog import (
    contents,
    copies,
    disposed,
    generations,
    repositories,
    snapshots,
    suppressions,
)
from orchestrator.manifest import decode_entry

if TYPE_CHECKING:
    from datetime import datetime

    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository

_STUDY = "study_instance_uid"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a repository holds, by its manifests.

    Attributes:
        snapshots: Number of its data snapshots.
        first_at: When the oldest was taken; None without any.
        last_at: When the newest was taken.
        studies: Pseudonym of the study by SHA-256 of the content; empty for what belongs to none.
        doubts: Why it is not known what it holds, in words.
    """

    snapshots: int
    first_at: datetime | None
    last_at: datetime | None
    studies: dict[str, str]
    doubts: tuple[str, ...]


def read(site: Site, repository: RepositoryRow, engine: Repository) -> Contents:
    """Read every manifest of a repository through one of its copies.

    Args:
        site: The site.
        repository: The repository.
        engine: restic on a copy of it.

    Raises:
        OrchestratorError: restic failed, or a manifest is not whole.
    """
    listed = engine.snapshots()
    data = [one for one in listed if "data" in one.tags]
    with site.catalog.reading() as session:
        manifests = generations.manifest_by_data(session, repository.id)
        rows = {
            row.id: row for row in snapshots.of_store(session, None, repository_id=repository.id)
        }
    there = {one.id for one in listed}
    doubts = []
    strangers = [one for one in data if one.id not in rows]
    if strangers:
        doubts.append(f"{len(strangers)} snapshots in it are not known to the catalog")
    away = [name for name in rows if name not in there]
    if away:
        doubts.append(f"{len(away)} of its snapshots are not in the copy that was read")
    studies: dict[str, str] = {}
    for one in data:
        manifest = manifests.get(one.id)
        if manifest is None or manifest not in there:
            doubts.append(f"snapshot {one.id[:8]} has no manifest there")
            continue
        studies.update(_named(site, engine, manifest))
    return Contents(
        snapshots=len(data),
        first_at=min((one.time for one in data), default=None),
        last_at=max((one.time for one in data), default=None),
        studies=studies,
        doubts=tuple(doubts),
    )


def _named(site: Site, engine: Repository, manifest: str) -> Iterator[tuple[str, str]]:
    pseudonyms = site.catalog.keys.pseudonyms
    known: dict[str, str] = {"": ""}
    for line in entry_lines(lines_of(engine.dump(manifest, "/manifest.jsonl"))):
        entry = decode_entry(line)
        if entry.sha256 is None:
            continue
        uid = (entry.dicom or {}).get(_STUDY, "")
        if uid not in known:
            known[uid] = pseudonyms.study(uid)
        yield entry.sha256, known[uid]


def missing_elsewhere(
    site: Site, session: Session, repository: RepositoryRow, held: Contents
) -> list[str]:
    """Say what of a repository's content is neither proven elsewhere nor disposed of, in words.

    Args:
        site: The site.
        session: The session of the transaction in which the key would go.
        repository: The repository.
        held: What it holds.
    """
    gone = _disposed(site, session, repository.store, set(held.studies.values()) - {""})
    wanted = [sha256 for sha256, study in held.studies.items() if study not in gone]
    stores = proven_stores(site, session, besides=repository.id)
    there = contents.present(session, stores, wanted)
    left = [sha256 for sha256 in wanted if sha256 not in there]
    found = list(held.doubts)
    if left:
        studies = {held.studies[one] for one in left} - {""}
        where = f"stores {', '.join(stores)}" if stores else "no store, for none is proven"
        found.append(
            f"{len(left)} contents, of {len(studies)} studies and of files without one, are "
            f"proven nowhere else ({where})"
        )
    return found


def _disposed(site: Site, session: Session, store: str, studies: set[str]) -> set[str]:
    """Return which studies of a repository were disposed of, and that no other store keeps.

    A store that was given another name is another one: what is disposed of there counts here, but
    not what a third store has and keeps, maybe in another version.

    Args:
        site: The site.
        session: Any session.
        store: The repository's store.
        studies: Pseudonyms.
    """
    listed = {(where, study) for where, study, _ in suppressions.every(session)}
    found = {study for _, study in listed} & studies
    kept = {
        study
        for other in site.config.stores
        for study in disposed.there(session, other, found)
        if (other, study) not in listed
    }
    return {study for study in found if study not in kept or (store, study) in listed}


def proven_stores(site: Site, session: Session, *, besides: str) -> dict[str, str]:
    """Return the stores whose newest complete snapshot a copy is proven to hold, with its run.

    Args:
        site: The site.
        session: Any session.
        besides: Id of a repository that does not count.
    """
    now = site.clock.now()
    found: dict[str, str] = {}
    for store in site.config.stores:
        rows = repositories.of_store(session, store)
        if not rows or rows[-1].id == besides:
            continue
        current = rows[-1]
        newest = snapshots.newest_complete(session, store, now=now, repository_id=current.id)
        if newest is None:
            continue
        for state in copies.states(session, store=store):
            proof = (
                custody.proof_of(session, site, state, now)
                if state.repository_id == current.id
                else None
            )
            if proof is not None and ("snapshots", newest.id) in proof[0]:
                found[store] = newest.run_id
                break
    return found
