"""Making the catalog anew from the manifests and the state that every copy holds."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.as_of import newest_manifest
from orchestrator.actions.certificates.state import restore_certificates
from orchestrator.actions.disposal import suppression
from orchestrator.actions.engine_view import engine_on
from orchestrator.actions.holds.recover import recover as recover_holds
from orchestrator.actions.holds.witnessed import note_records
from orchestrator.actions.ledger.restore import mark_restored, restore_ledgers
from orchestrator.actions.lock import StoreLock
from orchestrator.actions.manifests import entry_lines, lines_of, manifest_path, seal_context
from orchestrator.actions.places import open_copy
from orchestrator.actions.site import CATALOG_FILE, Site
from orchestrator.actions.state import CATALOG
from orchestrator.catalog import copies, files, repositories, snapshots, transfer
from orchestrator.catalog.tables import Repository as RepositoryRow
from orchestrator.catalog.tables import Snapshot, StoreState
from orchestrator.config.site import OfflineCopy
from orchestrator.dicom.dates import study_reference_date
from orchestrator.engines import medium, medium_search
from orchestrator.engines.digest import sha256_of
from orchestrator.errors import AbsentCopyError, DamageError, NotFoundError, RefusedError
from orchestrator.keys.sealed import SealedReader, SealedWriter
from orchestrator.manifest import ManifestEntry, ManifestTotals, decode_entry, decode_header

if TYPE_CHECKING:
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.engines.restic.values import Snapshot as EngineSnapshot


UNFINISHED = "catalog.unfinished.sqlite"
"""The new catalog until it is whole."""

_PARTS = ("-wal", "-shm", "")


@dataclass(slots=True)
class Rebuilt:
    """What was brought back.

    Attributes:
        copy: The copy that was read.
        rows: Rows of the stored state.
        snapshots: Data snapshots.
        files: Files of the newest manifests.
        put_aside: Where the old catalog is kept; None if there was none.
        unasked: Buckets that may hold a newer suppression list and could not be asked.
    """

    copy: str
    rows: int = 0
    snapshots: int = 0
    files: int = 0
    put_aside: Path | None = None
    unasked: list[str] = field(default_factory=list)


def rebuild(site: Site, name: str, stores: list[str]) -> Rebuilt:
    """Rebuild the catalog from one copy.

    The newest stored state gives runs, media, inventories and everything else but files; the
    newest manifest of each store gives the files; snapshots younger than the state are added
    from the repository itself. The old catalog is put aside once the new one is whole.

    Args:
        site: The site; its keyring must be there.
        name: Copy name.
        stores: Stores whose repositories are read.

    Raises:
        LockedError: A run of one of the site's stores is at work.
        NotFoundError: The copy holds no state or manifest.
        RefusedError: A PostgreSQL catalog is not empty.
        OrchestratorError: The copy cannot be read.
    """
    result = Rebuilt(name)
    with ExitStack() as stack:
        for store in site.config.stores:
            lock = StoreLock(site.lock_dir, store)
            lock.acquire("catalog rebuild")
            stack.callback(lock.release)
        _remove_database(site.state_dir / UNFINISHED)
        try:
            site.catalog = site.open_catalog(create=True, file=UNFINISHED)
            try:
                for store in stores:
                    _add_store(site, store, result)
            finally:
                site.catalog.dispose()
        except BaseException:
            _remove_database(site.state_dir / UNFINISHED)
            raise
        result.put_aside = _put_in_place(site)
        site.catalog = site.open_catalog(create=False)
        # A state older than a disposal does not know of it; the list outside it may.
        result.unasked = suppression.recover(site)
        recover_holds(site)
    return result


def _add_store(site: Site, store: str, result: Rebuilt) -> None:
    repository = _provisional(site, store)
    with _reading(site, result.copy, repository) as engine:
        repository = _with_id(repository, engine.config_id())
        found = engine.snapshots()
        if not result.rows:
            result.rows = _import_state(site, engine, found)
        _register(site, repository)
        result.snapshots += _add_snapshots(site, repository, found)
        result.files += _load_manifest(site, repository, engine, found)
    _list_primary(site, repository)


def _put_in_place(site: Site) -> Path | None:
    """Give a whole SQLite catalog its name; the old one is kept beside it."""
    if site.config.catalog.url is not None:
        return None
    path = site.state_dir / CATALOG_FILE
    kept = path.with_name(f"catalog.{site.clock.now():%Y%m%dT%H%M%SZ}.sqlite")
    was_there = path.exists()
    _rename_database(path, kept)
    _rename_database(site.state_dir / UNFINISHED, path)
    return kept if was_there else None


def _rename_database(path: Path, to: Path) -> None:
    for suffix in _PARTS:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(to.with_name(to.name + suffix))


def _remove_database(path: Path) -> None:
    for suffix in _PARTS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _provisional(site: Site, store: str) -> RepositoryRow:
    """What the keyring knows of a store's repository; its config's hash is read later."""
    entry = next((e for e in site.keyring.entries() if e.name == store), None)
    if entry is None or entry.repository_id is None:
        raise NotFoundError(
            f"store {store}: the keyring knows no repository of it", hint="orchestrator key list"
        )
    config = site.primary_root(store) / "config"
    return RepositoryRow(
        id=entry.repository_id,
        store=store,
        name=store,
        config_sha256=sha256_of(config) if config.exists() else "",
        created_at=site.clock.now(),
    )


def _with_id(repository: RepositoryRow, repository_id: str) -> RepositoryRow:
    if repository.id != repository_id:
        raise RefusedError(
            f"store {repository.store}: the copy holds another repository than the keyring knows",
            hint="choose another copy",
        )
    return repository


@contextmanager
def _reading(site: Site, name: str, repository: RepositoryRow) -> Iterator[Repository]:
    """Open a copy without the catalog's help: the media register is one of the things lost."""
    copy = site.copy_config(name)
    if not isinstance(copy, OfflineCopy):
        with (
            open_copy(site, name, repository) as opened,
            engine_on(site, opened, repository.name) as view,
        ):
            yield view.engine
        return
    found = medium_search.find(copy.search, name)
    ours = [mounted for mounted in found if mounted.identity.site == site.keyring.id]
    if not ours:
        raise AbsentCopyError(
            f"copy {name}: no medium of this site is connected", hint="connect one"
        )
    with medium.open_medium(ours[0], site=site.keyring.id, allow_folder=True) as handle:
        yield site.copy_engine(repository.name, str(handle.path / repository.name), name)


def _import_state(site: Site, engine: Repository, found: list[EngineSnapshot]) -> int:
    states = [one for one in found if "state" in one.tags]
    if not states:
        raise NotFoundError("the copy holds no state of a site", hint="choose another copy")
    newest = max(states, key=lambda one: one.time)
    with tempfile.TemporaryFile(dir=site.state_dir) as spool:
        for chunk in engine.dump(newest.id, "/state.tar"):
            spool.write(chunk)
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            member = archive.extractfile(CATALOG)
            if member is None:
                raise DamageError("the stored state has no catalog in it")
            restore_ledgers(site, archive)
            restore_certificates(site, archive)
            with site.catalog.transaction() as session:
                rows = transfer.import_rows(session, member)
                mark_restored(site, session)
                return rows


def _register(site: Site, repository: RepositoryRow) -> None:
    with site.catalog.transaction() as session:
        if repositories.get(session, repository.id) is None:
            repositories.add(session, repository)


def _add_snapshots(site: Site, repository: RepositoryRow, found: list[EngineSnapshot]) -> int:
    """Add what the copy holds and the state, being older, does not know."""
    manifests = {_tag(one, "run") for one in found if "manifest" in one.tags}
    data = 0
    with site.catalog.transaction() as session:
        known = {row.id for row in snapshots.of_store(session, repository.store, kind=None)}
        for one in found:
            kind = next((tag for tag in ("data", "manifest", "state") if tag in one.tags), None)
            run = _tag(one, "run")
            if kind is None or run is None:
                continue
            data += kind == "data"
            if one.id in known:
                continue
            snapshots.add(
                session,
                Snapshot(
                    id=one.id,
                    repository_id=repository.id,
                    store=repository.store,
                    run_id=run,
                    kind=kind,
                    at=one.time,
                    files=one.files or 0,
                    size_bytes=one.bytes or 0,
                    complete=run in manifests,
                    note="found in a copy when the catalog was rebuilt",
                ),
            )
    return data


def _load_manifest(
    site: Site, repository: RepositoryRow, engine: Repository, found: list[EngineSnapshot]
) -> int:
    """Take the files from the newest manifest, and keep it for the next run."""
    newest = newest_manifest(found)
    if newest is None:
        return 0
    run = _tag(newest, "run") or ""
    path = manifest_path(site, repository.store, run)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = site.keyring.stream_key()
    context = seal_context("manifest", repository.store, run)
    with SealedWriter(path, key, context) as out:
        for chunk in engine.dump(newest.id, "/manifest.jsonl"):
            out.write(chunk)
    reader = SealedReader(path, key, context)
    header = decode_header(next(lines_of(reader.chunks())))
    totals = ManifestTotals()

    def entries() -> Iterator[ManifestEntry]:
        for line in entry_lines(reader.lines()):
            entry = decode_entry(line)
            totals.add(entry)
            yield entry

    with site.catalog.transaction() as session:
        files.apply_changes(
            session,
            repository.store,
            run_id=run,
            changed=entries(),
            gone=(),
            keys=site.catalog.keys,
            study_date=study_reference_date,
        )
        note_records(site, session, repository.store, run)
        repositories.put_store_state(
            session,
            StoreState(
                store=repository.store,
                file_count=totals.files,
                size_bytes=totals.bytes,
                manifest_run=header.run,
                walked_at=newest.time,
            ),
        )
    return totals.files


def _list_primary(site: Site, repository: RepositoryRow) -> None:
    """Bring the inventory of the primary up to what is there now; `check` says how good it is."""
    from orchestrator.actions.primary import place_of

    root = site.primary_root(repository.name)
    if not os.path.isdir(root):
        return
    with site.catalog.transaction() as session:
        key = (site.config.primary.name, "", repository.id)
        listed = list(place_of(site, repository).list())
        copies.record_listed(session, key, listed, now=site.clock.now())


def _tag(snapshot: EngineSnapshot, name: str) -> str | None:
    prefix = f"{name}="
    return next((tag.removeprefix(prefix) for tag in snapshot.tags if tag.startswith(prefix)), None)
