"""The verbs of a repository, on the oldest and the current restic."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.engines.restic.argv_upkeep import KeepPolicy
from orchestrator.engines.restic.binary import Binary
from orchestrator.engines.restic.values import Progress
from orchestrator.errors import (
    NotFoundError,
    RefusedError,
    StoreUnavailableError,
    UsageError,
)
from tests.support.restic import (
    PASSWORD,
    MakeRepository,
    open_repository,
    tree,
    without_read_override,
)

UNKNOWN = "a" * 64
ODD_NAMES = [
    b"star*",
    b"question?",
    b"br[ack]et",
    b"back\\slash",
    b"dollar$HOME",
    b"$$",
    b"line\nfeed",
    b"feed at the end\n",
    b" blank before",
    b"blank after ",
    b"tab after\t",
    b"return after\r",
    b"no-break space after\xc2\xa0",
    b"next line after\xc2\x85",
    b"not UTF-8 \xff\xfe",
    b"ends in \xa0",
    b"#comment",
    b"!not",
    b"**",
    b"[^a]",
    b"-dash",
    "Müller 漢".encode(),
]


def write(path: bytes | Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def source(root: Path) -> Path:
    folder = root / "source" / "2024" / "study"
    folder.mkdir(parents=True)
    write(folder / "one.dcm", os.urandom(40_000))
    write(folder / "two.dcm", os.urandom(30_000))
    write(root / "source" / "empty.dcm", b"")
    os.symlink("2024", root / "source" / "link")
    return root / "source"


def test_a_new_repository_has_an_id_and_one_key_and_is_never_made_twice(
    restic: Binary, tmp_path: Path
) -> None:
    repository = open_repository(restic, tmp_path / "new", tmp_path)
    made = repository.init()
    assert repository.config_id() == made
    (key,) = repository.keys()
    assert key.current
    assert (tmp_path / "new" / "keys" / key.id).exists()
    assert repository.snapshots() == []
    with pytest.raises(RefusedError, match="there is a repository already"):
        repository.init()


def test_a_backup_is_listed_and_comes_back_byte_for_byte(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), source(tmp_path)
    progress: list[Progress] = []
    first = repository.backup(folder, tags=["data"], on_progress=progress.append)
    assert (first.files, first.files_new, first.bytes) == (3, 3, 70_000)
    assert not first.partial
    second = repository.backup(folder, tags=["data", "again"], parent=first.snapshot_id)
    assert (second.files_new, second.files_unmodified) == (0, 3)
    assert second.bytes_added == 0

    listed = repository.snapshots(tags=["data"])
    assert [one.id for one in listed] == [first.snapshot_id, second.snapshot_id]
    assert listed[0].time == first.started_at
    assert listed[1].parent == first.snapshot_id
    assert (listed[0].files, listed[0].bytes) == (3, 70_000)
    assert listed[0].hostname == "orchestrator"
    assert listed[0].paths == (str(folder),)
    assert repository.snapshots(tags=["data", "again"]) == [listed[1]]
    assert repository.snapshot(second.snapshot_id) == listed[1]

    nodes = {node.path: node for node in repository.ls(first.snapshot_id)}
    assert nodes["/2024/study/one.dcm"].size_bytes == 40_000
    assert nodes["/link"].type == "symlink"

    target = tmp_path / "target"
    replica = open_repository(restic, tmp_path / "repository", tmp_path, read_only=True)
    summary = replica.restore(first.snapshot_id, target)
    assert tree(target) == tree(folder)
    assert os.readlink(target / "link") == "2024"
    assert summary.bytes_restored == 70_000


def test_an_unchanged_folder_is_not_read_again_whatever_its_tags(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), source(tmp_path)
    repository.backup(folder, tags=["data", "run=1"])
    repository.backup_stream("manifest", [b"lines"], tags=["manifest", "run=1"])
    again = repository.backup(folder, tags=["data", "run=2"])
    assert again.files_unmodified == again.files == 3


def test_a_stream_becomes_a_file_and_can_be_read_again(
    restic: Binary, make_repository: MakeRepository
) -> None:
    repository = make_repository(restic)
    content = os.urandom(3_000_000)
    pieces = (content[start : start + 100_000] for start in range(0, len(content), 100_000))
    summary = repository.backup_stream("manifest.jsonl", pieces, tags=["manifest"])
    assert (summary.files, summary.bytes) == (1, len(content))
    assert b"".join(repository.dump(summary.snapshot_id, "manifest.jsonl")) == content
    with pytest.raises(NotFoundError, match="the snapshot has no such file"):
        list(repository.dump(summary.snapshot_id, "other"))


def test_a_stream_that_fails_leaves_no_snapshot(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(restic)

    def broken() -> Iterator[bytes]:
        yield b"first half"
        raise ValueError("the catalog went away")

    with pytest.raises(ValueError, match="the catalog went away"):
        repository.backup_stream("manifest", broken(), tags=["manifest"])
    assert list((tmp_path / "repository" / "snapshots").iterdir()) == []
    assert list((tmp_path / "repository" / "locks").iterdir()) == []


def test_unreadable_files_make_a_backup_partial_and_are_counted_without_being_named(
    restic: Binary,
    make_repository: MakeRepository,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    folder = source(tmp_path)
    repository = make_repository(without_read_override(restic, tmp_path))
    secret = folder / "2024" / "study" / "DOE^JANE.dcm"
    write(secret, b"x" * 100)
    secret.chmod(0)
    summary = repository.backup(folder, tags=["data"])
    assert summary.partial
    assert summary.problems_total == 1
    assert summary.problems[0].item.endswith("DOE^JANE.dcm")
    assert summary.files == 3
    assert repository.snapshot(summary.snapshot_id).files == 3
    assert "DOE" not in caplog.text + repr(summary)


def test_a_folder_that_is_not_there_is_an_error_and_saves_nothing(
    current_restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(current_restic)
    with pytest.raises(StoreUnavailableError, match="the folder to back up is not there"):
        repository.backup(tmp_path / "unmounted", tags=["data"])
    assert list((tmp_path / "repository" / "snapshots").iterdir()) == []


def test_odd_names_are_restored_one_by_one_and_nothing_else(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    base = os.fsencode(folder)
    decoys = [b"starX", b"questionX", b"bra", b"dollar", b"lineXfeed", b"blank after", b"$", b"a"]
    for name in [*ODD_NAMES, *decoys]:
        write(os.path.join(base, name), name)
    inside = os.path.join(base, b"folder [1] ")
    os.mkdir(inside)
    write(os.path.join(inside, b"image"), b"in a folder")
    repository = make_repository(restic)
    snapshot = repository.backup(folder, tags=["data"]).snapshot_id

    target = tmp_path / "target"
    repository.restore(snapshot, target, include=[*ODD_NAMES, b"folder [1] "])
    expected: dict[bytes, bytes | None] = {name: name for name in ODD_NAMES}
    expected |= {b"folder [1] ": None, b"folder [1] /image": b"in a folder"}
    assert tree(target) == expected


def test_more_paths_than_fit_into_a_command_line_are_restored(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    name = "x" * 200
    (folder / name).mkdir(parents=True)
    for number in range(3_000):
        write(folder / name / f"{number:05d}{name}", b"")
    repository = make_repository(restic)
    snapshot = repository.backup(folder, tags=["data"]).snapshot_id
    wanted = [f"{name}/{number:05d}{name}".encode() for number in range(2_900)]
    assert sum(map(len, wanted)) > 1_000_000
    target = tmp_path / "target"
    repository.restore(snapshot, target, include=wanted)
    assert set(tree(target)) == {name.encode(), *wanted}


def test_a_path_that_is_not_in_the_snapshot_is_reported_although_restic_says_nothing(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), source(tmp_path)
    snapshot = repository.backup(folder, tags=["data"]).snapshot_id
    with pytest.raises(NotFoundError, match="1 of 2 paths are not in the snapshot") as caught:
        repository.restore(snapshot, tmp_path / "a", include=[b"2024", b"DOE.dcm"])
    assert "DOE" not in str(caught.value)
    with pytest.raises(UsageError):
        repository.restore(snapshot, tmp_path / "b", include=[])


def test_a_restore_leaves_alone_what_is_there(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), source(tmp_path)
    snapshot = repository.backup(folder, tags=["data"]).snapshot_id
    target = tmp_path / "target"
    target.mkdir()
    write(target / "empty.dcm", b"somebody's own")
    summary = repository.restore(snapshot, target)
    assert (target / "empty.dcm").read_bytes() == b"somebody's own"
    assert summary.files_skipped == 1


def test_unknown_snapshots_are_errors_although_restic_may_exit_with_0(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(restic)
    with pytest.raises(NotFoundError):
        repository.snapshot(UNKNOWN)
    with pytest.raises(NotFoundError):
        repository.restore(UNKNOWN, tmp_path / "target")
    with pytest.raises(NotFoundError):
        list(repository.ls(UNKNOWN))
    with pytest.raises(NotFoundError):
        list(repository.dump(UNKNOWN, "manifest"))


def test_a_rotation_is_planned_per_tag_and_done_by_full_ids(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), source(tmp_path)
    first = repository.backup(folder, tags=["data"]).snapshot_id
    moved = tmp_path / "moved"
    folder.rename(moved)
    write(moved / "three.dcm", os.urandom(20_000))
    second = repository.backup(moved, tags=["data"]).snapshot_id
    repository.backup_stream("manifest", [b"m"], tags=["manifest"])

    plan = {
        one.snapshot_id: one for one in repository.forget_plan(KeepPolicy(last=1), tags=["data"])
    }
    assert {first: False, second: True} == {key: one.keep for key, one in plan.items()}
    assert plan[second].reasons == ("last snapshot",)
    assert plan[first].reasons == ()
    assert len(repository.snapshots()) == 3, "a plan changes nothing"

    repository.forget([second])
    assert [one.id for one in repository.snapshots(tags=["data"])] == [first]
    repository.forget([second])  # gone already: the next run after a crash converges
    repository.prune(max_unused="0")
    assert repository.check(read_data=True).errors == 0
    assert repository.check(subset=(1, 2)).errors == 0


def test_a_replica_is_read_without_a_trace_and_never_written(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), source(tmp_path)
    snapshot = repository.backup(folder, tags=["data"]).snapshot_id
    location = tmp_path / "repository"
    before = tree(location)
    replica = open_repository(restic, location, tmp_path / "other", read_only=True)
    assert [one.id for one in replica.snapshots()] == [snapshot]
    replica.restore(snapshot, tmp_path / "target", include=[b"2024"])
    assert replica.check().errors == 0
    assert tree(location) == before
    assert not (tmp_path / "other" / "cache").exists()
    for write_verb in (
        replica.init,
        replica.prune,
        replica.unlock,
        replica.repair_index,
        lambda: replica.forget([snapshot]),
        lambda: replica.backup(folder, tags=["data"]),
        lambda: replica.backup_stream("x", [b"x"], tags=["data"]),
    ):
        with pytest.raises(RefusedError):
            write_verb()
    assert tree(location) == before


def test_three_backups_into_one_repository_at_the_same_time_are_sound(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository, folder = make_repository(restic), source(tmp_path)
    ids: dict[str, str] = {}

    def data() -> None:
        ids["data"] = repository.backup(folder, tags=["data"]).snapshot_id

    def text(name: str) -> None:
        ids[name] = repository.backup_stream(name, [name.encode()] * 9, tags=[name]).snapshot_id

    threads = [
        threading.Thread(target=data),
        threading.Thread(target=text, args=("manifest",)),
        threading.Thread(target=text, args=("state",)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.id for one in repository.snapshots()) == sorted(ids.values())
    assert len(ids) == 3
    assert repository.check(read_data=True).errors == 0
    assert b"".join(repository.dump(ids["state"], "state")) == b"state" * 9
    assert repository.locks() == []


def test_nothing_secret_is_in_any_argument_environment_or_file(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    records, lock = tmp_path / "records", os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    repository = make_repository(restic, record_dir=records, lock_fd=lock)
    secret = PASSWORD.reveal().encode()
    seen: dict[int, bytes] = {}
    held: list[bool] = []
    recorded: list[int] = []

    def look() -> Iterator[bytes]:
        for _ in range(3):  # restic asks for its input only when the repository is open
            yield b"x" * 200_000
        for pid in children(os.getpid()):
            proc = Path(f"/proc/{pid}")
            seen[pid] = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
            held.append(any(os.path.samestat(os.stat(fd), os.fstat(lock)) for fd in fds(proc)))
        recorded.append(len(list(records.iterdir())))

    repository.backup_stream("state", look(), tags=["state"])
    os.close(lock)
    assert len(seen) == 1
    (facts,) = seen.values()
    assert b"--password-command" in facts
    assert b"TZ=UTC" in facts
    assert secret not in facts
    assert held == [True], "restic holds the run's lock while it lives"
    assert recorded == [1]
    assert list(records.iterdir()) == []
    for content in tree(tmp_path).values():
        assert secret not in (content or b"")


def children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z" and "restic" in stat.read_text():
            found.append(int(stat.parent.name))
    return found


def fds(proc: Path) -> Iterator[Path]:
    for entry in (proc / "fd").iterdir():
        if entry.exists():
            yield entry
