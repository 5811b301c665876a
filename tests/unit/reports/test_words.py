"""Times, sizes and shares as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from orchestrator.reports import words

CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "under a second"),
        (0.4, "under a second"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599.7, "1 h"),
        (3600, "1 h"),
        (3 * 3600 + 12 * 60 + 29, "3 h 12 min"),
        (24 * 3600, "24 h"),
        (47 * 3600 + 59 * 60 + 40, "48 h"),
        (48 * 3600, "2 days"),
        (9 * 86400 + 5 * 3600, "9 days 5 h"),
        (10 * 86400 - 10, "10 days"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_an_instant_is_told_in_the_sites_zone_and_in_utc() -> None:
    at = datetime(2026, 11, 22, 21, 35, tzinfo=UTC)
    assert words.instant(at, CHICAGO) == "Sun 22 Nov 2026, 15:35 CST (21:35 UTC)"
    assert words.instant(at, UTC) == "Sun 22 Nov 2026, 21:35 UTC"


def test_an_instant_on_another_day_in_utc_says_so() -> None:
    at = datetime(2026, 7, 5, 1, 30, tzinfo=UTC)
    assert words.instant(at, CHICAGO) == "Sat 4 Jul 2026, 20:30 CDT (5 Jul 01:30 UTC)"
    nameless = timezone(timedelta(hours=5, minutes=45))
    assert words.instant(at, nameless) == "Sun 5 Jul 2026, 07:15 UTC+05:45 (01:30 UTC)"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_284_000_000, "1.3 GB"),
        (999_600_000, "1.0 GB"),
        (999_400_000, "999 MB"),
        (5 * 10**18, "5000 PB"),
    ],
)
def test_a_size_is_told_by_powers_of_a_thousand(length: int, text: str) -> None:
    assert words.size(length) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.0001, "under 1 %"), (0.999, "99 %"), (0.7549, "75 %"), (1.0, "100 %")],
)
def test_a_share_never_flatters(share: float, text: str) -> None:
    assert words.percent(share) == text


def test_numbers_go_with_their_nouns() -> None:
    assert words.count(1, "file") == "1 file"
    assert words.count(1204, "file") == "1,204 files"
    assert words.count(0, "study", "studies") == "0 studies"


def test_a_day_is_written_out_and_anything_else_left_alone() -> None:
    assert words.written_day("2026-11-21") == "21 Nov 2026"
    assert words.written_day("19970424x") == "19970424x"
