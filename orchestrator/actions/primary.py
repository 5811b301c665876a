"""Making sure that the primary is there, whole by its inventory, and free of a crash's remains."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import forgotten
from orchestrator.actions.place_register import noting
from orchestrator.actions.places import read_marker
from orchestrator.actions.run import Run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, facts, runs, snapshots
from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.interface import StoredFile
from orchestrator.engines.layout import is_temporary_name
from orchestrator.errors import DamageError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

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
    noting.before_writing(site, site.config.primary.name)
    _unlock(site, root, engine)
    cut_off = _cut_off(site, repository)
    if cut_off in (None, HELD):
        check_inventory(site, repository)
    if cut_off in (PRUNING, HELD):
        _go_on(current, repository, engine)
    if cut_off == REPAIRING or _ended_badly(current, repository.store):
        remove_leftovers(root)
        _repair_index(current, repository, engine)
        check_inventory(site, repository)


def _go_on(current: Run, repository: RepositoryRow, engine: Repository) -> None:
    """Finish a prune that was cut off, unless a hold has come in between."""
    why = forgotten.in_the_way(current.site, repository, engine)
    if why is None:
        finish_rotation(current, repository, engine)
        return
    current.fell_short(why)
    _record_removed(current, repository, kinds=("data", "index", "snapshots"))


def demand_pruned(current: Run, repository: RepositoryRow) -> None:
    """Refuse to take more out of a primary in which a hold keeps a prune from its end.

    Args:
        current: The run, which has made the primary ready.
        repository: The repository.

    Raises:
        RefusedError: There is such a prune.
    """
    if _cut_off(current.site, repository) == HELD:
        raise RefusedError("; ".join(current.shortfalls), hint="orchestrator hold list")


def _unlock(site: Site, root: Path, engine: Repository) -> None:
    """Remove the locks of dead restic processes.

    One that was killed just now counts as alive until somebody has reaped it, so look again: what
    comes next would wait for its lock in vain for minutes. A lock of a stranger's stays.
    """
    for pause_s in (0.5, 1.0, 2.0, 4.0, 0.0):
        if not _is_locked(root):
            return
        engine.unlock()
        if _is_locked(root) and pause_s:
            site.stop.wait(pause_s)
            site.check_stop()


def _is_locked(root: Path) -> bool:
    folder = root / "locks"
    return folder.is_dir() and not all(is_temporary_name(path.name) for path in folder.iterdir())


def _repair_index(current: Run, repository: RepositoryRow, engine: Repository) -> None:
    """Adopt packs that a killed backup wrote: they are in no index and would be sent again.

    Old index files go and new ones come: nothing else may leave the primary by this.
    """
    _note(current.site, repository, REPAIRING)
    engine.repair_index()
    _record_removed(current, repository, kinds=("index",))


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


PRUNING, REPAIRING, HELD, DONE = "pruning", "repairing", "held", "done"
"""What is taking files out of the primary, noted before the first one goes; `HELD` is a prune that
was cut off and that a hold keeps from its end."""


def open_rotation(site: Site, repository: RepositoryRow, going: Collection[str] = ()) -> None:
    """Note that files may leave the primary from now on, before the first one does.

    Args:
        site: The site.
        repository: The repository.
        going: Snapshots that are about to be forgotten and that a hold may cover, by full id.
    """
    with site.catalog.transaction() as session:
        forgotten.note(session, site, repository, going)
        facts.put(session, _removal(repository), value=PRUNING, now=site.clock.now())


def finish_rotation(
    current: Run, repository: RepositoryRow, engine: Repository, *, max_unused: str | None = None
) -> list[FileKey]:
    """Prune, make sure the rest is sound, and record what left the primary.

    Args:
        current: The run.
        repository: The repository.
        engine: restic on the primary.
        max_unused: How much that no snapshot needs may stay, as for `Repository.prune`; a
            disposal leaves nothing.

    Raises:
        DamageError: After the prune the repository's structure is not sound: something is
            missing that no prune has taken.
    """
    _unlock(current.site, current.site.primary_root(repository.name), engine)
    engine.prune(max_unused=max_unused)
    report = engine.check()
    if report.errors:
        name = current.site.config.primary.name
        raise DamageError(
            f"copy {name}, store {repository.store}: after a prune the "
            f"repository has {report.errors} structural errors",
            hint=f"orchestrator check {name}",
        )
    return _record_removed(
        current, repository, kinds=("data", "index", "snapshots"), is_pruned=True
    )


def _record_removed(
    current: Run, repository: RepositoryRow, *, kinds: tuple[str, ...], is_pruned: bool = False
) -> list[FileKey]:
    """Take what is no longer in the primary for removed, and what is there for its inventory.

    Also what a check in the meantime has called missing: nobody had told it.
    """
    site = current.site
    key = (site.config.primary.name, "", repository.id)
    listed = list(place_of(site, repository).list())
    there = {stored.file.key for stored in listed}
    with site.catalog.transaction() as session:
        at = _after_all_before(session, key, site.clock.now())
        gone: list[FileKey] = [
            (row.kind, row.name)
            for row in copies.inventory(session, key, states=("good", "damaged", "missing"))
            if row.kind in kinds and (row.kind, row.name) not in there
        ]
        copies.mark_removed(session, key, gone, now=at)
        copies.record_listed(session, key, listed, now=at)
        ids = [name for kind, name in gone if kind == "snapshots"]
        snapshots.mark_forgotten(session, ids, run_id=current.id, now=site.clock.now())
        if is_pruned:
            forgotten.drop(session, repository)
        now_is = HELD if forgotten.is_noted(session, repository) else DONE
        facts.put(session, _removal(repository), value=now_is, now=site.clock.now())
    return gone


def _after_all_before(session: Session, key: copies.CopyKey, now: datetime) -> datetime:
    """Return `now`, or what is later than every removal before.

    What a copy must keep is told by the order in which the primary gave things up, and a clock may
    be set back a little.
    """
    before = (row.removed_at for row in copies.inventory(session, key, states=("removed",)))
    latest = max((at for at in before if at is not None), default=None)
    return now if latest is None or latest < now else latest + timedelta(microseconds=1)


def _note(site: Site, repository: RepositoryRow, what: str) -> None:
    with site.catalog.transaction() as session:
        facts.put(session, _removal(repository), value=what, now=site.clock.now())


def prune_was_cut_off(site: Site, repository: RepositoryRow) -> bool:
    """Say whether files may have left the primary without anybody having recorded it."""
    return _cut_off(site, repository) == PRUNING


def _cut_off(site: Site, repository: RepositoryRow) -> str | None:
    """Return which removal was begun and not recorded; None for none."""
    with site.catalog.reading() as session:
        fact = facts.get(session, _removal(repository))
    return None if fact is None or fact.value == DONE else fact.value


def _removal(repository: RepositoryRow) -> str:
    return f"removal:{repository.id}"


def _ended_badly(current: Run, store: str) -> bool:
    with current.site.catalog.reading() as session:
        for row in runs.recent(session, store, limit=20):
            if row.id != current.id and row.action in ("backup", "rotate", "disposal"):
                return row.outcome not in CLEAN_OUTCOMES
    return False


def remove_leftovers(root: Path) -> None:
    """Remove temporary names of a killed restic; none is at work, for the lock is ours."""
    folders = [root / kind for kind in ("locks", "index", "snapshots", "keys")]
    folders += [folder for folder in (root / "data").iterdir() if folder.is_dir()]
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if is_temporary_name(path.name):
                path.unlink(missing_ok=True)
