"""Runs, slots, snapshots, copies, checks, media, buckets and facts, on both databases."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pytest

from orchestrator.catalog import (
    buckets,
    checks,
    copies,
    facts,
    media,
    repositories,
    runs,
    slots,
    snapshots,
)
from orchestrator.catalog.copy_tables import (
    BucketCoverage,
    BucketProbe,
    CheckResult,
    Medium,
    MediumEvent,
)
from orchestrator.catalog.database import Catalog
from orchestrator.engines.interface import Receipt, StoredFile
from orchestrator.engines.layout import Kind, RepositoryFile
from orchestrator.errors import EngineError, NotFoundError, UsageError
from tests.support.catalog_rows import NOW, REPOSITORY, repository_row, run_row, snapshot_row

KEY = ("disk", "", REPOSITORY)
MINUTE = dt.timedelta(minutes=1)


@dataclass
class Held:
    """What `inventory` says of one file, shortened."""

    state: str
    verified_at: dt.datetime | None


def stored(name: str, kind: Kind = "data", size: int = 10) -> RepositoryFile:
    return RepositoryFile(kind, name, size)


@pytest.fixture
def known(catalog: Catalog) -> Catalog:
    """A catalog that knows a repository."""
    with catalog.transaction() as session:
        repositories.add(session, repository_row())
    return catalog


def held(catalog: Catalog, key: copies.CopyKey = KEY) -> dict[str, Held]:
    states = ("good", "damaged", "missing", "removed")
    with catalog.reading() as session:
        return {
            item.name: Held(item.state, item.verified_at)
            for item in copies.inventory(session, key, states=states)
        }


# runs


def test_a_run_is_recorded_with_its_steps(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        runs.start(session, run_row(metrics={"a": 1}))
        first = runs.add_step(session, "r1", name="walk", now=NOW)
        second = runs.add_step(session, "r1", name="replicate", copy="disk", now=NOW + MINUTE)
        assert (first, second) == (1, 2)
        assert runs.finish_step(session, "r1", seq=1, outcome="succeeded", now=NOW + MINUTE)
    with catalog.transaction() as session:
        assert [run.id for run in runs.unfinished(session)] == ["r1"]
        assert runs.finish(
            session, "r1", outcome="partial", now=NOW + 2 * MINUTE, reason="x", metrics={"b": [2]}
        )
    with catalog.reading() as session:
        run = runs.get(session, "r1")
        assert run is not None
        assert (run.outcome, run.reason, run.metrics) == ("partial", "x", {"b": [2]})
        assert (run.started_at, run.ended_at) == (NOW, NOW + 2 * MINUTE)
        assert run.started_at.tzinfo is dt.UTC
        steps = runs.steps(session, "r1")
        assert [(step.name, step.copy_, step.outcome) for step in steps] == [
            ("walk", None, "succeeded"),
            ("replicate", "disk", "interrupted"),
        ]
        assert runs.unfinished(session) == []


def test_a_run_that_was_ended_stays_ended(catalog: Catalog) -> None:
    """A process that was taken for dead and comes back changes nothing."""
    with catalog.transaction() as session:
        runs.start(session, run_row())
        seq = runs.add_step(session, "r1", name="walk", now=NOW)
        assert runs.finish(session, "r1", outcome="interrupted", now=NOW)
        assert not runs.finish(session, "r1", outcome="succeeded", now=NOW + MINUTE)
        assert not runs.finish_step(session, "r1", seq=seq, outcome="succeeded", now=NOW)
        assert not runs.finish(session, "unknown", outcome="succeeded", now=NOW)
        run = runs.get(session, "r1")
        assert run is not None
        assert (run.outcome, run.ended_at) == ("interrupted", NOW)


def test_the_last_run_is_the_one_that_began_last_with_such_an_outcome(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        for n, outcome in enumerate(["succeeded", "partial", "succeeded", "failed"]):
            runs.start(session, run_row(f"r{n}", started_at=NOW + n * MINUTE))
            runs.finish(session, f"r{n}", outcome=outcome, now=NOW)  # type: ignore[arg-type]
        runs.start(session, run_row("site", store=None, started_at=NOW))
        runs.finish(session, "site", outcome="succeeded", now=NOW)
        runs.start(session, run_row("other", store="ct", started_at=NOW + 9 * MINUTE))
    with catalog.reading() as session:

        def last(store: str | None, *outcomes: str) -> str | None:
            found = runs.last(session, store, action="backup", outcomes=outcomes)
            return found.id if found else None

        assert last("xrays", "succeeded") == "r2"
        assert last("xrays", "partial", "failed") == "r3"
        assert last("xrays", "refused") is None
        assert last(None, "succeeded") == "site"
        assert runs.last(session, "xrays", action="check") is None
        assert [run.id for run in runs.recent(session, limit=2)] == ["other", "r3"]
        assert [run.id for run in runs.recent(session, "xrays", action="backup", limit=2)] == [
            "r3",
            "r2",
        ]


# slots


def test_a_slot_is_claimed_once(catalog: Catalog) -> None:
    for expected in (True, False):
        with catalog.transaction() as session:
            assert slots.claim(session, "j", slot="2026-03-04", run_id="r", now=NOW) is expected
    with catalog.transaction() as session:
        assert slots.claim(session, "j", slot="2026-03-05", run_id=None, now=NOW)
        assert slots.claim(session, "k", slot="2026-03-04", run_id=None, now=NOW)
        last = slots.last_slot(session, "j")
        assert last is not None
        assert last.slot == "2026-03-05"
        assert slots.last_slot(session, "x") is None
        assert slots.finish(session, "j", slot="2026-03-05", outcome="succeeded", now=NOW)
        assert not slots.finish(session, "j", slot="2026-03-05", outcome="failed", now=NOW)


def test_a_claim_that_is_taken_back_can_be_made_again(catalog: Catalog) -> None:
    def claim_and_fail() -> None:
        with catalog.transaction() as session:
            assert slots.claim(session, "j", slot="1", run_id=None, now=NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        claim_and_fail()
    with catalog.transaction() as session:
        assert slots.claim(session, "j", slot="1", run_id=None, now=NOW)


# snapshots


def test_snapshots_are_listed_newest_first_without_forgotten_ones(known: Catalog) -> None:
    with known.transaction() as session:
        for n in range(4):
            snapshots.add(session, snapshot_row(f"{n:064x}", at=NOW + n * MINUTE))
        snapshots.add(session, snapshot_row("f" * 64, kind="manifest"))
        snapshots.mark_forgotten(session, [f"{2:064x}", "e" * 64], run_id="r2", now=NOW)
        snapshots.mark_forgotten(session, [f"{2:064x}"], run_id="r3", now=NOW + MINUTE)
    with known.reading() as session:

        def numbers(**options: object) -> list[int]:
            found = snapshots.of_store(session, "xrays", **options)  # type: ignore[arg-type]
            return [int(item.id, 16) % 16 for item in found]

        assert numbers() == [3, 1, 0]
        assert numbers(forgotten=True) == [3, 2, 1, 0]
        assert numbers(kind="manifest") == [15]
        assert len(numbers(kind=None)) == 4
        assert numbers(repository_id="0" * 64) == []
        forgotten = snapshots.get(session, f"{2:064x}")
        assert (forgotten.forgotten_run, forgotten.forgotten_at) == ("r2", NOW)


def test_a_snapshot_recorded_again_stays_forgotten(known: Catalog) -> None:
    with known.transaction() as session:
        snapshots.add(session, snapshot_row("a" * 64, files=1))
        snapshots.mark_forgotten(session, ["a" * 64], run_id="r", now=NOW)
        snapshots.add(session, snapshot_row("a" * 64, files=2))
    with known.reading() as session:
        found = snapshots.get(session, "a" * 64)
        assert (found.files, found.forgotten_run) == (2, "r")


def test_a_snapshot_is_found_by_an_unambiguous_beginning(known: Catalog) -> None:
    with known.transaction() as session:
        snapshots.add(session, snapshot_row("ab" + "0" * 62))
        snapshots.add(session, snapshot_row("ab" + "1" * 62))
    with known.reading() as session:
        assert snapshots.get(session, "ab0").id == "ab" + "0" * 62
        assert snapshots.get(session, "ab" + "1" * 62).id == "ab" + "1" * 62
        with pytest.raises(UsageError, match="several"):
            snapshots.get(session, "ab")
        for prefix in ("c", "%", "_b", "", "AB0", "latest"):
            with pytest.raises(NotFoundError):
                snapshots.get(session, prefix)


def test_the_newest_complete_snapshot_is_neither_partial_nor_from_the_future(
    known: Catalog,
) -> None:
    with known.transaction() as session:
        assert snapshots.newest_complete(session, "xrays", now=NOW) is None
        snapshots.add(session, snapshot_row("1" * 64, at=NOW - 3 * MINUTE))
        snapshots.add(session, snapshot_row("2" * 64, at=NOW - 2 * MINUTE))
        snapshots.add(session, snapshot_row("3" * 64, at=NOW - MINUTE, complete=False))
        snapshots.add(session, snapshot_row("4" * 64, at=NOW + dt.timedelta(days=365)))
        snapshots.add(session, snapshot_row("5" * 64, at=NOW - MINUTE, kind="state"))
        newest = snapshots.newest_complete(session, "xrays", now=NOW)
        assert newest is not None
        assert newest.id == "2" * 64
        snapshots.mark_forgotten(session, ["2" * 64], run_id="r", now=NOW)
        newest = snapshots.newest_complete(session, "xrays", now=NOW, repository_id=REPOSITORY)
        assert newest is not None
        assert newest.id == "1" * 64


# repositories, facts


def test_repositories_and_store_states(known: Catalog) -> None:
    with known.transaction() as session:
        repositories.add(session, repository_row())
        repositories.add(session, repository_row("cd" * 32, "xrays-2027"))
        assert [row.name for row in repositories.of_store(session, "xrays")] == [
            "xrays",
            "xrays-2027",
        ]
        assert repositories.of_store(session, "ct") == []
        assert repositories.by_name(session, "xrays") == repositories.get(session, REPOSITORY)
        assert repositories.store_state(session, "xrays") is None
    with pytest.raises(EngineError), known.transaction() as session:
        repositories.add(session, repository_row("ef" * 32, "xrays"))  # a name is taken once


def test_a_snapshot_needs_its_repository(catalog: Catalog) -> None:
    """Foreign keys are enforced on both databases."""
    with pytest.raises(EngineError), catalog.transaction() as session:
        snapshots.add(session, snapshot_row("a" * 64))


def test_facts_are_set_and_found(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        facts.put(session, "a.1", value="x", now=NOW)
        facts.put(session, "a.1", value="y", now=NOW + MINUTE)
        facts.put(session, "a%2", value="z", now=NOW)
        fact = facts.get(session, "a.1")
        assert fact is not None
        assert (fact.value, fact.at) == ("y", NOW + MINUTE)
        assert facts.get(session, "b") is None
        assert facts.starting_with(session, "a%") == {"a%2": "z"}
        assert facts.starting_with(session, "a.") == {"a.1": "y"}


# copies


def test_receipts_become_the_inventory(known: Catalog) -> None:
    until = NOW + dt.timedelta(days=35)
    receipts = [
        Receipt(stored("b" * 64), "v2", until),
        Receipt(stored("a" * 64), "v1", until),
        Receipt(stored("config", "config", 155), "v0", until),
    ]
    with known.transaction() as session:
        assert copies.record_stored(session, KEY, iter(receipts), now=NOW, verified=True) == 3
    with known.reading() as session:
        found = list(copies.inventory(session, KEY))
        assert [(item.kind, item.name[0], item.version_id) for item in found] == [
            ("config", "c", "v0"),
            ("data", "a", "v1"),
            ("data", "b", "v2"),
        ]
        assert found[0].retain_until == until
        assert found[0].verified_at == found[0].stored_at == NOW
        assert list(copies.inventory(session, ("other", "", REPOSITORY))) == []
        assert list(copies.inventory(session, ("disk", "m1", REPOSITORY))) == []
        assert copies.totals(session, KEY) == {"good": (3, 175)}


def test_marks_change_only_the_files_named(known: Catalog) -> None:
    later = NOW + MINUTE
    with known.transaction() as session:
        receipts = [Receipt(stored(letter)) for letter in "abcd"]
        copies.record_stored(session, KEY, receipts, now=NOW)
        copies.mark_verified(session, KEY, [("data", "a"), ("data", "x")], now=later)
        copies.mark_damaged(session, KEY, [("data", "b"), ("index", "a")])
        copies.mark_missing(session, KEY, [("data", "c")])
        copies.mark_removed(session, KEY, [("data", "d")], now=later)
    assert held(known) == {
        "a": Held("good", later),
        "b": Held("damaged", None),
        "c": Held("missing", None),
        "d": Held("removed", None),
    }
    with known.transaction() as session:
        # what was removed on purpose is not resurrected by a late result
        copies.mark_verified(session, KEY, [("data", n) for n in "bcd"], now=later)
        copies.mark_damaged(session, KEY, [("data", "d")])
    assert {name: item.state for name, item in held(known).items()} == {
        "a": "good",
        "b": "good",
        "c": "good",
        "d": "removed",
    }


def test_a_file_stored_again_is_good_but_its_old_proof_is_void(known: Catalog) -> None:
    with known.transaction() as session:
        copies.record_stored(session, KEY, [Receipt(stored("a"))], now=NOW, verified=True)
        copies.mark_damaged(session, KEY, [("data", "a")])
        copies.record_stored(session, KEY, [Receipt(stored("a"))], now=NOW + MINUTE)
    assert held(known) == {"a": Held("good", None)}


def test_a_listing_proves_presence_and_nothing_more(known: Catalog) -> None:
    with known.transaction() as session:
        receipts = [Receipt(stored(letter), f"v-{letter}") for letter in "abcd"]
        copies.record_stored(session, KEY, receipts, now=NOW, verified=True)
        copies.mark_damaged(session, KEY, [("data", "b")])
        copies.mark_missing(session, KEY, [("data", "c")])
        copies.mark_removed(session, KEY, [("data", "d")], now=NOW)
        listed = [StoredFile(stored(letter), f"w-{letter}") for letter in "abcde"]
        copies.record_listed(session, KEY, listed, now=NOW + MINUTE)
    assert held(known) == {
        "a": Held("good", NOW),
        "b": Held("damaged", NOW),
        "c": Held("good", None),
        "d": Held("good", None),
        "e": Held("good", None),
    }
    with known.reading() as session:
        rows = {item.name: item for item in copies.inventory(session, KEY)}
        assert rows["a"].version_id == "v-a"
        assert rows["c"].version_id == "w-c"
        assert rows["d"].removed_at is None
        assert (rows["a"].stored_at, rows["e"].stored_at) == (NOW, NOW + MINUTE)


def test_longer_locks_are_recorded_by_file(known: Catalog) -> None:
    until = NOW + dt.timedelta(days=70)
    with known.transaction() as session:
        copies.record_stored(session, KEY, [Receipt(stored(n)) for n in "ab"], now=NOW)
        copies.extend_protection(session, KEY, [("data", "a", until)])
    with known.reading() as session:
        found = {item.name: item.retain_until for item in copies.inventory(session, KEY)}
    assert found == {"a": until, "b": None}


def test_thousands_of_files_are_recorded_in_batches(known: Catalog) -> None:
    names = [f"{n:064x}" for n in range(4501)]
    with known.transaction() as session:
        receipts = (Receipt(stored(name)) for name in names)
        assert copies.record_stored(session, KEY, receipts, now=NOW) == 4501
        copies.mark_verified(session, KEY, (("data", name) for name in names), now=NOW)
    with known.reading() as session:
        found = [item.name for item in copies.inventory(session, KEY) if item.verified_at == NOW]
    assert found == names


def test_a_copys_state_changes_only_where_something_was_observed(known: Catalog) -> None:
    with known.transaction() as session:
        copies.update_state(session, KEY, newest_snapshot="s1", newest_at=NOW)
        state = copies.get_state(session, KEY)
        assert state is not None
        assert (state.state, state.newest_snapshot, state.verified_at) == ("unknown", "s1", None)
        copies.update_state(session, KEY, state="present", verified_at=NOW)
        copies.update_state(session, KEY, protected_until=NOW + MINUTE)
        copies.update_state(session, ("vault", "", REPOSITORY), state="absent")
    with known.reading() as session:
        state = copies.get_state(session, KEY)
        assert state is not None
        assert (state.state, state.newest_snapshot, state.verified_at, state.protected_until) == (
            "present",
            "s1",
            NOW,
            NOW + MINUTE,
        )
        assert [row.copy_ for row in copies.states(session)] == ["disk", "vault"]
        assert [row.copy_ for row in copies.states(session, "vault", store="xrays")] == ["vault"]
        assert copies.states(session, store="ct") == []
        assert copies.get_state(session, ("disk", "m", REPOSITORY)) is None


# checks


def check(n: int, t: int, minute: int, damaged: tuple[str, ...] = ()) -> CheckResult:
    return CheckResult(
        run_id="r1",
        copy_="disk",
        medium="",
        repository_id=REPOSITORY,
        at=NOW + minute * MINUTE,
        slice_n=n,
        slice_t=t,
        files=1,
        size_bytes=1,
        damaged=list(damaged),
    )


def coverage(catalog: Catalog, *results: CheckResult) -> checks.Coverage | None:
    with catalog.transaction() as session:
        for result in results:
            checks.add(session, result)
        assert len(checks.of_copy(session, KEY)) == len(results)
        return checks.coverage(session, KEY)


def test_nothing_checked_is_no_coverage(known: Catalog) -> None:
    assert coverage(known) is None


def test_slices_cover_a_copy_together_since_the_oldest_of_them(known: Catalog) -> None:
    found = coverage(known, *(check(n, 3, n) for n in (1, 2, 3)), check(1, 3, 4))
    assert found is not None
    assert found.is_full
    assert found.since == NOW + 2 * MINUTE


def test_a_slice_never_checked_means_not_covered(known: Catalog) -> None:
    found = coverage(known, check(1, 3, 1), check(3, 3, 2))
    assert found is not None
    assert (found.since, found.is_full, sorted(found.clean)) == (None, False, [1, 3])


def test_a_check_of_everything_stands_for_slices_not_looked_at_since(known: Catalog) -> None:
    found = coverage(known, check(2, 3, -5), check(1, 1, 0), check(2, 3, 5))
    assert found is not None
    assert found.clean == {1: NOW, 2: NOW + 5 * MINUTE, 3: NOW}
    assert found.since == NOW


def test_damage_counts_until_a_newer_check_of_the_same_slice_is_clean(known: Catalog) -> None:
    found = coverage(known, check(1, 2, 0), check(2, 2, 1, ("data/x",)))
    assert found is not None
    assert (found.since, found.damaged) == (None, {2: NOW + MINUTE})
    with known.transaction() as session:
        checks.add(session, check(2, 2, 2))
        found = checks.coverage(session, KEY)
        assert found is not None
        assert found.since == NOW


def test_slices_of_another_division_do_not_count(known: Catalog) -> None:
    found = coverage(known, check(1, 2, 0), check(2, 2, 1), check(1, 3, 2))
    assert found is not None
    assert (found.slices, sorted(found.clean)) == (3, [1])


# media, buckets


def test_custody_of_a_medium_is_kept_act_by_act(catalog: Catalog) -> None:
    medium = Medium(
        id="m1", copy_="rotation", label="A", fs_uuid="u", state="in_use", registered_at=NOW
    )
    with catalog.transaction() as session:
        media.register(session, medium, actor="it")
        media.mark_seen(session, "m1", now=NOW, due_at=NOW + MINUTE)
        sent = MediumEvent(
            medium="m1", at=NOW + MINUTE, actor="it", event="released", holder="K", location="safe"
        )
        assert media.record(session, sent, state="released").holder == "K"
    with catalog.transaction() as session:
        found = media.get(session, "m1")
        assert (found.state, found.location, found.last_seen, found.due_at) == (
            "released",
            "safe",
            NOW,
            NOW + MINUTE,
        )
        assert [event.event for event in media.events(session, "m1")] == ["registered", "released"]
        back = MediumEvent(medium="m1", at=NOW + MINUTE, actor="it", event="received", holder="I")
        media.record(session, back, state="in_use")
        assert (back.holder, media.get(session, "m1").location) == (
            "I",
            None,
        )  # no more in the safe
        shredded = MediumEvent(medium="m1", at=NOW + 2 * MINUTE, actor="it", event="retired")
        media.record(session, shredded, state="retired")
        assert media.of_copy(session, "rotation") == []
        assert [row.holder for row in media.of_copy(session, retired=True)] == ["I"]
        with pytest.raises(NotFoundError, match="m2"):
            media.get(session, "m2")


def test_the_newest_probe_and_coverage_count(known: Catalog) -> None:
    with known.transaction() as session:
        assert buckets.last_probe(session, "vault") is None
        for n, verdict in enumerate(["held", "broken"]):
            attempts = [{"attempt": "delete", "denied": n == 0}]
            buckets.add_probe(
                session,
                BucketProbe(copy_="vault", at=NOW + n * MINUTE, verdict=verdict, attempts=attempts),
            )
            buckets.add_coverage(
                session,
                BucketCoverage(
                    copy_="vault",
                    repository_id=REPOSITORY,
                    snapshot=f"s{n}",
                    at=NOW + n * MINUTE,
                    files=3,
                    missing=0,
                    protected_until=NOW,
                    requests=1,
                ),
            )
    with known.reading() as session:
        probe = buckets.last_probe(session, "vault")
        assert probe is not None
        assert (probe.verdict, probe.attempts[0]["denied"]) == ("broken", False)
        newest = buckets.last_coverage(session, "vault")
        assert newest is not None
        assert newest.snapshot == "s1"
        assert buckets.last_coverage(session, "vault", snapshot="s0") is not None
        assert buckets.last_coverage(session, "disk", repository_id=REPOSITORY) is None
