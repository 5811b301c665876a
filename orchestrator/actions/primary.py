"""Making sure that the primary is there, whole by its inventory, and free of a crash's remains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.places import read_marker
from orchestrator.actions.run import Run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, facts, runs
from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.interface import StoredFile
from orchestrator.engines.layout import is_temporary_name
from orchestrator.errors import DamageError, NotFoundError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.layout import FileKey
    from orchestrator.engines.restic.repository import Repository

CLEAN_OUTCOMES = ("succeeded", "partial", "refused")


def make_ready(current: Run, repository: RepositoryRow, engine: Repository) -> None:
    """Bring the primary into a state in which restic may write.

    Args:
        current: The run, which holds the store's lock: no other restic is at work.
        repository: The repository.
        engine: restic on the primary.

    Raises:
        NotFoundError: The primary is not there.
        DamageError: Files that must be there are missing, or have another length.
    """
    site = current.site
    root = check_there(site, repository)
    if (root / "locks").is_dir() and any((root / "locks").iterdir()):
        engine.unlock()
    if _ended_badly(current, repository.store):
        _remove_leftovers(root)
        # Packs a killed backup wrote are in no index: without this they would be sent again.
        engine.repair_index()
    if _rotation_is_open(site, repository):
        finish_rotation(site, repository, engine)
    check_inventory(site, repository)


def check_there(site: Site, repository: RepositoryRow) -> Path:
    """Return the primary's folder if it is really there.

    Raises:
        NotFoundError: It is not.
    """
    primary = site.config.primary
    root = site.primary_root(repository.name)
    hint = f"mount its disk; for a new copy: orchestrator init {site.config.path.parent}"
    if read_marker(primary.path) is None:
        raise NotFoundError(
            f"copy {primary.name}: its folder is not there, or its disk is not mounted", hint=hint
        )
    if not (root / "config").is_file():
        raise NotFoundError(
            f"copy {primary.name}: there is no repository for store {repository.store}",
            hint="restore it from a replica, or make a new one: see docs/recovery.md",
        )
    return root


def place_of(site: Site, repository: RepositoryRow) -> DirectoryPlace:
    """Return the primary's place."""
    return DirectoryPlace(site.config.primary.name, site.primary_root(repository.name))


def check_inventory(site: Site, repository: RepositoryRow) -> None:
    """Compare names and lengths with the inventory; content is `check`'s business.

    Raises:
        DamageError: Something is missing or has another length; the catalog says so from now on.
    """
    missing, damaged = _differences(site, repository)
    if not missing and not damaged:
        return
    key = (site.config.primary.name, "", repository.id)
    with site.catalog.transaction() as session:
        copies.mark_missing(session, key, missing)
        copies.mark_damaged(session, key, damaged)
        copies.update_state(session, key, state="damaged", observed_at=site.clock.now())
    first = (missing + damaged)[0]
    raise DamageError(
        f"copy {site.config.primary.name}, store {repository.store}: {len(missing)} files are "
        f"missing and {len(damaged)} have the wrong length, first {first[0]}/{first[1]}",
        hint=f"orchestrator check {site.config.primary.name}; heal it from a replica: "
        "docs/recovery.md",
    )


def differs_from_inventory(site: Site, repository: RepositoryRow) -> int:
    """Return how many of the primary's files are missing or of another length; changes nothing."""
    missing, damaged = _differences(site, repository)
    return len(missing) + len(damaged)


def _differences(site: Site, repository: RepositoryRow) -> tuple[list[FileKey], list[FileKey]]:
    key = (site.config.primary.name, "", repository.id)
    there: dict[FileKey, StoredFile] = {
        stored.file.key: stored for stored in place_of(site, repository).list()
    }
    missing: list[FileKey] = []
    damaged: list[FileKey] = []
    with site.catalog.reading() as session:
        for row in copies.inventory(session, key, states=("good", "damaged", "missing")):
            name: FileKey = (row.kind, row.name)
            if name not in there:
                missing.append(name)
            elif there[name].file.size_bytes != row.size_bytes or row.state == "damaged":
                damaged.append(name)
    return missing, damaged


def open_rotation(site: Site, repository: RepositoryRow) -> None:
    """Note that files may vanish from the primary from now on, before the first one does."""
    with site.catalog.transaction() as session:
        facts.put(session, _rotation(repository), value="open", now=site.clock.now())


def finish_rotation(site: Site, repository: RepositoryRow, engine: Repository) -> list[FileKey]:
    """Prune, make sure the rest is sound, and record what left the primary.

    Raises:
        DamageError: After the prune the repository's structure is not sound.
    """
    engine.unlock()
    engine.prune()
    report = engine.check()
    if report.errors:
        raise DamageError(
            f"copy {site.config.primary.name}, store {repository.store}: after a prune the "
            f"repository has {report.errors} structural errors",
            hint=f"orchestrator check {site.config.primary.name}",
        )
    key = (site.config.primary.name, "", repository.id)
    listed = list(place_of(site, repository).list())
    there = {stored.file.key for stored in listed}
    with site.catalog.transaction() as session:
        gone: list[FileKey] = [
            (row.kind, row.name)
            for row in copies.inventory(session, key)
            if (row.kind, row.name) not in there
        ]
        copies.mark_removed(session, key, gone, now=site.clock.now())
        copies.record_listed(session, key, listed, now=site.clock.now())
        facts.put(session, _rotation(repository), value="done", now=site.clock.now())
    return gone


def _rotation_is_open(site: Site, repository: RepositoryRow) -> bool:
    with site.catalog.reading() as session:
        fact = facts.get(session, _rotation(repository))
    return fact is not None and fact.value == "open"


def _rotation(repository: RepositoryRow) -> str:
    return f"rotation:{repository.id}"


def _ended_badly(current: Run, store: str) -> bool:
    with current.site.catalog.reading() as session:
        for row in runs.recent(session, store, limit=20):
            if row.id != current.id and row.action in ("backup", "rotate"):
                return row.outcome not in CLEAN_OUTCOMES
    return False


def _remove_leftovers(root: Path) -> None:
    """Remove temporary names of a killed restic; none is at work, for the lock is ours."""
    folders = [root / kind for kind in ("index", "snapshots", "keys")]
    folders += [folder for folder in (root / "data").iterdir() if folder.is_dir()]
    for folder in folders:
        for path in folder.iterdir():
            if is_temporary_name(path.name):
                path.unlink(missing_ok=True)
