"""Which snapshots a disposal has replaced, and whether the replacement speaks for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from orchestrator.catalog import disposals, holds

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Snapshot


@dataclass(frozen=True, slots=True)
class Replaced:
    """The replacements of one repository.

    Attributes:
        after: What stands in the place of a snapshot; None for nothing.
        by: Which disposal did it.
        kept: Snapshots that nobody has forgotten.
    """

    TAKEN: ClassVar[Collection[str]] = (disposals.PRIMARY_REMOVED, disposals.DISPOSED)
    """States of studies that are in no snapshot of the primary any more."""

    after: dict[str, str | None] = field(default_factory=dict)
    by: dict[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    @classmethod
    def of(cls, session: Session, repository_id: str, rows: Sequence[Snapshot]) -> Replaced:
        """Read the replacements of a repository.

        Args:
            session: Any session.
            repository_id: restic's full id.
            rows: Its data snapshots, forgotten ones too.
        """
        found = holds.replacements(session, repository_id)
        return cls(
            {row.old: row.new for row in found},
            {row.old: row.disposal for row in found},
            frozenset(row.id for row in rows if row.forgotten_at is None),
        )

    def is_superseded(self, snapshot: str) -> bool:
        """Say whether a snapshot that is kept stands in the place of this one."""
        if snapshot in self.kept:
            return False
        return any(one in self.kept for one in self._later(snapshot))

    def taken_by(self, of: Collection[str]) -> frozenset[str]:
        """Return the snapshots from which one of these disposals has taken something."""
        return frozenset(
            old
            for old in self.by
            if any(self.by.get(one) in of for one in (old, *self._later(old)))
        )

    def _later(self, snapshot: str) -> list[str]:
        found: list[str] = []
        following = self.after.get(snapshot)
        while following is not None and following not in found:
            found.append(following)
            following = self.after.get(following)
        return found
