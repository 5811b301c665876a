"""What may become of each study: keep, dispose, or let a person look first. Pure.

The longest of all periods that apply decides, a hold beats everything, and whatever is unknown,
contradictory or in the future is reviewed, never disposed of. `due` is the first day on which no
period keeps the study any more; None where there is no such day or it is not known. The same facts,
policy, holds and day always yield the same decision, in whatever order they are given.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from orchestrator.retention.hold import Hold
from orchestrator.retention.schedule import Policy
from orchestrator.retention.study import Decision, StudyFacts

BATCH = 16_384
"""Studies decided at once; more of them are no faster and take more memory."""


def decide(
    studies: Sequence[StudyFacts], policy: Policy, holds: Sequence[Hold], today: dt.date
) -> list[Decision]:
    """Decide about studies, in their order.

    Args:
        studies: Any number; each is decided by its own facts alone.
        policy: What the site has adopted.
        holds: Those in force.
        today: The date in the site's time zone.
    """
    return [decision for _, decision in decide_each(studies, policy, holds, today)]


def decide_each(
    studies: Iterable[StudyFacts], policy: Policy, holds: Sequence[Hold], today: dt.date
) -> Iterator[tuple[StudyFacts, Decision]]:
    """Decide about studies as they come, in bounded memory; yield each with its decision.

    Args:
        studies: Any number.
        policy: What the site has adopted.
        holds: Those in force.
        today: The date in the site's time zone.
    """
    from orchestrator.retention.columns import StudyColumns
    from orchestrator.retention.holds_index import HoldsIndex
    from orchestrator.retention.verdicts import Judge

    judge = Judge(policy, HoldsIndex(holds), today)
    source = iter(studies)
    while batch := list(islice(source, BATCH)):
        columns = StudyColumns.of(batch)
        yield from zip(batch, judge.decide(columns).of(columns), strict=True)
