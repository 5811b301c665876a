"""Gaps in a chain of custody are shown, never filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.actions.custody import Link, gaps

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def story(*events: tuple[str, str | None, str | None, str | None]) -> list[Link]:
    return [
        Link(START + timedelta(days=day), event, "it", given, taken, None, seal, None)
        for day, (event, given, taken, seal) in enumerate(events)
    ]


OUT = ("released", "it", "courier", "S1")


def test_a_chain_that_fits_has_no_gap() -> None:
    links = story(("registered", None, None, None), OUT, ("received", "courier", "it", "S1"))
    assert gaps(links, due_at=START, now=START + timedelta(days=99)) == []


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([("received", None, "it", None)], "nobody had released it"),
        ([("released", "it", None, None)], "nobody is named who took it"),
        ([OUT, OUT], "without having come back"),
        ([OUT, ("connected", None, None, None)], "nobody had received it"),
        ([OUT, ("received", "stranger", "it", "S1")], "another person"),
        ([OUT, ("received", "courier", "it", "S2")], "the seal was S1 and is S2"),
        ([OUT, ("received", "courier", "it", None)], "not named"),
    ],
)
def test_each_gap_is_named(
    events: list[tuple[str, str | None, str | None, str | None]], words: str
) -> None:
    (gap,) = gaps(story(*events))
    assert words in gap


def test_a_medium_that_is_away_and_due_is_overdue() -> None:
    late = START + timedelta(days=8)
    (gap,) = gaps(story(OUT), due_at=START + timedelta(days=7), now=late)
    assert gap.startswith("overdue since")
