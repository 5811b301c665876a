"""When a place is where a copy is, and what a closed one is worth."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
from pathlib import Path

import pytest

from orchestrator.actions.disposal import judging
from orchestrator.actions.place_register.spots import Spot, is_at, spot_of
from orchestrator.actions.place_register.standing import state_of
from orchestrator.actions.places import MARKER, write_marker
from orchestrator.catalog.place_tables import CopyPlace
from orchestrator.catalog.places import is_place
from orchestrator.config.references import EnvSecret
from orchestrator.config.site import BucketKey, ImmutableCopy, LocalCopy, OfflineCopy

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


def row(**changes: object) -> CopyPlace:
    values: dict[str, object] = {
        "id": "P-1",
        "copy_": "disk",
        "role": "local",
        "location": "/backup/disk",
        "identity": "one",
        "volume": "aa",
        "first_seen": NOW,
        "last_seen": NOW,
    }
    return CopyPlace(**(values | changes))


def spot(**changes: object) -> Spot:
    values: dict[str, object] = {
        "copy": "disk",
        "role": "local",
        "location": "/backup/disk",
        "identity": "one",
        "volume": "aa",
    }
    return Spot(**(values | changes))  # type: ignore[arg-type]


def local(path: Path) -> LocalCopy:
    return LocalCopy("disk", path)


def bucket(**changes: object) -> ImmutableCopy:
    key = BucketKey(EnvSecret("A"), EnvSecret("B"))
    values: dict[str, object] = {
        "name": "vault",
        "endpoint": "https://objects.example:8443",
        "region": "us-east-1",
        "bucket": "elm",
        "prefix": "xrays",
        "lock_period": dt.timedelta(days=35),
        "writer": key,
    }
    return ImmutableCopy(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"location": "/backup/other"}, False),
        ({"identity": "two"}, False),
        ({"identity": ""}, False),  # a marker without an id is another than one with an id
        ({"volume": "bb"}, False),
        ({"identity": None, "volume": None}, True),  # unmounted: nothing says otherwise
    ],
)
def test_another_path_marker_or_file_system_is_another_place(
    changes: dict[str, object], same: bool
) -> None:
    assert is_at(row(), spot(**changes)) is same


def test_a_copied_folder_is_another_place_although_its_marker_is_the_same() -> None:
    assert not is_at(row(), spot(location="/backup/copy"))


def test_only_a_place_where_no_copy_is_counts_as_former() -> None:
    here = [spot()]
    assert state_of(row(), here) == "current"
    assert state_of(row(location="/backup/old"), here) == "former"
    assert state_of(row(location="/backup/old", asked_by="it"), here) == "close_asked"
    assert state_of(row(location="/backup/old", closed_at=NOW), here) == "closed"
    assert state_of(row(), []) == "former"  # taken out of the site file
    assert state_of(row(), [spot(copy="renamed")]) == "current"  # looked at as that copy


def test_each_part_of_a_buckets_address_makes_another_place() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"endpoint": "https://other.example:8443"},
        {"bucket": "oak"},
        {"prefix": "films"},
        {"prefix": ""},
    ]
    found = [spot_of(bucket(**one)) for one in changes]
    for one, other in itertools.combinations(found, 2):
        assert one is not None
        assert other is not None
        assert one.location != other.location
    same = spot_of(bucket(endpoint="https://Objects.example:8443/"))
    assert same is not None
    assert found[0] is not None
    assert same.location == found[0].location


def test_a_folder_is_known_by_its_marker_and_where_its_link_leads(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_marker(tmp_path / name, copy="disk", site_id="s")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    first = spot_of(local(link))
    link.unlink()
    link.symlink_to(tmp_path / "two")
    second = spot_of(local(link))
    assert first is not None
    assert second is not None
    assert first.location == os.path.realpath(tmp_path / "one")
    assert first.location != second.location
    assert first.identity != second.identity
    (tmp_path / "two" / MARKER).write_text(json.dumps({"copy": "disk", "site": "s"}))
    old = spot_of(local(link))
    assert old is not None
    assert old.identity == ""
    (tmp_path / "two" / MARKER).unlink()
    away = spot_of(local(link))
    assert away is not None
    assert away.identity is None


def test_media_have_a_register_of_their_own() -> None:
    assert spot_of(OfflineCopy("rotation", (Path("/media"),), dt.timedelta(days=7))) is None
    assert is_place("P-1a2b3c4d")
    assert not is_place("ab" * 16)


def test_a_closed_place_is_attested_with_who_and_when_and_never_measured() -> None:
    closed = row(asked_by="it", closed_by="privacy", how="emptied")
    seen = judging.closed(closed, NOW, day=NOW.date(), by="I. T. and P. Rivacy")
    assert (seen.state, seen.at) == ("absent", NOW)
    assert seen.evidence["basis"] == "attested"
    assert (seen.evidence["asked_by"], seen.evidence["by"]) == ("it", "privacy")
    assert seen.evidence["technique"] == (
        "emptied by 2026-11-22, as stated by I. T. and P. Rivacy; not observed"
    )
    assert seen.detail == "attested: emptied, said I. T. and P. Rivacy"
