"""Snapshot rotation over all copies: what goes, what never goes, and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.backup import back_up
from orchestrator.actions.rotate import rotate
from orchestrator.actions.site import Site
from orchestrator.catalog.tables import Snapshot
from orchestrator.errors import LockedError, RefusedError
from tests.support.clock import ShiftedClock
from tests.support.object_lock import open_policy, s3, wait_until
from tests.support.site import STORE, LabSite, MakeSite, kill_group, wait_for

NONE = "keep_daily = 0\nkeep_weekly = 0\nkeep_monthly = 0\nkeep_yearly = 0\n"


def policy(keep_last: int, minimum: int) -> str:
    return f"[rotation]\nkeep_last = {keep_last}\nminimum = {minimum}\n{NONE}"


SECOND = '[copies.disk2]\nrole = "local"\npath = "copies/disk2"\n'


def nights(site: LabSite, count: int) -> list[str]:
    """Back up so often, with one image more each night; return the snapshots' ids."""
    ids = []
    with site.opened() as opened:
        for number in range(count):
            (site.images / f"night-{time.monotonic_ns()}.bin").write_bytes(os.urandom(300_000))
            (result,) = back_up(opened, [STORE])
            assert result.error is None, number
            assert result.snapshot is not None
            ids.append(result.snapshot)
    return ids


def files(folder: Path) -> set[str]:
    """Return what a repository holds, without locks."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {name for name in found if not name.startswith("locks/")}


def committed_snapshots(site: LabSite) -> set[str]:
    """Return the snapshots in the primary, without what restic had only begun to write."""
    names = {path.name for path in (site.primary / "snapshots").iterdir()}
    return {name for name in names if "-tmp-" not in name}


def held(site: LabSite) -> dict[str, list[str]]:
    """Return the kinds of the snapshots that restic sees in the primary, by run."""
    by_run: dict[str, list[str]] = {}
    with engine(site) as (_, restic):
        for snapshot in restic.snapshots():
            tags = dict(tag.partition("=")[::2] for tag in snapshot.tags)
            kind = next(tag for tag in snapshot.tags if "=" not in tag)
            by_run.setdefault(tags.get("run", ""), []).append(kind)
    return {run: sorted(kinds) for run, kinds in by_run.items()}


@contextmanager
def engine(site: LabSite) -> Iterator[tuple[Site, Any]]:
    with site.opened() as opened:
        yield opened, opened.primary_engine(STORE, STORE)


def test_rotation_takes_what_no_rule_keeps_and_every_copy_follows(make_site: MakeSite) -> None:
    site = make_site(medium=True, more=SECOND + policy(2, 2))
    site.ask("init", site.folder)
    ids = nights(site, 5)
    with engine(site) as (_, restic):
        stranger = restic.backup(site.images, tags=["data"]).snapshot_id

    before = files(site.primary)
    plan = site.ask("rotate")["stores"][0]
    assert sorted(plan["remove"]) == sorted(ids[:3])
    assert not plan["executed"]
    assert files(site.primary) == before
    assert len(site.ask("snapshots")["snapshots"]) == 5

    done = site.ask("rotate", "--execute")["stores"][0]
    assert (sorted(done["remove"]), done["executed"]) == (sorted(ids[:3]), True)
    assert done["files_removed"] > 9  # three times data, manifest and state, and packs
    kept = {run["id"] for run in site.runs("backup")[-2:]}
    assert held(site) == {run: ["data", "manifest", "state"] for run in kept} | {"": ["data"]}
    assert f"{stranger}" in {name.split("/")[-1] for name in files(site.primary)}
    assert len(site.ask("snapshots")["snapshots"]) == 2

    assert f"snapshots/{ids[0]}" in files(site.folder / "copies/disk2" / STORE)
    (site.folder / "copies/disk2" / STORE / "snapshots" / ids[0]).unlink()
    assert site.ask("check", "disk2")["copies"][0]["damaged"] == []  # nobody needs it any more
    site.ask("replicate")
    assert files(site.folder / "copies/disk2" / STORE) == files(site.primary)
    assert files(site.on_medium) == files(site.primary)
    checked = site.ask("check")
    assert {copy["copy"] for copy in checked["copies"]} == {"disk", "disk2", "rotation"}
    assert all(not copy["damaged"] for copy in checked["copies"])
    for copy in ("disk", "disk2", "rotation"):
        to = site.folder / f"back-{copy}"
        assert site.ask("restore", STORE, "--copy", copy, "--to", to)["verified"]
    assert {state["state"] for state in site.copies().values()} == {"proven"}
    assert site.ask("rotate", "--execute")["stores"][0]["remove"] == []


def test_floor_and_newest_complete_snapshot_stay_whatever_the_rules_say(
    make_site: MakeSite,
) -> None:
    site = make_site(more=policy(1, 3))
    ids = nights(site, 4)
    plan = site.ask("rotate")["stores"][0]
    assert plan["remove"] == ids[:1]
    site.write(more=policy(1, 1))
    with site.opened() as opened, opened.catalog.transaction() as session:
        for incomplete in ids[2:]:
            row = session.get(Snapshot, incomplete)
            assert row is not None
            row.complete = False
            session.add(row)
    plan = site.ask("rotate", "--execute")["stores"][0]
    assert sorted(plan["remove"]) == sorted([ids[0], ids[2]])
    kept = {one["snapshot"]: one["reasons"] for one in plan["keep"]}
    assert kept[ids[1]] == ["the newest complete snapshot"]
    assert {one["snapshot"] for one in site.ask("snapshots")["snapshots"]} == {ids[1], ids[3]}
    site.ask("check")


@pytest.mark.parametrize("vault", [True, False])
def test_nothing_is_removed_by_a_clock_that_jumped_or_is_contradicted(
    make_site: MakeSite, *, vault: bool
) -> None:
    site = make_site(vault=vault, more=policy(1, 1))
    nights(site, 2)
    before = files(site.primary)
    why = "server's clock" if vault else "behind what was recorded"
    hours = (-2, 2) if vault else (-2,)
    for ahead in hours:
        clock = ShiftedClock(timedelta(hours=ahead))
        with site.opened(clock) as opened, pytest.raises(RefusedError, match=why):
            rotate(opened, [STORE], dry_run=False)
    assert files(site.primary) == before
    assert [run["outcome"] for run in site.runs("rotate")] == ["refused"] * len(hours)


def test_nothing_is_removed_while_a_copy_is_being_read(make_site: MakeSite) -> None:
    from orchestrator.actions.lock import reading

    site = make_site(more=policy(1, 1))
    nights(site, 2)
    before = files(site.primary)
    with site.opened() as opened:
        with reading(opened.lock_dir, STORE), pytest.raises(LockedError, match="reading"):
            rotate(opened, [STORE], dry_run=False)
        assert files(site.primary) == before
        assert rotate(opened, [STORE], dry_run=False)[0].files_removed > 0


def test_what_a_killed_run_left_goes_at_the_next_rotation(make_site: MakeSite) -> None:
    site = make_site()
    with (site.images / "big.bin").open("wb") as stream:
        for _ in range(120):
            stream.write(os.urandom(1 << 20))
    process = site.start("backup", warm=True)
    wait_for(lambda: committed_snapshots(site))
    kill_group(process)
    for pid in site.restic_processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not site.restic_processes())
    left = committed_snapshots(site)

    assert site.ask("rotate")["stores"][0]["leftovers"] == []  # nothing whole is there yet
    site.ask("backup")
    plan = site.ask("rotate", "--execute")["stores"][0]
    assert (set(plan["leftovers"]), plan["remove"]) == (left, [])
    (done,) = (run["id"] for run in site.runs("backup") if run["outcome"] == "succeeded")
    assert held(site) == {done: ["data", "manifest", "state"]}
    assert site.ask("check")["copies"][0]["damaged"] == []


def test_prune_that_was_cut_off_is_finished_and_is_no_damage(make_site: MakeSite) -> None:
    site = make_site(more=SECOND + policy(1, 1))
    site.ask("init", site.folder)
    ids = nights(site, 4)
    with site.opened() as opened:
        # What a kill in the midst of it leaves: the intent, some files gone, nothing recorded.
        from orchestrator.actions import primary

        repository = opened.repository(STORE)
        primary.open_rotation(opened, repository)
        restic = opened.primary_engine(STORE, STORE)
        restic.forget(ids[:3])
        restic.prune()
    assert site.copies()["disk"]["state"] != "proven"
    assert all(not copy["damaged"] for copy in site.ask("check")["copies"])

    answer = site.ask("replicate")
    assert answer["outcome"] == "succeeded"
    assert [one["snapshot"] for one in site.ask("snapshots")["snapshots"]] == ids[3:]
    assert files(site.folder / "copies/disk2" / STORE) == files(site.primary)
    assert all(not copy["damaged"] for copy in site.ask("check")["copies"])
    assert {copy["state"] for copy in site.copies().values()} == {"proven"}
    # The companions of the three have lost their data snapshot; nothing else holds them back.
    site.ask("backup")
    site.ask("rotate", "--execute")
    assert site.ask("restore", STORE, "--to", site.folder / "back")["verified"]


def test_kill_during_a_prune_converges(make_site: MakeSite) -> None:
    site = make_site(more=policy(1, 1))
    nights(site, 4)
    process = site.start("rotate", "--execute", warm=True)
    wait_for(lambda: [p for p in site.restic_processes() if is_prune(p)], pause_s=0.001)
    kill_group(process)
    for pid in site.restic_processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not site.restic_processes())
    site.ask("backup")
    assert [run["outcome"] for run in site.runs("rotate")] == ["interrupted"]
    assert site.ask("check")["copies"][0]["damaged"] == []
    assert len(site.ask("snapshots")["snapshots"]) == 2
    site.ask("rotate", "--execute")
    assert len(site.ask("snapshots")["snapshots"]) == 1
    assert [len(kinds) for kinds in held(site).values()] == [3]
    assert site.copies()["disk"]["state"] == "proven"


def is_prune(pid: int) -> bool:
    with suppress(OSError):
        return b"prune" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def test_bucket_keeps_what_was_pruned_until_its_lock_ends_and_then_lets_it_go(
    make_site: MakeSite, request: pytest.FixtureRequest
) -> None:
    for lock_s in (40, 160):  # longer where it takes longer to come to the sweep
        site = make_site(vault=True, lock_period=f"{lock_s}s", more=policy(1, 1))
        first, second = nights(site, 2)
        site.ask("rotate", "--execute")
        site.ask("replicate")
        obsolete = {path for path in versions(site, request) if path not in files(site.primary)}
        assert f"snapshots/{first}" in obsolete
        names = {f"{path.split('/')[0]}/{path.split('/')[-1]}" for path in obsolete}
        ends = [
            datetime.fromisoformat(row["retain_until"]).replace(tzinfo=UTC)
            for row in site.rows("SELECT * FROM copy_file WHERE copy = 'vault'")
            if f"{row['kind']}/{row['name']}" in names
        ]

        swept = site.ask("bucket", "sweep", "vault")
        if datetime.now(UTC) < min(ends):
            break
    assert swept["locked"] > 0
    assert obsolete == {path for path in versions(site, request) if path not in files(site.primary)}

    wait_until(lambda: datetime.now(UTC) > max(ends) + timedelta(seconds=1), limit_s=300)
    packs = {path for path in obsolete if path.startswith("data/")}
    (index, *_) = (path for path in obsolete if path.startswith("index/"))
    hold(site, request, index, "ON")
    site.ask("bucket", "sweep", "vault")
    left = {path for path in versions(site, request) if path not in files(site.primary)}
    assert left == packs | {index}, "no index may name packs that are gone"
    hold(site, request, index, "OFF")
    swept = site.ask("bucket", "sweep", "vault")
    assert (swept["removed"], swept["locked"]) == (len(left), 0)
    assert versions(site, request) == files(site.primary)
    site.ask("backup")
    assert site.copies()["vault"]["state"] in ("proven", "present")
    assert site.ask("check", "vault")["copies"][0]["damaged"] == []
    assert second in {one["snapshot"] for one in site.ask("snapshots")["snapshots"]}


def hold(site: LabSite, request: pytest.FixtureRequest, path: str, status: str) -> None:
    """Keep an object of the bucket, as its administrator, or let it go."""
    vault = site.values.vault
    assert vault is not None
    server = request.getfixturevalue("object_lock_server")
    with s3(server, "admin") as client:
        policy = json.dumps(open_policy(server, vault.bucket))
        client.put_bucket_policy(Bucket=vault.bucket, Policy=policy)
        client.put_object_legal_hold(
            Bucket=vault.bucket, Key=f"{STORE}/{path}", LegalHold={"Status": status}
        )


def versions(site: LabSite, request: pytest.FixtureRequest) -> set[str]:
    """List what the bucket really holds, as its administrator; every version, every marker."""
    vault = site.values.vault
    assert vault is not None
    with s3(request.getfixturevalue("object_lock_server"), "admin") as client:
        page = client.list_object_versions(Bucket=vault.bucket)
    assert not page["IsTruncated"]
    keys = [one["Key"] for one in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]]
    assert len(keys) == len(set(keys))
    return {key.removeprefix(f"{STORE}/") for key in keys}
