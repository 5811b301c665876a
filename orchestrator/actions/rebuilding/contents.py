"""What a copy holds of a site: its state, its snapshots and the newest manifest."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.actions.as_of import newest_manifest, run_of
from orchestrator.actions.certificates.state import restore_certificates
from orchestrator.actions.engine_view import engine_on
from orchestrator.actions.holds.witnessed import note_records
from orchestrator.actions.ledger.restore import mark_restored, restore_ledgers
from orchestrator.actions.manifests import entry_lines, lines_of, manifest_path, seal_context
from orchestrator.actions.places import open_copy
from orchestrator.actions.site import Site
from orchestrator.actions.state import CATALOG
from orchestrator.catalog import files, repositories, snapshots, transfer
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


def provisional(site: Site, store: str) -> RepositoryRow:
    """What the keyring knows of a store's repository; its config's hash is read later."""
    entry = site.keyring.find_repository(store)
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


def with_id(repository: RepositoryRow, repository_id: str) -> RepositoryRow:
    """Return a repository's row, if the copy holds that one.

    Raises:
        RefusedError: It holds another.
    """
    if repository.id != repository_id:
        raise RefusedError(
            f"store {repository.store}: the copy holds another repository than the keyring knows",
            hint="choose another copy",
        )
    return repository


@contextmanager
def reading(site: Site, name: str, repository: RepositoryRow) -> Iterator[Repository]:
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


def newest_state_first(site: Site, name: str, stores: list[str]) -> list[str]:
    """Return stores in the order of the states that their repositories in a copy hold.

    Each backup stores the state in its own repository: the last one has the newest, with the
    longest ledger.

    Args:
        site: The site.
        name: The copy.
        stores: Names of stores.

    Raises:
        As `rebuild`.
    """
    if len(stores) < 2:
        return stores

    def taken(store: str) -> datetime:
        repository = provisional(site, store)
        with reading(site, name, repository) as engine:
            with_id(repository, engine.config_id())
            newest = newest_state(engine.snapshots(tags=["state"]))
        return datetime.min.replace(tzinfo=UTC) if newest is None else newest.time

    ages = {store: taken(store) for store in stores}
    return sorted(stores, key=lambda store: ages[store], reverse=True)


def newest_state(found: list[EngineSnapshot]) -> EngineSnapshot | None:
    """Return the state that was stored last in a repository; None if it has none.

    The ids of its runs are in order, whatever the clock showed: one wrong night would have the
    newest state for ever.
    """
    states = [one for one in found if "state" in one.tags]
    return max(states, key=lambda one: (run_of(one) or "", one.time), default=None)


def import_state(site: Site, engine: Repository, found: list[EngineSnapshot]) -> int:
    """Read the newest state of a site into its new catalog, and return how many rows it has.

    Raises:
        NotFoundError: The copy holds none.
        DamageError: It is not whole.
        OrchestratorError: The copy cannot be read, or the disk refuses.
    """
    newest = newest_state(found)
    if newest is None:
        raise NotFoundError("the copy holds no state of a site", hint="choose another copy")
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


def register(site: Site, repository: RepositoryRow) -> None:
    """Enter a repository into the catalog, unless it is there."""
    with site.catalog.transaction() as session:
        if repositories.get(session, repository.id) is None:
            repositories.add(session, repository)


def add_snapshots(site: Site, repository: RepositoryRow, found: list[EngineSnapshot]) -> int:
    """Add what the copy holds and the state, being older, does not know."""
    manifests = {run_of(one) for one in found if "manifest" in one.tags}
    data = 0
    with site.catalog.transaction() as session:
        known = {row.id for row in snapshots.of_store(session, repository.store, kind=None)}
        for one in found:
            kind = next((tag for tag in ("data", "manifest", "state") if tag in one.tags), None)
            run = run_of(one)
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


def load_manifest(
    site: Site, repository: RepositoryRow, engine: Repository, found: list[EngineSnapshot]
) -> int:
    """Take the files from the newest manifest, and keep it for the next run."""
    newest = newest_manifest(found)
    if newest is None:
        return 0
    run = run_of(newest) or ""
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
