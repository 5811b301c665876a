"""Instants as people write them, and which snapshot a repository had then."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.actions.as_of import Chosen, complete_snapshots, instant
from orchestrator.engines.restic.values import Snapshot
from orchestrator.errors import UsageError

CHICAGO = ZoneInfo("America/Chicago")
NOW = datetime(2026, 7, 1, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", "2026-03-02T05:59:59+00:00"),  # the end of that day in Chicago
        ("2026-06-01", "2026-06-02T04:59:59+00:00"),  # in summer
        ("2026-03-08", "2026-03-09T04:59:59+00:00"),  # a day of 23 hours
        ("2026-07-01", "2026-07-01T18:30:00+00:00"),  # today is not over: until now
        ("2026-03-01T18:00", "2026-03-02T00:00:00+00:00"),
        ("2026-03-01T18:00:00Z", "2026-03-01T18:00:00+00:00"),
        ("2026-03-01T18:00:00+02:00", "2026-03-01T16:00:00+00:00"),
    ],
)
def test_a_date_is_the_end_of_the_day_at_the_site_and_a_time_without_zone_is_the_sites(
    text: str, expected: str
) -> None:
    assert instant(text, CHICAGO, now=NOW) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-02-30", "2026-13-01T00:00", "9999-12-31", "2026-07-02"]
)
def test_what_is_no_instant_or_lies_in_the_future_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        instant(text, CHICAGO, now=NOW)


def snapshot(name: str, minute: int, *tags: str) -> Snapshot:
    return Snapshot(
        id=name * 64,
        time=datetime(2026, 1, 1, 0, minute, tzinfo=UTC),
        tree="",
        tags=tags,
        paths=(),
        hostname="",
        parent=None,
        original=None,
        files=None,
        bytes=None,
    )


def test_only_data_of_the_store_with_a_manifest_counts() -> None:
    listed = [
        snapshot("a", 1, "data", "store=xrays", "run=1"),
        snapshot("b", 2, "manifest", "store=xrays", "run=1"),
        snapshot("c", 3, "data", "store=xrays", "run=2"),  # cut off before its manifest
        snapshot("d", 4, "data", "store=other", "run=3"),
        snapshot("e", 4, "manifest", "store=other", "run=3"),
        snapshot("f", 5, "data", "store=xrays"),
    ]
    (found,) = complete_snapshots(listed, "xrays")
    assert found == Chosen("a" * 64, listed[0].time, "1", "b" * 64)


def test_an_amended_manifest_replaces_the_first() -> None:
    listed = [
        snapshot("d", 3, "manifest", "store=xrays", "run=1"),
        snapshot("a", 1, "data", "store=xrays", "run=1"),
        snapshot("b", 2, "manifest", "store=xrays", "run=1"),
    ]
    (found,) = complete_snapshots(listed, "xrays")
    assert found.manifest == "d" * 64


def test_what_the_catalog_knows_to_be_incomplete_does_not_count() -> None:
    listed = [
        snapshot("a", 1, "data", "store=xrays", "run=1"),
        snapshot("b", 2, "manifest", "store=xrays", "run=1"),
    ]
    assert complete_snapshots(listed, "xrays", known={"a" * 64: False}) == []
    assert len(complete_snapshots(listed, "xrays", known={"z" * 64: False})) == 1
