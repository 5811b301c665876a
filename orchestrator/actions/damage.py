"""Naming what is damaged on a copy, and the snapshots that need it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.actions.engine_view import engine_on
from orchestrator.actions.places import OpenCopy
from orchestrator.actions.site import Site
from orchestrator.catalog import snapshots
from orchestrator.engines.layout import FileKey
from orchestrator.errors import OrchestratorError, StoppedError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository

MOST_QUESTIONS = 60
"""So many packs times snapshots are asked about one by one; each takes about a second."""


@dataclass(frozen=True, slots=True)
class Damaged:
    """One damaged or missing file of a copy.

    Attributes:
        file: Path in the repository.
        problem: What is wrong, in words.
        snapshots: Data snapshots that need it, or may: where restic cannot tell, all of them.
    """

    file: str
    problem: str
    snapshots: list[str]


def name_damage(
    site: Site,
    opened: OpenCopy,
    repository: RepositoryRow,
    bad: Mapping[FileKey, str],
    *,
    ask_engine: bool,
) -> list[Damaged]:
    """Name what is bad and the data snapshots that need it.

    Args:
        site: The site.
        opened: The copy.
        repository: The repository.
        bad: What is wrong with each bad file.
        ask_engine: Whether restic may be asked which snapshots need a pack.
    """
    with site.catalog.reading() as session:
        rows = snapshots.of_store(session, repository.store, kind=None, repository_id=repository.id)
    by_run: dict[str, list[str]] = {}
    for row in rows:
        if row.kind in ("data", "manifest"):
            by_run.setdefault(row.run_id, []).append(row.id)
    data = {row.run_id: row.id for row in rows if row.kind == "data"}
    packs = sum(kind == "data" for kind, _ in bad)
    exactly = ask_engine and packs * len(data) <= MOST_QUESTIONS
    found = []
    with ExitStack() as stack:
        engine = None
        if exactly and packs:
            engine = stack.enter_context(engine_on(site, opened, repository.name)).engine
        for (kind, name), problem in sorted(bad.items()):
            needing = [
                data[run]
                for run, ids in by_run.items()
                if run in data and _may_need(engine, (kind, name), ids)
            ]
            path = name if kind == "config" else f"{kind}/{name}"
            found.append(Damaged(path, problem, needing))
    return found


def _may_need(engine: Repository | None, file: FileKey, ids: list[str]) -> bool:
    """Whether a run's snapshots need a file; yes wherever nothing says no."""
    kind, name = file
    if kind == "snapshots":
        return name in ids
    if kind != "data" or engine is None:
        return True
    try:
        return engine.needs_pack(name, snapshots=ids)
    except StoppedError:
        raise
    except OrchestratorError:
        return True
