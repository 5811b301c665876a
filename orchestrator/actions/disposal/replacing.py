"""Recording which snapshot stands in the place of which, within the caller's transaction.

A new row keeps run, time and completeness of the row it replaces, which is marked as forgotten:
whatever is told about a run's snapshot is then told about the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.actions.as_of import replaced
from orchestrator.actions.run import Run
from orchestrator.catalog import disposals, generations, snapshots
from orchestrator.catalog.disposal_tables import SnapshotReplacement
from orchestrator.catalog.tables import Snapshot as Row

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.actions.disposal.rewriting import Anew
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.values import BackupSummary, Snapshot


class Replacing:
    """The replacements that one disposal makes in one repository.

    Args:
        current: The run that makes them.
        repository: The repository.
        disposal: Id of the disposal.
    """

    def __init__(self, current: Run, repository: RepositoryRow, disposal: str) -> None:
        self._run = current
        self._repository = repository
        self._disposal = disposal

    def pair(self, session: Session, new: Anew) -> None:
        """Record what replaces a data snapshot and its manifest."""
        removed = new.found.removed
        if new.data is not None:
            self._one(
                session,
                new.pair.data,
                new.data.id,
                files=max(new.pair.data.files - removed.files, 0),
                size_bytes=max(new.pair.data.size_bytes - removed.bytes, 0),
            )
        self._one(session, new.pair.manifest, new.manifest, files=1, size_bytes=new.manifest_bytes)

    def adopt(self, session: Session, adopted: Sequence[Snapshot]) -> None:
        """Record what stands in the place of snapshots that were forgotten and not recorded."""
        manifests = generations.manifest_by_data(session, self._repository.id)
        for one in adopted:
            data = replaced(one) or ""
            old = manifests[data] if "manifest" in one.tags else data
            row = snapshots.get(session, old)
            self._one(session, row, one.id, files=one.files or 0, size_bytes=one.bytes or 0)

    def states(self, session: Session, done: BackupSummary, old: Sequence[str]) -> None:
        """Record that one state stands in the place of all earlier ones."""
        snapshots.add(
            session,
            Row(
                id=done.snapshot_id,
                repository_id=self._repository.id,
                store=self._repository.store,
                run_id=self._run.id,
                kind="state",
                at=self._run.started_at,
                files=1,
                size_bytes=done.bytes,
                complete=True,
            ),
        )
        self._forget(session, old)
        disposals.add_replacements(session, [self._row(one, None, "state") for one in old])

    def _one(self, session: Session, old: Row, new: str, *, files: int, size_bytes: int) -> None:
        values = old.model_dump() | {
            "id": new,
            "files": files,
            "size_bytes": size_bytes,
            "tree": None,
            "forgotten_at": None,
            "forgotten_run": None,
        }
        snapshots.add(session, Row(**values))
        self._forget(session, [old.id])
        disposals.add_replacements(session, [self._row(old.id, new, old.kind)])

    def _forget(self, session: Session, old: Sequence[str]) -> None:
        now = self._run.site.clock.now()
        snapshots.mark_forgotten(session, old, run_id=self._run.id, now=now)

    def _row(self, old: str, new: str | None, kind: str) -> SnapshotReplacement:
        return SnapshotReplacement(
            old=old,
            new=new,
            disposal=self._disposal,
            repository_id=self._repository.id,
            kind=kind,
            at=self._run.site.clock.now(),
        )
