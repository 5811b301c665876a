"""Command lines of restic."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engines.restic import argv, argv_upkeep
from orchestrator.engines.restic.argv import Opening
from orchestrator.engines.restic.argv_upkeep import KeepPolicy
from orchestrator.errors import UsageError

ID = "ab" * 32
PRIMARY = Opening("/usr/bin/restic", "/backup/disk", Path("/state/cache"), read_only=False)
REPLICA = Opening("/usr/bin/restic", "/media/one", Path("/state/cache"), read_only=True)


def test_a_primary_is_opened_with_its_cache_and_a_lock() -> None:
    assert argv.opening(PRIMARY, password_fd=7) == (
        "/usr/bin/restic", "--repo", "/backup/disk", "--json",
        "--password-command", "cat /dev/fd/7", "--cache-dir", "/state/cache",
    )  # fmt: skip


def test_a_replica_is_opened_without_cache_and_lock() -> None:
    start = argv.opening(REPLICA, password_fd=7)
    assert start[-2:] == ("--no-lock", "--no-cache")
    assert "--cache-dir" not in start


def test_a_question_to_a_primary_takes_no_lock_but_uses_the_cache() -> None:
    start = argv.opening(PRIMARY, password_fd=7, lock=False)
    assert "--no-lock" in start
    assert "--cache-dir" in start


def test_a_backup_names_neither_its_folder_nor_this_host() -> None:
    command = argv.backup(["data", "store=xrays"], parent=ID)
    assert command == (
        "backup", "--host", "orchestrator", "--group-by", "host,paths", "--pack-size", "64",
        "--tag", "data", "--tag", "store=xrays", "--no-scan", "--parent", ID, ".",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["", "a/b", "/manifest", "a\x00b"])
def test_a_stream_needs_a_plain_file_name(name: str) -> None:
    with pytest.raises(UsageError):
        argv.backup_stream(name, ["manifest"])


@pytest.mark.parametrize("bad", ["latest", "abcd1234", ID.upper(), ID + "0", "", f"{ID}:/sub"])
def test_only_full_ids_are_taken(bad: str) -> None:
    for build in (
        lambda: argv_upkeep.forget([bad]),
        lambda: argv_upkeep.forget([ID, bad]),
        lambda: argv.restore(bad, Path("/t"), include_fd=None),
        lambda: argv.dump(bad, "manifest"),
        lambda: argv.ls(bad),
        lambda: argv.backup([], parent=bad),
        lambda: argv.snapshots(ids=[bad], tags=()),
        lambda: argv_upkeep.cat_lock(bad),
    ):
        with pytest.raises(UsageError, match="64 hexadecimal digits"):
            build()


def test_forgetting_nothing_is_refused_since_restic_takes_it_for_everything() -> None:
    with pytest.raises(UsageError):
        argv_upkeep.forget([])


@pytest.mark.parametrize("policy", [KeepPolicy(), KeepPolicy(last=3, daily=-1)])
def test_a_policy_that_keeps_nothing_is_refused(policy: KeepPolicy) -> None:
    with pytest.raises(UsageError):
        argv_upkeep.forget_plan(policy, tags=["data"])


def test_a_policy_without_tags_is_refused_since_it_would_mix_data_and_manifests() -> None:
    with pytest.raises(UsageError):
        argv_upkeep.forget_plan(KeepPolicy(last=1), tags=())


def test_a_rotation_is_only_ever_planned_in_one_pinned_group() -> None:
    command = argv_upkeep.forget_plan(KeepPolicy(last=2, monthly=12), tags=["data", "x"])
    assert command == (
        "forget", "--dry-run", "--group-by", "host", "--tag", "data,x",
        "--keep-last", "2", "--keep-monthly", "12",
    )  # fmt: skip


@pytest.mark.parametrize("tag", ["a,b", "", "a b", "a\n"])
def test_a_tag_is_one_word(tag: str) -> None:
    with pytest.raises(UsageError):
        argv.backup([tag], parent=None)


@pytest.mark.parametrize("good", ["0", "5%", "2.5%", "200M", "unlimited"])
def test_the_tolerated_rest_is_passed_on(good: str) -> None:
    assert argv_upkeep.prune(good)[-2:] == ("--max-unused", good)


@pytest.mark.parametrize("bad", ["-1", "5 %", "all", "0;x", ""])
def test_a_malformed_rest_is_refused(bad: str) -> None:
    with pytest.raises(UsageError):
        argv_upkeep.prune(bad)


@pytest.mark.parametrize("subset", [(0, 5), (6, 5), (1, 300)])
def test_a_slice_out_of_range_is_refused(subset: tuple[int, int]) -> None:
    with pytest.raises(UsageError):
        argv_upkeep.check(read_data=False, subset=subset)


def test_a_slice_reads_its_part_of_the_data() -> None:
    assert argv_upkeep.check(read_data=False, subset=(2, 7)) == (
        "check",
        "--read-data-subset",
        "2/7",
    )


def test_paths_to_restore_come_through_a_descriptor() -> None:
    command = argv.restore(ID, Path("/t"), include_fd=9)
    assert command[-2:] == ("--include-file", "/dev/fd/9")
    assert command[4:6] == ("--overwrite", "never")
