"""Instants as people write them, and which snapshot a repository had then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.actions.as_of import Chosen, complete_snapshots, instant, newest_manifest
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


def _generations() -> list[Snapshot]:
    """Give a run's pair, what a disposal put in its place, and what another put in that one's."""
    first = [
        snapshot("a", 5, "data", "store=x", "run=1"),
        snapshot("b", 5, "manifest", "store=x", "run=1"),
    ]
    first = [replace(one, time=one.time.replace(microsecond=500)) for one in first]
    pairs = first
    for old, data, manifest in (("a", "c", "d"), ("c", "e", "f")):
        new = snapshot(data, 5, "data", "store=x", "run=1", "rewrite")
        mark = f"replaces={old * 64}"
        pairs = [
            *pairs,
            replace(new, original=old * 64, time=first[0].time),
            snapshot(manifest, 5, "manifest", "store=x", "run=1", mark),
        ]
    return pairs


def test_each_snapshot_of_a_run_has_the_manifest_that_was_stored_with_it() -> None:
    listed = _generations()
    expected = {"a": "b", "c": "d", "e": "f"}
    for kept in (listed, listed[::-1], listed[2:], listed[:2], listed[:4], listed[4:]):
        found = {one.id[0]: one.manifest[0] for one in complete_snapshots(kept, "x")}
        there = {one.id[0] for one in kept}
        assert found == {data: m for data, m in expected.items() if data in there}


def test_a_manifest_alone_may_be_new_where_nothing_was_to_be_taken_out_of_the_data() -> None:
    listed = [
        snapshot("a", 5, "data", "store=x", "run=1"),
        snapshot("d", 5, "manifest", "store=x", "run=1", f"replaces={'a' * 64}"),
    ]
    (found,) = complete_snapshots(listed, "x")
    assert (found.id[0], found.manifest[0]) == ("a", "d")


def test_the_newest_manifest_of_a_run_is_the_last_one_stored() -> None:
    listed = _generations()
    for count, name in ((2, "b"), (4, "d"), (6, "f")):
        newest = newest_manifest(reversed(listed[:count]))
        assert newest is not None
        assert newest.id[0] == name
    later = snapshot("9", 6, "manifest", "store=x", "run=2")
    assert newest_manifest([*listed, later]) == later
    assert newest_manifest(listed[:1]) is None
