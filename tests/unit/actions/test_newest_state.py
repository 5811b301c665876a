"""Which state of a site counts as its newest when its catalog is made anew."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.actions.rebuilding.contents import newest_state
from orchestrator.actions.run_ids import after, fresh
from orchestrator.engines.restic.values import Snapshot


def stored(name: str, at: datetime, run: str, kind: str = "state") -> Snapshot:
    return Snapshot(name, at, "", (kind, f"run={run}"), (), "host", None, None, None, None)


def test_a_night_with_a_wrong_clock_has_not_the_newest_state_for_ever() -> None:
    wrong, right = datetime(2031, 1, 1, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
    first = fresh(wrong)
    second = after(fresh(right), first)
    found = [stored("wrong", wrong, first), stored("right", right, second)]
    for listed in (found, found[::-1]):
        newest = newest_state(listed)
        assert newest is not None
        assert newest.id == "right"


def test_of_one_run_the_last_stored_state_counts_and_nothing_else_is_one() -> None:
    early, late = (datetime(2026, 3, 5, hour, tzinfo=UTC) for hour in (1, 2))
    run = fresh(early)
    newest = newest_state(
        [stored("early", early, run), stored("late", late, run), stored("data", late, "z", "data")]
    )
    assert newest is not None
    assert newest.id == "late"
    assert newest_state([stored("data", late, run, "data")]) is None
