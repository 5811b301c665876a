"""Which versions of a bucket's names are shown as of an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.bucket.as_of import Recall, recall
from orchestrator.engines.bucket.versions import VersionFact
from orchestrator.engines.layout import FileKey, file_path

T = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def group(
    kind: str, name: str, *ages: int | None, prefix: str = "", path: str | None = None
) -> list[VersionFact]:
    """Versions of one name, the latest first; each by its seconds after T, None for a marker."""
    path = path or file_path(kind, name)
    return [
        VersionFact(
            key=prefix + path,
            path=path,
            version_id=f"v{age}",
            is_marker=age is None,
            is_latest=number == 0,
            size_bytes=0 if age is None else 100 + age,
            etag="",
            modified=T + timedelta(seconds=age or 0),
        )
        for number, age in enumerate(ages)
    ]


def order(found: Recall, kind: str, name: str) -> list[str | None]:
    key: FileKey = (kind, name)
    return [stored.version_id for stored in found.candidates.get(key, ())]


def test_snapshots_and_indexes_are_shown_only_if_written_by_then() -> None:
    for kind in ("snapshots", "index"):
        found = recall([group(kind, A, -5), group(kind, B, 0), group(kind, C, 1)], known={}, at=T)
        assert set(found.candidates) == {(kind, A), (kind, B)}
        assert found.late == {(kind, C)}


def test_packs_and_config_are_shown_whenever_they_were_written() -> None:
    found = recall([group("config", "config", 9), group("data", A, 9)], known={}, at=T)
    assert set(found.candidates) == {("config", "config"), ("data", A)}
    assert found.late == set(found.candidates)


def test_a_delete_marker_hides_nothing_and_is_counted() -> None:
    found = recall([group("snapshots", A, None, -5), group("data", B, -5)], known={}, at=T)
    assert order(found, "snapshots", A) == ["v-5"]
    assert found.candidates["snapshots", A][0].hidden
    assert found.suspicious == 1


def test_versions_that_came_later_are_no_candidates_for_what_goes_by_time() -> None:
    found = recall([group("index", A, 7, -3, -5), group("data", A, 7, -3, -5)], known={}, at=T)
    assert order(found, "index", A) == ["v-5", "v-3"]
    assert order(found, "data", A) == ["v-5", "v-3", "v7"], "oldest first"
    assert found.suspicious == 2


def test_the_recorded_version_is_tried_first_but_the_others_are_not_forgotten() -> None:
    known = {file_path("data", A): "v-3"}
    found = recall([group("data", A, 7, -3, -5)], known=known, at=T)
    assert order(found, "data", A) == ["v-3", "v-5", "v7"]
    assert found.files[0].version_id == "v-3"


def test_keys_that_came_later_are_shown_only_if_they_are_ours_or_the_only_ones() -> None:
    ours = {file_path("keys", B): "v4"}
    found = recall(
        [group("keys", A, -5), group("keys", B, 4), group("keys", C, 9)], known=ours, at=T
    )
    assert set(found.candidates) == {("keys", A), ("keys", B)}
    found = recall([group("keys", B, 4), group("keys", C, 9)], known={}, at=T)
    assert set(found.candidates) == {("keys", B), ("keys", C)}


def test_without_an_instant_everything_is_shown() -> None:
    groups = [group(kind, A, 9) for kind in ("keys", "snapshots", "index", "data")]
    found = recall(groups, known={}, at=None)
    assert len(found.candidates) == 4
    assert (found.late, found.doubtful, found.suspicious) == (set(), {}, 0)


def test_names_that_are_not_of_a_repository_or_have_only_markers_are_passed_over() -> None:
    groups = [
        group("data", A, None),
        group("locks", A, -5, path=f"locks/{A}"),
        group("data", A, -5, path=f"data/zz/{A}"),
        group("data", A, -5, path="data/aa/readme.txt"),
    ]
    assert recall(groups, known={}, at=T).candidates == {}


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=6, unique=True), st.integers(0, 5))
def test_every_version_of_a_pack_is_tried_exactly_once(ages: list[int], pick: int) -> None:
    ages = sorted(ages, reverse=True)
    wanted = f"v{ages[pick % len(ages)]}"
    found = recall([group("data", A, *ages)], known={file_path("data", A): wanted}, at=T)
    tried = order(found, "data", A)
    assert tried[0] == wanted
    assert sorted(map(str, tried)) == sorted(f"v{age}" for age in ages)
    assert all(stored.file.size_bytes >= 0 for stored in found.files)


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=6, unique=True))
def test_an_index_is_shown_exactly_if_one_version_is_old_enough(ages: list[int]) -> None:
    found = recall([group("index", A, *sorted(ages, reverse=True))], known={}, at=T)
    old = [age for age in sorted(ages) if age <= 0]
    assert order(found, "index", A) == [f"v{age}" for age in old]
    assert (("index", A) in found.late) == (not old)
