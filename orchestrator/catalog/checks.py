"""Results of checks, and how much of a copy they cover together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from orchestrator.catalog.copies import CopyKey
from orchestrator.catalog.copy_tables import CheckResult


@dataclass(slots=True)
class Coverage:
    """What the newest check of each slice of a copy says.

    Attributes:
        slices: Into how many slices the copy is cut.
        clean: Slices whose newest check found no damage, with its date.
        damaged: Slices whose newest check found damage, with its date.
    """

    slices: int
    clean: dict[int, dt.datetime] = field(default_factory=dict)
    damaged: dict[int, dt.datetime] = field(default_factory=dict)

    @property
    def since(self) -> dt.datetime | None:
        """Since when every byte has been read and found good; None if that is not so."""
        return min(self.clean.values()) if len(self.clean) == self.slices else None

    @property
    def is_full(self) -> bool:
        """Every slice has been checked, whatever was found."""
        return len(self.clean) + len(self.damaged) == self.slices


def add(session: Session, result: CheckResult) -> None:
    """Record what a check found."""
    session.add(result)
    session.flush()


def of_copy(session: Session, key: CopyKey, *, limit: int = 50) -> Sequence[CheckResult]:
    """Return the newest checks of a repository in a copy, newest first."""
    return session.exec(_newest_first(key).limit(limit)).all()


def coverage(session: Session, key: CopyKey) -> Coverage | None:
    """Return what the newest checks cover together; None if there was none.

    A check of everything stands for each slice that no newer one has looked at. Slices of
    another division than the newest cannot be compared and are passed over.
    """
    found: Coverage | None = None
    query = _newest_first(key).execution_options(yield_per=100)
    with closing(session.exec(query)) as results:
        for result in results:
            found = found or Coverage(result.slice_t)
            if result.slice_t == 1:
                _fill(found, result, range(1, found.slices + 1))
            elif result.slice_t == found.slices:
                _fill(found, result, [result.slice_n])
            if found.is_full:
                break
    return found


def _fill(found: Coverage, result: CheckResult, slices: Sequence[int]) -> None:
    known = found.clean.keys() | found.damaged.keys()
    side = found.damaged if result.damaged else found.clean
    side.update((n, result.at) for n in slices if n not in known)


def _newest_first(key: CopyKey) -> SelectOfScalar[CheckResult]:
    copy, medium, repository_id = key
    return (
        select(CheckResult)
        .where(
            col(CheckResult.copy_) == copy,
            col(CheckResult.medium) == medium,
            col(CheckResult.repository_id) == repository_id,
        )
        .order_by(col(CheckResult.at).desc(), col(CheckResult.id).desc())
    )
