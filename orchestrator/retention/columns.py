"""Studies and decisions as columns: one array per fact, so that millions are decided at once. Pure.

Reasons are bits of one number per study. Nothing here knows a rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, get_args

import numpy as np

from orchestrator.retention.dates import UNKNOWN, day_of
from orchestrator.retention.determination import SETTLEABLE
from orchestrator.retention.study import (
    Decision,
    KeepReason,
    ReviewReason,
    StudyFacts,
    Verdict,
    Winner,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from orchestrator.retention.dates import Days

    Flags = NDArray[np.bool_]
    Bits = NDArray[np.uint64]
    Codes = NDArray[np.int32]

_Value = TypeVar("_Value")

KEEP_REASONS: tuple[KeepReason, ...] = (
    "on_hold",
    "permanent_class",
    "indefinite_period",
    "period_runs",
)
REVIEW_REASONS: tuple[ReviewReason, ...] = get_args(ReviewReason)
REASONS: tuple[str, ...] = (*KEEP_REASONS, *REVIEW_REASONS)
"""Every reason in the order in which a decision shows them; its place is its bit."""

_PLACES = {reason: place for place, reason in enumerate(REASONS)}
_NOBODYS: frozenset[ReviewReason] = frozenset({"patient_id_missing"})
VERDICTS: tuple[Verdict, ...] = ("keep", "review", "dispose")
KEEP, REVIEW, DISPOSE = range(3)


def bit(reason: KeepReason | ReviewReason) -> np.uint64:
    """Return the bit of a reason."""
    return np.uint64(1 << _PLACES[reason])


@lru_cache(maxsize=4096)
def bits_of(reasons: frozenset[ReviewReason]) -> int:
    """Return the bits of several reasons."""
    return sum(1 << _PLACES[reason] for reason in reasons)


@lru_cache(maxsize=65_536)
def reasons_of(bits: int) -> tuple[str, ...]:
    """Return the reasons of a number, in the order of `REASONS`."""
    return tuple(reason for place, reason in enumerate(REASONS) if bits >> place & 1)


@dataclass(frozen=True, slots=True)
class StudyColumns:
    """A batch of studies; all columns are of one length.

    Attributes:
        study: Pseudonyms of the studies.
        patient: Pseudonyms of the patients.
        store: Per study the place of its store in `stores`.
        stores: Store names.
        where: Per study the place of its jurisdictions in `jurisdictions`.
        jurisdictions: Different sets of jurisdictions.
        newest_image: This and the following as in `StudyFacts`; days as ordinals.
        doubts: Bits of the doubts.
        settled: Bits of the doubts that people have settled.
    """

    study: Sequence[str]
    patient: Sequence[str | None]
    store: Codes
    stores: tuple[str, ...]
    where: Codes
    jurisdictions: tuple[tuple[str, ...], ...]
    newest_image: Days
    newest_other: Days
    received: Days
    oldest_image: Days
    patient_newest_image: Days
    last_treatment: Days
    born: Days
    died: Days
    is_mammogram: Flags
    is_incompetent: Flags
    doubts: Bits
    settled: Bits

    def __len__(self) -> int:
        """Return how many studies there are."""
        return len(self.newest_image)

    @classmethod
    def of(cls, studies: Sequence[StudyFacts]) -> StudyColumns:
        """Return studies as columns."""
        count = len(studies)
        store, stores = _coded((one.store for one in studies), count)
        where, jurisdictions = _coded((one.jurisdictions for one in studies), count)
        return cls(
            study=[one.study for one in studies],
            patient=[one.patient for one in studies],
            store=store,
            stores=stores,
            where=where,
            jurisdictions=jurisdictions,
            **{name: _days(studies, name) for name in DATES},
            is_mammogram=np.fromiter((one.is_mammogram for one in studies), np.bool_, count),
            is_incompetent=np.fromiter((one.is_incompetent for one in studies), np.bool_, count),
            doubts=np.fromiter(map(_doubts, studies), np.uint64, count),
            settled=np.fromiter(map(_settled, studies), np.uint64, count),
        )


DATES = (
    "newest_image",
    "newest_other",
    "received",
    "oldest_image",
    "patient_newest_image",
    "last_treatment",
    "born",
    "died",
)


def _doubts(study: StudyFacts) -> int:
    """Return what is doubtful; a study of nobody is, even where nobody has said so."""
    return bits_of(study.doubts if study.patient is not None else study.doubts | _NOBODYS)


def _settled(study: StudyFacts) -> int:
    """Return what is settled; whose a study is that is nobody's, no finding settles."""
    if not study.settled:
        return 0
    settled = frozenset(one.doubt for one in study.settled if one.doubt in SETTLEABLE)
    return bits_of(settled if study.patient is not None else settled - _NOBODYS)


def _days(studies: Sequence[StudyFacts], name: str) -> Days:
    days = (getattr(one, name) for one in studies)
    numbers = (UNKNOWN if day is None else day.toordinal() for day in days)
    return np.fromiter(numbers, np.int32, len(studies))


def _coded(values: Iterable[_Value], count: int) -> tuple[Codes, tuple[_Value, ...]]:
    places: dict[_Value, int] = {}
    codes = np.fromiter((places.setdefault(v, len(places)) for v in values), np.int32, count)
    return codes, tuple(places)


@dataclass(frozen=True, slots=True)
class DecisionColumns:
    """What was decided about a batch; all columns are of one length.

    Attributes:
        verdict: Per study the place of its verdict in `VERDICTS`.
        due: Ordinals; `UNKNOWN` or `NEVER` where there is none.
        reasons: Bits.
        rule: Per study the place of the rule that won in `rules`; -1 for none.
        rules: Rules that can win.
        held_by: Per study the place of its holds in `holds`.
        holds: Different sets of hold ids, each sorted; the first one is empty.
    """

    verdict: NDArray[np.uint8]
    due: Days
    reasons: Bits
    rule: Codes
    rules: tuple[Winner, ...]
    held_by: Codes
    holds: tuple[tuple[str, ...], ...]

    def of(self, studies: StudyColumns) -> Iterator[Decision]:
        """Return the decisions one by one, in the order of the studies they are about."""
        rules = (*self.rules, None)  # so that -1 is no rule
        stores = (studies.stores[code] for code in studies.store.tolist())
        days: dict[int, object] = {}
        for due in np.unique(self.due).tolist():
            days[due] = day_of(due)
        for store, study, verdict, due, reasons, rule, held in zip(
            stores,
            studies.study,
            self.verdict.tolist(),
            self.due.tolist(),
            self.reasons.tolist(),
            self.rule.tolist(),
            self.held_by.tolist(),
            strict=True,
        ):
            yield Decision(
                store,
                study,
                VERDICTS[verdict],
                days[due],  # type: ignore[arg-type]
                reasons_of(reasons),
                rules[rule],
                self.holds[held],
            )
