"""Bringing a bucket's repositories back as clean folders, whatever was done to the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import copy_facts, observe
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.restore_from import outside
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies
from orchestrator.engines.layout import file_path
from orchestrator.errors import OrchestratorError, StoppedError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.bucket.as_of import Recall
    from orchestrator.engines.bucket.place import BucketPlace
    from orchestrator.engines.layout import FileKey
    from orchestrator.engines.rescue import Rescued


@dataclass(slots=True)
class Recovered:
    """One store's repository as it came back.

    Attributes:
        store: Store name.
        folder: Where it is now.
        files: Files, each with the bytes its name says.
        bytes: Their total length.
        already: Of the files, how many an earlier run had brought back.
        missing: Files that were put, by the catalog, and of which there is no version any more.
        damaged: Files of which no version has the right bytes.
        structure: What restic's own check of the folder found: `sound`, `damaged`, or `empty` where
            no snapshot came back: then there is nothing to restore.
        problem: Why the structure is not sound; None otherwise.
    """

    store: str
    folder: Path
    files: int
    bytes: int
    already: int
    missing: list[str]
    damaged: list[str]
    structure: str
    problem: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything came back."""
        return not self.missing and not self.damaged and self.structure == "sound"


def recover(
    site: Site, name: str, stores: list[str], *, to: Path, at: datetime | None = None
) -> tuple[str, list[Recovered]]:
    """Write the repositories of an immutable copy into folders below one folder.

    Only files with the right SHA-256 get there. What was cut off goes on with the same folder.

    Args:
        site: The site.
        name: The immutable copy.
        stores: Store names.
        to: The folder; each repository gets one of its own name in it.
        at: As of this instant, aware; None for everything that is there now.

    Returns:
        The run's id, and one result per store.

    Raises:
        UsageError: The copy is not immutable.
        RefusedError: The folder lies in a store, a copy or the state, or holds other files.
        OrchestratorError: The copy cannot be reached, or the folder cannot be written.
    """
    site.bucket_config(name)
    target = outside(site, to)
    results = []
    with run(site, "recover") as current:
        try:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OrchestratorError(
                f"the folder to recover to cannot be used: {error.strerror}",
                hint="choose another folder",
            ) from None
        for store in stores:
            repository = site.repository(store)
            versions = observe.versions(site, name, repository.id)
            with (
                current.step("recover", copy=name),
                open_copy(site, name, repository, versions=versions) as opened,
            ):
                result = _recover(current, opened, repository, target / repository.name, at)
            results.append(result)
            if not result.is_whole:
                current.fell_short(
                    f"store {store}: {len(result.missing)} files are missing, "
                    f"{len(result.damaged)} damaged, structure {result.structure}"
                )
        current.metrics.update(
            files=sum(one.files for one in results), bytes=sum(one.bytes for one in results)
        )
    return current.id, results


def _recover(
    current: Run, opened: OpenCopy, repository: RepositoryRow, folder: Path, at: datetime | None
) -> Recovered:
    from orchestrator.engines.rescue import Rescue

    site = current.site
    place: BucketPlace = opened.place  # type: ignore[assignment]
    found = place.recall(at)
    total = len(found.candidates)

    def on_file(so_far: Rescued) -> None:
        site.check_stop()
        done = so_far.files + len(so_far.damaged)
        site.progress.advance("files recovered", done, total)

    rescue = Rescue(opened.name, place, folder, config_digest=repository.config_sha256 or None)
    rescued = rescue.write(found.candidates, on_file=on_file)
    structure, problem = _check(site, repository, folder, opened.name)
    if structure == "sound" and not any((folder / "snapshots").glob("*")):
        structure, problem = "empty", "no snapshot came back: there is nothing to restore"
    return Recovered(
        store=repository.store,
        folder=folder,
        files=rescued.files,
        bytes=rescued.size_bytes,
        already=rescued.already,
        missing=_paths(_missing(site, opened.name, repository, found, at)),
        # What came after the instant and is wrong was never part of it.
        damaged=_paths(set(rescued.damaged) - found.late),
        structure=structure,
        problem=problem,
    )


def _missing(
    site: Site, name: str, repository: RepositoryRow, found: Recall, at: datetime | None
) -> set[FileKey]:
    """Return what the catalog says was put by then, and the bucket does not list at all."""
    with site.catalog.reading() as session:
        rows = list(
            copies.inventory(session, (name, "", repository.id), states=("good", *copy_facts.BAD))
        )
    listed = set(found.candidates) | found.late
    return {
        (row.kind, row.name)
        for row in rows
        if (row.kind, row.name) not in listed and (at is None or row.stored_at <= at)
    }


def _check(
    site: Site, repository: RepositoryRow, folder: Path, name: str
) -> tuple[str, str | None]:
    try:
        report = site.copy_engine(repository.name, str(folder), name).check()
    except StoppedError:
        raise
    except OrchestratorError as error:
        return "damaged", error.message
    if report.errors:
        return "damaged", f"restic found {report.errors} errors"
    return "sound", None


def _paths(keys: set[FileKey]) -> list[str]:
    return sorted(file_path(*key) for key in keys)
