"""By whose findings a disposal's studies were due, in words."""

from __future__ import annotations

from orchestrator.actions.disposal import rests_on
from orchestrator.catalog.disposal_tables import Disposal
from tests.support.catalog_rows import NOW


def disposal(ids: list[str] | None) -> Disposal:
    plan = {} if ids is None else {rests_on.PLAN: ids}
    return Disposal(
        id="D-1", state="residual", plan_digest="", plan=plan, proposed_by="it", proposed_at=NOW
    )


def test_a_disposal_without_settled_doubts_says_nothing_of_them() -> None:
    for ids in (None, []):
        assert rests_on.known(disposal(ids)) == []
        assert rests_on.sentences(disposal(ids)) == ()


def test_many_determinations_are_counted_and_the_first_ones_named() -> None:
    ids = [f"DET-2026-{number:04}" for number in range(1, 24)]
    (said,) = rests_on.sentences(disposal(ids))
    assert "23 determinations: DET-2026-0001, DET-2026-0002" in said
    assert said.endswith("DET-2026-0020 and 3 more.")
    assert rests_on.in_words(ids[:1]) == "1 determination: DET-2026-0001"
