"""RTO projected from a part, and RPO from snapshots' own times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.drills.points import recovery_point, widest
from orchestrator.drills.projection import Sample, project
from orchestrator.drills.table import DigestTable

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def nights(*ages: float) -> list[datetime]:
    return [NOW - age * DAY for age in ages]


def test_age_and_gap_within_the_target_are_met() -> None:
    found = recovery_point(nights(0.5, 1.5, 2.5), now=NOW, target=DAY)
    assert found.met is True
    assert found.measured_s == 43200
    assert found.largest_gap_s == 86400


def test_an_old_newest_snapshot_is_not_met() -> None:
    assert recovery_point(nights(1.1, 2.1), now=NOW, target=DAY).met is False


def test_a_gap_in_the_period_is_not_met() -> None:
    found = recovery_point(nights(0.5, 2.5), now=NOW, target=DAY)
    assert found.met is False
    assert found.largest_gap_s == 2 * 86400
    assert recovery_point(nights(0.5, 2.5), now=NOW, target=DAY, judge_gaps=False).met is True


def test_a_gap_that_ended_before_the_period_does_not_count() -> None:
    assert recovery_point(nights(0.5, 1.5, 9), now=NOW, target=DAY, period=DAY).met is True


def test_no_snapshot_is_unknown() -> None:
    assert recovery_point([], now=NOW, target=DAY).met is None


def test_a_snapshot_from_the_future_is_unknown() -> None:
    found = recovery_point(nights(0.5, -0.5), now=NOW, target=DAY)
    assert (found.met, found.measured_s) == (None, None)


def test_a_day_of_25_hours_is_still_a_night() -> None:
    assert widest(DAY) == timedelta(hours=25, minutes=12)
    assert widest(2 * timedelta(minutes=10)) == timedelta(minutes=21)


def test_what_was_fixed_is_not_multiplied() -> None:
    sample = Sample(files=100, bytes=100, total_s=11, fixed_s=10)
    found = project(sample, files=1000, size_bytes=1000)
    assert found.expected_s == pytest.approx(20)
    assert found.low_s < 20 < found.high_s


def test_a_small_sample_has_a_wide_bar() -> None:
    one = project(Sample(1, 1000, 1.0, 0.9), files=20_000, size_bytes=20_000_000)
    many = project(Sample(2000, 2_000_000, 200.9, 0.9), files=20_000, size_bytes=20_000_000)
    assert one.high_s / one.low_s > 5
    assert many.high_s / many.low_s < 1.1


COUNTS = st.integers(1, 10**7)
SECONDS = st.floats(0, 10**6)


@given(COUNTS, COUNTS, COUNTS, COUNTS, SECONDS, SECONDS)
def test_the_bar_holds_the_projection_and_never_less_than_was_measured(
    files: int, size: int, more: int, bigger: int, total_s: float, fixed_s: float
) -> None:
    sample = Sample(files, size, total_s, fixed_s)
    found = project(sample, files=files + more, size_bytes=size + bigger)
    assert 0 <= found.low_s <= found.expected_s <= found.high_s
    assert found.high_s >= total_s


@given(
    st.dictionaries(
        st.binary(min_size=8, max_size=8).filter(any), st.binary(min_size=16, max_size=16)
    )
)
def test_a_table_gives_back_what_was_put_in(content: dict[bytes, bytes]) -> None:
    table = DigestTable(len(content))
    for key, value in content.items():
        assert table.put(key, bytes(16))
        assert not table.put(key, value)
    assert {key: table.get(key) for key in content} == content
    table.close()


def test_a_full_table_keeps_no_more_and_finds_what_it_has() -> None:
    table = DigestTable(0)
    keys = [number.to_bytes(8, "little") for number in range(1, 2001)]
    kept = [key for key in keys if table.put(key, bytes(16))]
    assert 700 < len(kept) < 1000
    assert all(table.get(key) is not None for key in kept)
    assert table.get(keys[-1]) is None
    table.close()
