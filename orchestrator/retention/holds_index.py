"""Which holds cover which studies. Pure.

Keeping is safe: a study without a date is covered by every hold of a range of dates, and one
whose oldest date is not known by every hold that begins before its newest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from orchestrator.retention.columns import StudyColumns
from orchestrator.retention.dates import NEVER, UNKNOWN
from orchestrator.retention.hold import Hold
from orchestrator.retention.study import StudyFacts

if TYPE_CHECKING:
    from orchestrator.retention.columns import Codes, Flags


class HoldsIndex:
    """Holds arranged so that a batch of studies is asked once, however many holds there are.

    Args:
        holds: Those in force, in any order; the same id twice is the union of both.
    """

    def __init__(self, holds: Sequence[Hold]) -> None:
        self._by_study: dict[str, list[Hold]] = defaultdict(list)
        self._by_patient: dict[str, list[Hold]] = defaultdict(list)
        self._wide: list[Hold] = []
        for hold in holds:
            if hold.kind == "study" and hold.study is not None:
                self._by_study[hold.study].append(hold)
            elif hold.kind == "patient" and hold.patients:
                for patient in hold.patients:
                    self._by_patient[patient].append(hold)
            else:
                self._wide.append(hold)

    def covering(self, studies: StudyColumns) -> tuple[Codes, tuple[tuple[str, ...], ...]]:
        """Return per study the place of its holds, and the different sets of hold ids.

        The first set is the empty one; every other is sorted.
        """
        sets: dict[tuple[str, ...], int] = {(): 0}
        codes = np.zeros(len(studies), np.int32)
        for hold in self._wide:
            covered = _covers(hold, studies)
            for code in np.unique(codes[covered]).tolist():
                more = _joined(tuple(sets)[code], hold.id)
                codes[covered & (codes == code)] = sets.setdefault(more, len(sets))
        names = list(sets)
        for row, hold in self._named(studies):
            more = _joined(names[codes[row]], hold.id)
            if more not in sets:
                sets[more] = len(names)
                names.append(more)
            codes[row] = sets[more]
        return codes, tuple(names)

    def _named(self, studies: StudyColumns) -> Iterator[tuple[int, Hold]]:
        """Yield row and hold where a hold names the study or its patient."""
        named = ((self._by_study, studies.study), (self._by_patient, studies.patient))
        for holds, keys in named:
            if not holds:
                continue
            for row in [row for row, key in enumerate(keys) if key in holds]:
                store = studies.stores[studies.store[row]]
                for hold in holds[str(keys[row])]:
                    if hold.store in {None, store}:
                        yield row, hold


def _joined(ids: tuple[str, ...], more: str) -> tuple[str, ...]:
    return tuple(sorted({*ids, more}))


def _covers(hold: Hold, studies: StudyColumns) -> Flags:
    everything = np.ones(len(studies), np.bool_)
    if hold.store is not None:
        places = [place for place, name in enumerate(studies.stores) if name == hold.store]
        everything = np.isin(studies.store, places)
    if hold.kind != "dates":
        # A hold on a study or a patient that names none would keep nothing: it keeps all.
        return everything
    first = UNKNOWN if hold.dates_from is None else hold.dates_from.toordinal()
    last = NEVER if hold.dates_to is None else hold.dates_to.toordinal()
    oldest, newest = studies.oldest_image, studies.newest_image
    begins = np.minimum(oldest, newest)  # without a date: before every day
    ends = np.where(newest == UNKNOWN, NEVER, np.maximum(oldest, newest))
    return everything & (begins <= last) & (ends >= first)


def holds_on(studies: Sequence[StudyFacts], holds: Sequence[Hold]) -> list[tuple[str, ...]]:
    """Return the ids of the holds that cover each study, sorted; empty for none."""
    codes, sets = HoldsIndex(holds).covering(StudyColumns.of(studies))
    return [sets[code] for code in codes.tolist()]
