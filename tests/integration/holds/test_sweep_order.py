"""What a sweep leaves behind can be restored as long as it is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlmodel import Session

from orchestrator.actions import sweep
from orchestrator.actions.holds import guard
from orchestrator.actions.rotate import rotate
from orchestrator.actions.site import Site
from orchestrator.catalog import copies
from orchestrator.catalog.database import BUSY_TIMEOUT_S
from orchestrator.engines.bucket.versions import VersionFact
from orchestrator.engines.interface import StoredFile
from orchestrator.engines.layout import RepositoryFile
from orchestrator.errors import EngineTimeoutError, NotFoundError, RefusedError
from tests.integration.holds.test_paths import KEEP_ONE, night
from tests.support.clock import ShiftedClock
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


def test_a_locked_snapshot_keeps_all_if_what_it_needed_then_never_came(
    backed_up: Callable[..., LabSite],
) -> None:
    """Its blobs were put into another pack, which went before the bucket had it."""
    bucket = Locked("snapshots")
    earlier, later = AT - dt.timedelta(seconds=1), AT + dt.timedelta(seconds=1)
    outdated = [
        (version("snapshots", "a"), AT),
        (version("index", "b"), earlier),
        (version("data", "c"), earlier),
    ]
    lab = backed_up()
    for never_sent, stays in (
        ((earlier, AT), 3),
        ((earlier, later), 3),
        ((AT, later), 1),  # made when the snapshot went
        ((earlier - dt.timedelta(days=1), earlier), 1),  # gone before
    ):
        assert swept(lab, bucket, outdated, never_sent) == stays, (never_sent, stays)


def test_what_a_bucket_never_had_is_known(backed_up: Callable[..., LabSite]) -> None:
    names = {digit: digit * 64 for digit in "abcd"}
    times = [AT + dt.timedelta(seconds=one) for one in range(3)]

    def files(digits: str) -> list[StoredFile]:
        return [StoredFile(RepositoryFile("data", names[one], 1)) for one in digits]

    with backed_up().opened() as site, site.catalog.transaction() as session:
        held = site.repository(STORE).id
        primary, vault = ("disk", "", held), ("vault", "", held)
        copies.record_listed(session, primary, files("abcd"), now=times[0])
        copies.record_listed(session, vault, files("ab"), now=times[1])
        gone = [("data", names[one]) for one in "abc"]
        copies.mark_removed(session, primary, gone, now=times[2])
        copies.mark_removed(session, vault, gone[:1], now=times[2])
        assert sweep._never_sent(session, primary, vault) == ((times[0], times[2]),)


def test_what_goes_later_is_later_also_where_the_clock_was_set_back(
    backed_up: Callable[..., LabSite],
) -> None:
    lab = backed_up()
    lab.write(more=KEEP_ONE)
    for behind_s in (0, 30):
        with lab.opened(ShiftedClock(dt.timedelta(seconds=-behind_s))) as site:
            night(site)
            (done,) = rotate(site, [STORE], dry_run=False)
            assert len(done.remove) == 1
    rows = lab.rows(
        "SELECT removed_at, COUNT(*) AS files FROM copy_file WHERE copy = 'disk' "
        "AND state = 'removed' AND kind = 'snapshots' GROUP BY removed_at"
    )
    given_up = [row["removed_at"] for row in rows]
    assert given_up == sorted(set(given_up))
    assert len(given_up) == 2
    last = lab.rows("SELECT name FROM copy_file WHERE removed_at = ?", given_up[-1])
    assert set(done.remove) <= {row["name"] for row in last}


class SlowClock(ShiftedClock):
    """Time passes only by what a server takes."""

    passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s


class Slow(Locked):
    """A bucket whose server takes its time, loses an answer and has done it all the same."""

    def __init__(self, clock: SlowClock) -> None:
        super().__init__("nothing")
        self._clock = clock

    def sweep(self, one: VersionFact) -> None:
        assert one.parsed is not None
        if one.parsed[1][0] in self.names:
            raise NotFoundError("there is no such version")
        super().sweep(one)
        self._clock.passed_s += sweep._LONGEST_S
        if self.names == ["a", "b"]:
            raise EngineTimeoutError("no answer")


def test_a_slow_server_keeps_the_catalogs_writers_waiting_for_one_version_at_most(
    backed_up: Callable[..., LabSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly backup of another store waits for the catalog 30 seconds and no longer."""
    assert sweep._LONGEST_S + 2 * (sweep._CONNECT_S + sweep._ANSWER_S) < BUSY_TIMEOUT_S
    monkeypatch.setattr(sweep, "_PAUSE_S", 0.0)
    clock, guarded = SlowClock(), guard.guarded
    shut: list[list[str]] = []
    bucket = Slow(clock)

    def noted(site: Site) -> AbstractContextManager[Session]:
        shut.append(list(bucket.names))
        return guarded(site)

    monkeypatch.setattr(guard, "guarded", noted)
    outdated = [(version(one, digit), AT) for one, digit in zip(KINDS, "abc", strict=True)]
    with backed_up().opened(clock) as site:
        seen = sweep._Seen(outdated, frozenset(), 0)
        done = sweep._remove(site, bucket, site.repository(STORE), seen)  # type: ignore[arg-type]
    assert done == (0, ())
    assert bucket.names == ["a", "b", "c"]
    # One version in each transaction; where the answer was lost it is asked for in another one.
    assert shut == [[], ["a"], ["a", "b"]]


def swept(
    lab: LabSite,
    bucket: Locked,
    outdated: list[tuple[VersionFact, dt.datetime]],
    *never_sent: tuple[dt.datetime, dt.datetime],
) -> int:
    with lab.opened() as site:
        seen = sweep._Seen(outdated, frozenset(), 0, never_sent)
        locked, holds = sweep._remove(site, bucket, site.repository(STORE), seen)  # type: ignore[arg-type]
    assert holds == ()
    return locked
