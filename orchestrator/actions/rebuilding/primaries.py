"""Bringing the inventory of the primary up to what is there when the catalog is made anew.

The state may be older than the last prune. What a prune took is no damage, and what is lost is no
prune: where nothing but a person can tell the two apart, a person is asked.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from orchestrator.actions import as_of
from orchestrator.actions import primary as primaries
from orchestrator.actions.rebuilding import contents
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, snapshots
from orchestrator.engines.interface import StoredFile
from orchestrator.engines.layout import RepositoryFile
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow

_EVER = ("good", "damaged", "missing", "removed")

_log = logging.getLogger(__name__)


def list_primary(site: Site, repository: RepositoryRow, *, rotated: bool, lost: list[str]) -> None:
    """Enter what is in the primary; `check` says how good it is.

    Args:
        site: The site.
        repository: The repository.
        rotated: A person says that a rotation took what is gone since the state.
        lost: What a person must look at is added here.

    Raises:
        OrchestratorError: The catalog or the disk fails.
    """
    root = site.primary_root(repository.name)
    if not os.path.isdir(root):
        return
    name = site.config.primary.name
    key = (name, "", repository.id)
    listed = list(primaries.place_of(site, repository).list())
    with site.catalog.transaction() as session:
        copies.record_listed(session, key, listed, now=site.clock.now())
    try:
        missing = _missing_packs(site, repository, listed)
        unexplained, younger = _compared(site, repository)
    except OrchestratorError as error:
        _log.warning("copy %s could not be looked into: %s", name, error.message)
        lost.append(
            f"copy {name}, store {repository.store}: nobody could look whether something is "
            f"missing: {error.message}: orchestrator check {name}"
        )
        return
    if younger:
        lost.append(
            f"store {repository.store}: copy {name} has {younger} snapshots that the copy that was "
            "read has not: nothing is disposed of by what it lacks: orchestrator catalog rebuild "
            f"--copy {name}"
        )
    if missing:
        with site.catalog.transaction() as session:
            copies.record_listed(session, key, missing, now=site.clock.now())
            copies.mark_missing(session, key, [one.file.key for one in missing])
        lost.append(
            f"copy {name}, store {repository.store}: {len(missing)} packs that its index names "
            "are missing: heal it from a replica (docs/recovery.md), then: orchestrator catalog "
            "rebuild --copy COPY"
        )
        return
    if unexplained and not rotated:
        lost.append(
            f"copy {name}, store {repository.store}: {len(unexplained)} snapshots that the state "
            "knows are gone from it. If a rotation took them since the last backup: orchestrator "
            "catalog rebuild --copy COPY --rotated. If not, bring them back from another copy first"
        )
        return
    for other in site.config.copies:
        if other != name:
            _enter_given_up(site, repository, other)
    if primaries.differs_from_inventory(site, repository):
        # The next run that writes prunes, asks the holds, and records what is gone.
        primaries.open_rotation(site, repository, unexplained)


def _enter_given_up(site: Site, repository: RepositoryRow, copy: str) -> None:
    """Enter index files and their packs that a copy has and the primary had, until a prune.

    The state is older than the last files of its own backup. Nobody could tell otherwise that they
    are ours, and no copy would ever lose them. They are gone only once the next prune has found
    that the primary is sound without them. Index files are read: a stranger's would not open.
    """
    key = (site.config.primary.name, "", repository.id)
    with site.catalog.reading() as session:
        known = {(row.kind, row.name) for row in copies.inventory(session, key, states=_EVER)}
    try:
        with contents.reading(site, copy, repository) as engine:
            found = engine.indexes(besides={name for kind, name in known if kind == "index"})
    except OrchestratorError as error:
        _log.info("copy %s could not be asked for what was given up: %s", copy, error.message)
        return
    files = [RepositoryFile("index", one, 0) for one in found]
    files += [RepositoryFile("data", one, 0) for one in sorted(frozenset().union(*found.values()))]
    unknown = [StoredFile(one) for one in files if one.key not in known]
    with site.catalog.transaction() as session:
        copies.record_listed(session, key, unknown, now=site.clock.now())


def _missing_packs(
    site: Site, repository: RepositoryRow, listed: list[StoredFile]
) -> list[StoredFile]:
    """Return the packs that the index names and nobody finds: a prune leaves none."""
    there = {one.file.name for one in listed if one.file.kind == "data"}
    indexed = site.primary_engine(repository.store, repository.name).indexed_packs()
    return [StoredFile(RepositoryFile("data", one, 0)) for one in sorted(indexed - there)]


def _compared(site: Site, repository: RepositoryRow) -> tuple[list[str], int]:
    """Compare the data snapshots of the primary with those that the new catalog knows.

    Those that a disposal has stored anew are in their successors.

    Returns:
        Which of the known ones the primary has no more, and how many of our runs' it has besides.
    """
    found = site.primary_engine(repository.store, repository.name).snapshots()
    there = {one.id for one in found} | {as_of.replaced(one) for one in found}
    with site.catalog.reading() as session:
        known = snapshots.of_store(session, repository.store, repository_id=repository.id)
        ever = {
            row.id
            for row in snapshots.of_store(
                session, repository.store, repository_id=repository.id, forgotten=True
            )
        }
    ours = [one for one in found if "data" in one.tags and as_of.run_of(one) is not None]
    younger = sum(one.id not in ever and as_of.replaced(one) not in ever for one in ours)
    return sorted(row.id for row in known if row.id not in there), younger
