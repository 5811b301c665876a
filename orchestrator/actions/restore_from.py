"""Which snapshot a restore takes, from which copies, and into which folder it may go."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, snapshots
from orchestrator.errors import NotFoundError, OrchestratorError, RefusedError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.catalog.tables import Snapshot


def prepare_target(site: Site, to: Path) -> Path:
    """Make the folder to restore to.

    Raises:
        RefusedError: It is not empty, or lies where it must not.
        OrchestratorError: It cannot be made.
    """
    target = outside(site, to)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise RefusedError(
                "the folder to restore to is not empty: a restore never overwrites",
                hint="choose a new or an empty folder",
            )
    except OSError as error:
        raise OrchestratorError(
            f"the folder to restore to cannot be used: {error.strerror}",
            hint="choose another folder",
        ) from None
    return target


def drop_folders_of(root: Path, left_out: Iterable[bytes]) -> None:
    """Remove the folders that are empty because what they held was left out.

    Their names may be a patient's. A folder that was empty in the backup, or that holds anything,
    stays; no link is followed.

    Args:
        root: The restored folder; it stays itself.
        left_out: Paths below it, with forward slashes.
    """
    folders: set[bytes] = set()
    for path in left_out:
        parts = path.split(b"/")[:-1]
        if b".." not in parts:
            folders.update(b"/".join(parts[: depth + 1]) for depth in range(len(parts)))
    links = {one for one in folders if os.path.islink(os.path.join(bytes(root), one))}
    for folder in sorted(folders, key=len, reverse=True):
        if not any(folder == one or folder.startswith(one + b"/") for one in links):
            with suppress(OSError):
                os.rmdir(os.path.join(bytes(root), folder))


def outside(site: Site, to: Path) -> Path:
    """Return a folder's absolute path, if it may take what comes back from a copy.

    Raises:
        RefusedError: It lies in a store, a copy or the state folder, or above one.
    """
    target = Path(os.path.abspath(to))
    real = target.resolve()
    places = [store.path for store in site.config.stores.values()]
    places += [copy.path for copy in site.local_copies()]
    places.append(site.state_dir)
    for place in places:
        if real.is_relative_to(place.resolve()) or place.resolve().is_relative_to(real):
            raise RefusedError(
                "the folder to restore to lies in a store, a copy or the state folder, or above it",
                hint="choose an empty folder elsewhere",
            )
    return target


def choose_snapshot(site: Site, store: str, prefix: str | None) -> Snapshot:
    """Return the data snapshot whose id begins so; the newest complete one for None.

    Raises:
        NotFoundError: There is none.
        UsageError: Several begin so.
    """
    with site.catalog.reading() as session:
        if prefix is not None:
            row = snapshots.get(session, prefix)
            if row.store != store or row.kind != "data":
                raise NotFoundError(
                    f"store {store}: {prefix} is not one of its data snapshots",
                    hint=f"orchestrator snapshots {store}",
                )
            return row
        newest = snapshots.newest_complete(session, store, now=site.clock.now())
    if newest is None:
        raise NotFoundError(
            f"store {store}: there is no complete snapshot yet",
            hint=f"orchestrator backup {store}",
        )
    return newest


def candidates(
    site: Site, repository: RepositoryRow, row: Snapshot | None, wanted: str | None
) -> Iterator[str]:
    """Yield the copies to try, as the site file orders them.

    Args:
        site: The site.
        repository: The repository.
        row: The snapshot they must be known to hold; None for all that are there.
        wanted: The one copy to try, whatever is known of it; None for no such wish.
    """
    if wanted is not None:
        yield site.copy_config(wanted).name
        return
    if row is None:
        yield from _there(site, repository)
        return
    with site.catalog.reading() as session:
        states = {
            state.copy_: state.state
            for state in copies.states(session, store=repository.store)
            if state.repository_id == repository.id
        }
    for name in site.config.copies:
        if states.get(name) in ("proven", "present", "behind"):
            try:
                with open_copy(site, name, repository) as opened:
                    held = any(
                        stored.file.key == ("snapshots", row.id) for stored in opened.place.list()
                    )
            except OrchestratorError:
                continue
            if held:
                yield name


def demand_held(site: Site, opened: OpenCopy, row: Snapshot) -> None:
    """Refuse a copy that does not hold a snapshot, and say what it holds instead.

    A medium that was away is older than the catalog; one that a lost catalog had written is newer.

    Args:
        site: The site.
        opened: The copy.
        row: The snapshot.

    Raises:
        NotFoundError: It does not hold it.
        OrchestratorError: It cannot be listed.
    """
    held: set[str] = set()
    for stored in opened.place.list():  # snapshots come before what is long
        if stored.file.kind in ("index", "data"):
            break
        if stored.file.kind == "snapshots":
            held.add(stored.file.name)
    if row.id in held:
        return
    with site.catalog.reading() as session:
        known = snapshots.of_store(
            session, None, kind=None, repository_id=row.repository_id, forgotten=True
        )
    newest = next((one for one in known if one.id in held and one.kind == "data"), None)
    strange = held - {one.id for one in known}
    label = f", medium {opened.label}" if opened.label else ""
    words = f"copy {opened.name}{label}: it does not hold snapshot {row.id[:8]}"
    if strange:
        raise NotFoundError(
            f"{words}; it holds {len(strange)} that the catalog does not know",
            hint=f"what the copy knows: orchestrator catalog rebuild --copy {opened.name}; without "
            f"the catalog: orchestrator restore {row.store} --to DIR --copy {opened.name} --as-of "
            "TIME",
        )
    if newest is None:
        raise NotFoundError(f"{words}, nor any other", hint=f"orchestrator replicate {opened.name}")
    raise NotFoundError(
        f"{words}; the newest it holds is {newest.id[:8]} of {newest.at:%Y-%m-%d %H:%M} UTC",
        hint=f"orchestrator restore {row.store} --to DIR --copy {opened.name} --snapshot "
        f"{newest.id[:8]}; or bring it up to date: orchestrator replicate {opened.name}",
    )


def _there(site: Site, repository: RepositoryRow) -> Iterator[str]:
    """Yield the copies that are there; whether they had a snapshot then, they say themselves."""
    for name in site.config.copies:
        try:
            with open_copy(site, name, repository):
                pass
        except OrchestratorError:
            continue
        yield name
