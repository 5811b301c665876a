"""What a drill says of images that cannot be shown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.actions.drills.checks import pixels, remarks
from orchestrator.actions.drills.expected import Expectation
from orchestrator.actions.drills.pixels import Pixels


def found(before: int = 0, **counts: int) -> Pixels:
    return Pixels(Counter(counts), [f"study{number}" for number in range(before)])


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (found(decoded=3), "passed"),
        (found(decoded=3, no_pixels=2, unsupported=1), "passed"),
        (found(1, decoded=3), "passed"),
        (found(decoded=3, corrupt=1), "failed"),
        (found(decoded=3, crashed=1), "failed"),
        (found(5, decoded=3, unreadable=1), "failed"),
        (found(2), "skipped"),
        (found(unsupported=2), "skipped"),
        (found(1, unsupported=2), "skipped"),
        (Pixels(trouble="the decoder cannot be started"), "skipped"),
    ],
)
def test_only_what_was_broken_before_the_backup_is_no_failure(seen: Pixels, state: str) -> None:
    check = pixels(seen, 8)
    assert check is not None
    assert (check.state, check.damage, check.proves_data) == (state, False, True)
    assert (check.advice is None) == (state == "passed")


def test_what_holds_no_pixels_is_not_judged() -> None:
    assert pixels(found(no_pixels=4), 4) is None


def test_images_broken_before_the_backup_are_counted_and_come_first_in_the_remarks() -> None:
    seen = found(7, decoded=1, unsupported=1)
    check = pixels(seen, 9)
    assert check is not None
    assert "7 more could not be shown when they were backed up" in check.detail
    first = remarks(Expectation(Path("none")), seen)[0]
    assert first.startswith("7 series hold an image that cannot be shown and could not be when")
    assert "exactly those of backup time" in first
    assert "study0, study1, study2, study3, study4 and 2 more" in first
