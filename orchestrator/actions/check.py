"""Verifying a copy: every byte by its hash without the key, the structure by restic with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.actions import observe, primary
from orchestrator.actions.damage import Damaged, name_damage
from orchestrator.actions.engine_view import engine_on
from orchestrator.actions.hashing import hashed, in_slice
from orchestrator.actions.lock import reading
from orchestrator.actions.places import OpenCopy, open_copy
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import checks, copies
from orchestrator.catalog.copy_tables import CheckResult
from orchestrator.engines.interface import StoredFile
from orchestrator.errors import (
    AbsentCopyError,
    CredentialError,
    DamageError,
    NotFoundError,
    OrchestratorError,
    StoppedError,
)

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.layout import FileKey

EVERYTHING = (1, 1)

STRUCTURE = ("config", "structure")
"""Stands for damage that only restic sees, and that is of no one file."""


@dataclass(slots=True)
class CopyCheck:
    """What the check of one copy found.

    Attributes:
        copy: Name.
        store: Store name.
        state: State of the copy after the check.
        files_checked: Files whose bytes were hashed.
        bytes_checked: Their total length.
        coverage: Share of the copy's bytes verified within the site's target, 0 to 1.
        damaged: What is damaged or missing.
        structure: `sound`, `damaged` or `skipped`.
        detail: Why it was not checked, or what is notable.
    """

    copy: str
    store: str
    state: str = "unknown"
    files_checked: int = 0
    bytes_checked: int = 0
    coverage: float = 0.0
    damaged: list[Damaged] = field(default_factory=list)
    structure: str = "skipped"
    detail: str | None = None


def check(
    site: Site,
    stores: list[str],
    *,
    names: list[str],
    part: tuple[int, int] = EVERYTHING,
    structure: bool = True,
    occasion: Occasion = BY_HAND,
) -> tuple[str, list[CopyCheck]]:
    """Verify copies of stores.

    Args:
        site: The site.
        stores: Store names.
        names: Copy names.
        part: Slice n of t, 1 <= n <= t; t runs with n from 1 to t cover every file.
        structure: Also let restic check the structure, which needs the key.
        occasion: Why it happens.

    Returns:
        Run id and one result per store and copy.

    Raises:
        OrchestratorError: Only one copy was named, and it cannot be checked.
    """
    results = []
    with run(site, "check", occasion=occasion) as current:
        for store in stores:
            repository = site.repository(store)
            for name in names:
                result = CopyCheck(name, store)
                results.append(result)
                try:
                    with (
                        reading(site.lock_dir, store),
                        open_copy(
                            site,
                            name,
                            repository,
                            versions=observe.versions(site, name, repository.id),
                        ) as opened,
                    ):
                        _CopyCheckWork(current, repository, opened, result).perform(part, structure)
                except AbsentCopyError as absence:
                    observe.record_absence(site, name, repository.id, absence.message)
                    result.state, result.detail = "absent", absence.message
                    if len(names) == 1:
                        raise
                except StoppedError:
                    raise
                except OrchestratorError as error:
                    if len(names) == 1:
                        raise
                    result.detail = error.message
                    current.fell_short(f"copy {name}: {error.message}")
        current.metrics["damaged"] = sum(len(result.damaged) for result in results)
        if current.metrics["damaged"]:
            current.fell_short(f"{current.metrics['damaged']} files are damaged or missing")
    return current.id, results


class _CopyCheckWork:
    def __init__(
        self, current: Run, repository: RepositoryRow, opened: OpenCopy, result: CopyCheck
    ) -> None:
        self._run = current
        self._site = current.site
        self._repository = repository
        self._opened = opened
        self._result = result
        self._key = (opened.name, opened.medium, repository.id)
        self._bad: dict[FileKey, str] = {}
        self._tampered: dict[FileKey, str] = {}

    def perform(self, part: tuple[int, int], structure: bool) -> None:
        with self._run.step("hash", copy=self._opened.name):
            listed = list(self._opened.place.list())
            self._compare_with_inventory(listed)
            good = self._hash([stored for stored in listed if in_slice(stored, part)])
        with self._site.catalog.transaction() as session:
            copies.record_listed(session, self._key, listed, now=self._site.clock.now())
            copies.mark_verified(session, self._key, good, now=self._site.clock.now())
            self._record_bad(session)
        if structure:
            with self._run.step("structure", copy=self._opened.name):
                self._check_structure()
        wrong = {**self._tampered, **self._bad}
        self._result.damaged = name_damage(
            self._site, self._opened, self._repository, wrong, ask_engine=structure
        )
        self._finish(part)

    def _compare_with_inventory(self, listed: list[StoredFile]) -> None:
        there = {stored.file.key: stored.file.size_bytes for stored in listed}
        with self._site.catalog.reading() as session:
            expected = list(
                copies.inventory(session, self._key, states=("good", "damaged", "missing"))
            )
        # Gone for good in the primary: that a copy has lost it too, unrecorded, is no damage. Nor
        # is what a prune that was cut off took: the next run finishes and records that.
        given_up = observe.removed_from_primary(self._site, self._repository.id)
        is_primary = self._opened.name == self._site.config.primary.name
        pruning = is_primary and primary.prune_was_cut_off(self._site, self._repository)
        for row in expected:
            name: FileKey = (row.kind, row.name)
            if name not in there:
                if not pruning and name not in given_up:
                    self._bad[name] = "it is missing"
            elif there[name] != row.size_bytes:
                self._bad[name] = f"it has {there[name]} bytes instead of {row.size_bytes}"
        for stored in listed:
            if stored.hidden:
                self._tampered[stored.file.key] = "somebody hid it; the locked version is there"
            elif stored.versions > 1:
                self._tampered[stored.file.key] = (
                    f"somebody wrote over it: there are {stored.versions} versions; the locked "
                    "one is what was read"
                )
        self._result.detail = observe.suspicion(len(self._tampered))

    def _hash(self, files: list[StoredFile]) -> list[FileKey]:
        good: list[FileKey] = []
        place = self._opened.place
        for done, (stored, problem) in enumerate(
            hashed(place, files, config_sha256=self._repository.config_sha256), 1
        ):
            self._site.check_stop()
            self._site.progress.advance("files hashed", done, len(files))
            self._result.files_checked += 1
            self._result.bytes_checked += stored.file.size_bytes
            if problem is None and stored.file.key not in self._bad:
                good.append(stored.file.key)
            elif problem is not None:
                self._bad.setdefault(stored.file.key, problem)
        return good

    def _record_bad(self, session: Session) -> None:
        missing = [file for file, problem in self._bad.items() if problem == "it is missing"]
        damaged = [file for file in self._bad if file not in missing]
        copies.mark_missing(session, self._key, missing)
        copies.mark_damaged(session, self._key, damaged)

    def _check_structure(self) -> None:
        try:
            with engine_on(self._site, self._opened, self._repository.name) as view:
                report = view.engine.check()
        except (DamageError, NotFoundError, CredentialError) as error:
            self._result.structure = "damaged"
            self._result.detail = error.message
            self._bad.setdefault(STRUCTURE, error.message)
            return
        self._result.structure = "damaged" if report.errors else "sound"
        if report.errors and not self._bad:
            self._bad[STRUCTURE] = f"restic found {report.errors} errors"

    def _unexplained(self) -> str:
        """Return what the structure says beyond the files found bad, which speak for themselves."""
        explained = any(file != STRUCTURE for file in self._bad)
        return "skipped" if explained else self._result.structure

    def _finish(self, part: tuple[int, int]) -> None:
        site, now = self._site, self._site.clock.now()
        with site.catalog.transaction() as session:
            checks.add(
                session,
                CheckResult(
                    run_id=self._run.id,
                    copy_=self._opened.name,
                    medium=self._opened.medium,
                    repository_id=self._repository.id,
                    at=now,
                    slice_n=part[0],
                    slice_t=part[1],
                    files=self._result.files_checked,
                    size_bytes=self._result.bytes_checked,
                    damaged=[item.file for item in self._result.damaged],
                ),
            )
        self._result.state = observe.record(
            site,
            self._opened,
            self._repository.id,
            replicated=False,
            trouble=observe.suspicion(len(self._tampered)),
            structure=self._unexplained(),
        )
        self._result.coverage = coverage(site, self._key)


def coverage(site: Site, key: copies.CopyKey) -> float:
    """Return the share of a copy's bytes that were verified within the site's target."""
    since = site.clock.now() - site.config.targets.verified_within
    total = fresh = 0
    with site.catalog.reading() as session:
        for row in copies.inventory(session, key, states=("good", "damaged", "missing")):
            total += row.size_bytes
            if row.state == "good" and row.verified_at is not None and row.verified_at >= since:
                fresh += row.size_bytes
    # Rounded down: what is not whole must not read as whole.
    return fresh * 10_000 // total / 10_000 if total else 0.0


def slice_of_today(site: Site, slices: int) -> tuple[int, int]:
    """Return today's slice, so that one run a day covers everything in `slices` days."""
    return site.clock.now().toordinal() % slices + 1, slices
