"""What a sweep leaves behind can be restored as long as it is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from orchestrator.actions import sweep
from orchestrator.engines.bucket.versions import VersionFact
from orchestrator.errors import RefusedError
from tests.support.site import STORE, LabSite

AT = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
KINDS = ("snapshots", "index", "data")


def version(kind: str, digit: str) -> VersionFact:
    name = digit * 64
    path = f"data/{name[:2]}/{name}" if kind == "data" else f"{kind}/{name}"
    return VersionFact(path, path, f"v-{kind}", False, True, 1, "", AT)


class Locked:
    """A bucket in which versions of one kind are still locked."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.removed: list[str] = []
        self.names: list[str] = []

    def sweep(self, one: VersionFact) -> None:
        assert one.parsed is not None
        if one.parsed[0] == self._kind:
            raise RefusedError("still locked")
        self.removed.append(one.parsed[0])
        self.names.append(one.parsed[1][0])


@pytest.mark.parametrize(
    ("kind", "removed"),
    [("snapshots", []), ("index", ["snapshots"]), ("data", ["snapshots", "index"])],
)
def test_nothing_goes_that_a_locked_snapshot_or_index_may_need(
    backed_up: Callable[..., LabSite], kind: str, removed: list[str]
) -> None:
    bucket = Locked(kind)
    outdated = [(version(one, digit), AT) for one, digit in zip(KINDS, "abc", strict=True)]
    assert swept(backed_up(), bucket, outdated) == len(KINDS) - len(removed)
    assert bucket.removed == removed


def test_a_later_snapshot_that_is_locked_keeps_no_older_pack(
    backed_up: Callable[..., LabSite],
) -> None:
    """Every night adds one: what waited for all of them would wait for ever."""
    bucket = Locked("snapshots")
    earlier, later = AT - dt.timedelta(seconds=1), AT + dt.timedelta(days=1)
    outdated = [
        (version("snapshots", "a"), AT),
        (version("index", "b"), earlier),
        (version("index", "c"), AT),
        (version("data", "d"), earlier),
        (version("data", "e"), later),
    ]
    assert swept(backed_up(), bucket, outdated) == 3
    assert bucket.names == ["b", "d"]


def swept(lab: LabSite, bucket: Locked, outdated: list[tuple[VersionFact, dt.datetime]]) -> int:
    with lab.opened() as site:
        seen = sweep._Seen(outdated, frozenset(), 0)
        locked, holds = sweep._remove(site, bucket, site.repository(STORE), seen)  # type: ignore[arg-type]
    assert holds == ()
    return locked
