"""Which of a copy's snapshots a drill restores."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.actions.drills.snapshots import Held, choose

NIGHT = datetime(2026, 3, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("kept", ["0a", "f0"])
def test_a_snapshot_that_a_disposal_replaced_is_not_drilled_in_place_of_the_new_one(
    kept: str,
) -> None:
    held = [Held(one, "run", NIGHT, 1, 1, "manifest", is_kept=one == kept) for one in ("0a", "f0")]
    chosen = choose(held, now=NIGHT, snapshot=None, random_within=None, seed=1)
    assert chosen is not None
    assert chosen.id == kept
