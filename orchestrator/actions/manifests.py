"""Making the manifest of a run in sealed files, and finding those of earlier runs.

Paths and identities never lie in clear on this machine's disk: surveys, manifests and deltas are
sealed streams, removed when the run ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import amending, survey
from orchestrator.actions.run import Run
from orchestrator.actions.site import Site
from orchestrator.catalog import repositories, snapshots
from orchestrator.errors import DamageError, NotFoundError
from orchestrator.keys.sealed import SealedReader, SealedWriter
from orchestrator.manifest import (
    ManifestEntry,
    ManifestHeader,
    ManifestTotals,
    decode_entry,
    decode_totals,
    encode_entry,
    encode_header,
    encode_totals,
)

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.stores.interface import Listed, Store

PIECE_BYTES = 256 * 1024


class ManifestWork:
    """The manifest of one run in the making; a context manager that clears its scratch files.

    Args:
        current: The run.
        store: The store.
        repository: The repository that takes the snapshot.
    """

    def __init__(self, current: Run, store: Store, repository: RepositoryRow) -> None:
        self._site = current.site
        self._run = current
        self._store = store
        self._repository = repository
        self._scratch = self._site.state_dir / "scratch" / current.id
        self._survey = survey.Survey()
        self.totals = ManifestTotals()
        self.problem_count = 0

    def __enter__(self) -> ManifestWork:
        # What a killed run left is of no use to anybody: its files are sealed and half-written.
        shutil.rmtree(self._scratch.parent, ignore_errors=True)
        self._scratch.mkdir(mode=0o700, parents=True)
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def survey(self) -> survey.Survey:
        """Compare the store with the last manifest.

        Raises:
            NotFoundError: There must be a last manifest and it is nowhere to be found.
        """
        with self._writer("plan") as out, self._writer("gone") as gone:
            self._survey = survey.plan(
                self._watched(self._store.walk()),
                previous_entries(self._site, self._run, self._repository),
                run=self._run.id,
                out=out,
                gone=gone,
            )
        return self._survey

    def read(
        self, on_problem: Callable[[ManifestEntry], None], *, alive: Callable[[], None]
    ) -> None:
        """Read what is new or changed, once, and write the manifest.

        Args:
            on_problem: Told of every entry that is not good.
            alive: Called now and then; raises if there is no point in going on.
        """
        total = self._survey.new + self._survey.changed
        with self._writer("read") as out:
            wanted = survey.wanted(self._lines("plan"))
            for done, result in enumerate(self._store.read(wanted), 1):
                out.write(encode_entry(survey.entry_of_result(result, self._run.id)))
                if done % 256 == 0:
                    alive()
                    self._site.check_stop()
                    self._site.progress.advance("files read", done, total)
        with self._writer("manifest") as out, self._writer("delta") as delta:
            out.write(encode_header(self._header()))
            self.totals = survey.finish(
                self._lines("plan"),
                self._lines("read"),
                out=out,
                delta=delta,
                on_problem=self._counted(on_problem),
            )
            out.write(encode_totals(self.totals))

    def amend(self, on_problem: Callable[[ManifestEntry], None]) -> bool:
        """Look at the store once more and mark what moved meanwhile.

        Returns:
            True if the manifest was written anew.
        """
        report = self._counted(on_problem)
        with self._writer("amended") as out:
            found = 0
            amended = amending.amendments(
                self._watched(self._store.walk()), self.entries(), self._run.id
            )
            for entry in amended:
                found += 1
                out.write(encode_entry(entry))
                if entry.state != "good":
                    report(entry)
        if not found:
            return False
        with self._writer("manifest2") as out, self._writer("delta2") as delta:
            out.write(encode_header(self._header()))
            for line in self._lines("delta"):
                delta.write(line)
            self.totals = amending.amend(
                self.entries(), _entries(self._lines("amended")), out=out, delta=delta
            )
            out.write(encode_totals(self.totals))
        self._path("manifest2").replace(self._path("manifest"))
        self._path("delta2").replace(self._path("delta"))
        return True

    @property
    def engine_files(self) -> int:
        """How many files restic must have counted: all but those that could not be read."""
        return self.totals.files

    def chunks(self) -> Iterator[bytes]:
        """Yield the manifest in clear, for the engine's eyes only."""
        return self._reader("manifest").chunks()

    def entries(self) -> Iterator[bytes]:
        """Yield the manifest's entry lines."""
        return entry_lines(self._lines("manifest"))

    def delta(self) -> Iterator[ManifestEntry]:
        """Yield the entries that are new or differ from the last manifest."""
        return _entries(self._lines("delta"))

    def gone(self) -> Iterator[bytes]:
        """Yield the paths that are no longer in the store."""
        return (entry.path for entry in _entries(self._lines("gone")))

    def keep(self) -> None:
        """Put the manifest where the next run finds it; the catalog must then point to it."""
        target = manifest_path(self._site, self._store_name, self._run.id)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(self._path("manifest"), target)
        target.chmod(0o600)

    def drop_others(self) -> None:
        """Remove the manifests of earlier runs; call once the catalog points to this one."""
        kept = manifest_path(self._site, self._store_name, self._run.id)
        for other in kept.parent.glob(f"{self._store_name}.*.sealed"):
            if other != kept:
                with suppress(FileNotFoundError):
                    other.unlink()

    @property
    def _store_name(self) -> str:
        return self._repository.store

    def _header(self) -> ManifestHeader:
        return ManifestHeader(
            store=self._store_name,
            repository=self._repository.id,
            root=bytes(self._store.root),
            run=self._run.id,
            taken_at=self._run.started_at.isoformat(),
        )

    def _counted(
        self, on_problem: Callable[[ManifestEntry], None]
    ) -> Callable[[ManifestEntry], None]:
        def count(entry: ManifestEntry) -> None:
            self.problem_count += 1
            on_problem(entry)

        return count

    def _watched(self, listed: Iterator[Listed]) -> Iterator[Listed]:
        for number, item in enumerate(listed, 1):
            if number % 4096 == 0:
                self._site.check_stop()
                self._site.progress.advance("files looked at", number, None)
            yield item

    def _path(self, name: str) -> Path:
        return self._scratch / f"{name}.sealed"

    def _context(self, name: str) -> str:
        # The manifest is renamed once and copied once: its seal must not depend on the place.
        kind = "manifest" if name.startswith("manifest") else name.rstrip("2")
        return seal_context(kind, self._store_name, self._run.id)

    def _writer(self, name: str) -> SealedWriter:
        key = self._site.keyring.stream_key()
        return SealedWriter(self._path(name), key, self._context(name))

    def _reader(self, name: str) -> SealedReader:
        key = self._site.keyring.stream_key()
        return SealedReader(self._path(name), key, self._context(name))

    def _lines(self, name: str) -> Iterator[bytes]:
        return self._reader(name).lines()


def seal_context(kind: str, store: str, run: str) -> str:
    """Return what binds a sealed file to its purpose."""
    return f"{kind}|{store}|{run}"


def manifest_path(site: Site, store: str, run: str) -> Path:
    """Return where the sealed manifest of a store's newest run is kept."""
    return site.manifest_dir / f"{store}.{run}.sealed"


def previous_entries(site: Site, current: Run, repository: RepositoryRow) -> Iterator[bytes]:
    """Yield the entry lines of a store's last manifest; none for its first run.

    The sealed copy on this machine is used; if it is lost or damaged, the one in the primary.

    Raises:
        NotFoundError: There was a run, and its manifest is nowhere to be found.
    """
    with site.catalog.reading() as session:
        state = repositories.store_state(session, repository.store)
    if state is None or state.manifest_run is None:
        return iter(())
    path = manifest_path(site, repository.store, state.manifest_run)
    context = seal_context("manifest", repository.store, state.manifest_run)
    reader = SealedReader(path, site.keyring.stream_key(), context)
    try:
        for _ in reader.chunks():
            pass
    except (OSError, DamageError, NotFoundError):
        _fetch(site, current, repository, state.manifest_run)
    return entry_lines(reader.lines())


def _fetch(site: Site, current: Run, repository: RepositoryRow, run: str) -> None:
    """Bring a run's manifest back from the primary."""
    with site.catalog.reading() as session:
        rows = snapshots.of_store(
            session, repository.store, kind="manifest", repository_id=repository.id
        )
    row = next((row for row in rows if row.run_id == run), None)
    if row is None:
        raise NotFoundError(
            f"store {repository.store}: the manifest of its last run is lost",
            hint="orchestrator catalog rebuild --copy COPY",
        )
    fd = current.lock.fd if current.lock is not None else None
    engine = site.primary_engine(repository.store, repository.name, lock_fd=fd)
    path = manifest_path(site, repository.store, run)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    context = seal_context("manifest", repository.store, run)
    with SealedWriter(path, site.keyring.stream_key(), context) as out:
        for chunk in engine.dump(row.id, "/manifest.jsonl"):
            out.write(chunk)


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream of pieces, each with its newline."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


def entry_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a manifest's entry lines, having made sure that it is whole.

    Raises:
        DamageError: The footer is missing.
    """
    next(lines, None)  # the header
    held: bytes | None = None
    for line in lines:
        if held is not None:
            yield held
        held = line
    if held is None or decode_totals(held) is None:
        raise DamageError("a manifest has no footer: it is not whole")


def _entries(lines: Iterator[bytes]) -> Iterator[ManifestEntry]:
    return (decode_entry(line) for line in lines)
