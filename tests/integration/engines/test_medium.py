"""Offline media on real file systems: what is written where, and what is refused."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.engines import medium_identity
from orchestrator.engines.layout import RepositoryFile
from orchestrator.engines.medium import MediumHandle, NewMedium, add, open_medium
from orchestrator.engines.medium_identity import FOLDER
from orchestrator.engines.medium_release import is_mounted, mount, power_off, release
from orchestrator.engines.medium_search import MountedMedium, find
from orchestrator.errors import (
    DamageError,
    EngineError,
    OrchestratorError,
    RefusedError,
    UnreachableError,
)
from tests.support.loop import LoopFileSystem, loop_medium, make_loop
from tests.support.repository_files import digest_of, write_file, write_repository

__all__ = ["loop_medium", "make_loop"]

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
NEW = NewMedium(copy="rotation", site="site-1", label="Disk A")


@pytest.fixture
def primary(tmp_path: Path) -> Path:
    root = tmp_path / "primary"
    write_repository(root)
    return root


def added(loop: LoopFileSystem, new: NewMedium = NEW) -> MountedMedium:
    return add(loop.mount_point, new, now=NOW)


def put_all(handle: MediumHandle, primary: Path) -> None:
    place = handle.place("xrays")
    for file in write_repository(primary.parent / "again"):
        place.put(file, primary / file.path, digest_of(primary, file))
    place.flush()


def everything_below(path: Path) -> list[str]:
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


# -- add ------------------------------------------------------------------------------------


def test_an_added_medium_is_found_again_by_what_it_says(loop_medium: LoopFileSystem) -> None:
    medium = added(loop_medium)
    assert medium.separate
    assert medium.reason is None
    assert medium.fs_uuid == medium.identity.fs_uuid == loop_medium.uuid
    assert find([loop_medium.mount_point], "rotation") == [medium]
    assert find([loop_medium.mount_point.parent], "rotation") == [medium]
    assert find([loop_medium.mount_point.parent.parent], "rotation") == [medium]
    assert find([loop_medium.mount_point], "another") == []
    assert find([Path("/nonexistent")], "rotation") == []


def test_adding_a_medium_of_ours_again_keeps_its_id(loop_medium: LoopFileSystem) -> None:
    first = added(loop_medium)
    again = add(loop_medium.mount_point, replace(NEW, label="Disk B"), now=NOW + timedelta(days=1))
    assert again.identity == replace(first.identity, label="Disk B")


def test_two_media_never_have_the_same_id(make_loop: Callable[..., LoopFileSystem]) -> None:
    first, second = added(make_loop()), added(make_loop())
    assert first.identity.medium != second.identity.medium


@pytest.mark.parametrize("new", [replace(NEW, site="site-2"), replace(NEW, copy="other")])
def test_a_medium_of_another_site_or_copy_is_not_taken(
    loop_medium: LoopFileSystem, new: NewMedium
) -> None:
    first = added(loop_medium)
    with pytest.raises(RefusedError, match="another site or copy"):
        added(loop_medium, new)
    assert find([loop_medium.mount_point], "rotation") == [first]


def test_a_file_system_that_is_not_empty_is_not_taken(loop_medium: LoopFileSystem) -> None:
    (loop_medium.mount_point / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(RefusedError, match="not empty"):
        added(loop_medium)
    assert not (loop_medium.mount_point / FOLDER).exists()


def test_an_identity_file_that_cannot_be_read_is_not_overwritten(
    loop_medium: LoopFileSystem,
) -> None:
    added(loop_medium)
    path = loop_medium.mount_point / FOLDER / "medium.json"
    path.write_bytes(b"{")
    with pytest.raises(RefusedError, match="cannot be read"):
        added(loop_medium)
    assert path.read_bytes() == b"{"
    assert find([loop_medium.mount_point], "rotation") == []


def test_an_unmounted_mount_point_is_refused_and_gets_not_one_byte(
    loop_medium: LoopFileSystem,
) -> None:
    loop_medium.unmount()
    with pytest.raises(RefusedError, match="plain folder") as caught:
        added(loop_medium)
    assert caught.value.exit_code == 5
    assert caught.value.hint
    assert everything_below(loop_medium.mount_point) == []


def test_a_file_system_on_the_disk_of_the_primary_is_refused(
    loop_medium: LoopFileSystem, tmp_path: Path
) -> None:
    bind = tmp_path / "bind"
    bind.mkdir()
    subprocess.run(["mount", "--bind", loop_medium.mount_point, bind], check=True)
    try:
        primary = loop_medium.mount_point / "repository"  # it need not exist yet
        with pytest.raises(RefusedError, match="same disk"):
            add(bind, NEW, now=NOW, apart_from=[tmp_path, primary])
    finally:
        subprocess.run(["umount", bind], check=True)
    assert everything_below(loop_medium.mount_point) == ["lost+found"]


def test_memory_is_no_medium(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        with pytest.raises(RefusedError, match="memory"):
            add(tmp_path, NEW, now=NOW)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_read_only_file_system_cannot_be_added(loop_medium: LoopFileSystem) -> None:
    loop_medium.remount("ro")
    with pytest.raises(EngineError, match="read-only"):
        added(loop_medium)


# -- a plain folder ------------------------------------------------------------------------


def test_a_plain_folder_serves_when_asked_but_never_counts_as_separate(
    tmp_path: Path, primary: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    medium = add(folder, NEW, now=NOW, apart_from=[primary], allow_folder=True)
    assert not medium.separate
    assert find([tmp_path], "rotation", apart_from=[primary]) == [medium]
    with pytest.raises(RefusedError, match="plain folder"):
        open_medium(medium, site="site-1")
    handle = open_medium(medium, site="site-1", allow_folder=True)
    put_all(handle, primary)
    release(handle)
    assert len(everything_below(folder / FOLDER / "xrays" / "index")) == 2


# -- open and guard ------------------------------------------------------------------------


def test_a_medium_holds_the_repository_where_restic_can_read_it(
    loop_medium: LoopFileSystem, primary: Path
) -> None:
    with open_medium(added(loop_medium), site="site-1") as handle:
        before = handle.free_bytes
        put_all(handle, primary)
        assert handle.free_bytes < before
        assert everything_below(handle.path / "xrays") == everything_below(primary)
        assert all(
            r.ok
            for r in handle.place("xrays").verify(
                [s for s in handle.place("xrays").list() if s.file.kind != "config"]
            )
        )


def test_a_medium_of_another_site_is_found_but_not_opened(loop_medium: LoopFileSystem) -> None:
    medium = added(loop_medium)
    (found,) = find([loop_medium.mount_point], "rotation")
    assert found.identity.site == "site-1"
    with pytest.raises(RefusedError, match="another site"):
        open_medium(medium, site="site-2")


def test_a_medium_copied_file_by_file_is_not_taken_for_the_original(
    make_loop: Callable[..., LoopFileSystem],
) -> None:
    original, clone = make_loop(), make_loop()
    added(original)
    subprocess.run(
        ["cp", "-a", original.mount_point / FOLDER, clone.mount_point / FOLDER], check=True
    )
    (found,) = find([clone.mount_point], "rotation")
    with pytest.raises(RefusedError, match="files were copied"):
        open_medium(found, site="site-1")


def test_a_medium_pulled_out_while_writing_stops_the_writer(
    loop_medium: LoopFileSystem, primary: Path
) -> None:
    with open_medium(added(loop_medium), site="site-1") as handle:
        place = handle.place("xrays")
        files = write_repository(primary.parent / "again")
        for file in files[:4]:
            place.put(file, primary / file.path, digest_of(primary, file))
        loop_medium.unmount(lazily=True)
        for file in files[4:]:
            with pytest.raises(UnreachableError, match=r"rotation.*pulled out") as caught:
                place.put(file, primary / file.path, digest_of(primary, file))
            assert caught.value.hint
        with pytest.raises(UnreachableError):
            place.flush()
        assert everything_below(loop_medium.mount_point) == []
        assert find([loop_medium.mount_point], "rotation") == []
    loop_medium.mount()
    (found,) = find([loop_medium.mount_point], "rotation")
    with open_medium(found, site="site-1") as handle:
        put_all(handle, primary)
        assert everything_below(handle.path / "xrays") == everything_below(primary)


def test_a_medium_pulled_out_in_the_middle_of_one_file_gives_no_receipt(
    loop_medium: LoopFileSystem, tmp_path: Path
) -> None:
    file = write_file(tmp_path / "primary", "data", os.urandom(300_000))
    with open_medium(added(loop_medium), site="site-1") as handle:
        place = handle.place("xrays")
        handle_guard, calls = handle.guard, iter([None, loop_medium.unmount])

        def guard() -> None:
            if (pull := next(calls)) is not None:
                pull(lazily=True)
            handle_guard()

        place._guard = guard  # type: ignore[method-assign]
        with pytest.raises(UnreachableError):
            place.put(file, tmp_path / "primary" / file.path, file.name)
    assert everything_below(loop_medium.mount_point) == []


def test_another_medium_at_the_same_mount_point_is_not_written_to(
    make_loop: Callable[..., LoopFileSystem], primary: Path
) -> None:
    right = make_loop()
    wrong = make_loop(mounted=False)
    with open_medium(added(right), site="site-1") as handle:
        place = handle.place("xrays")
        right.unmount(lazily=True)
        wrong.mount(right.mount_point)
        try:
            added(replace(wrong, mount_point=right.mount_point), replace(NEW, label="Disk B"))
            before = everything_below(right.mount_point)
            file = write_file(primary, "data", b"more")
            with pytest.raises(UnreachableError):
                place.put(file, primary / file.path, file.name)
            assert everything_below(right.mount_point) == before
        finally:
            wrong.unmount(right.mount_point)


def test_a_medium_mounted_over_by_another_is_not_written_to(
    make_loop: Callable[..., LoopFileSystem], primary: Path
) -> None:
    right = make_loop()
    wrong = make_loop(mounted=False)
    with open_medium(added(right), site="site-1") as handle:
        wrong.mount(right.mount_point)
        try:
            file = write_file(primary, "data", b"more")
            with pytest.raises(UnreachableError):
                handle.place("xrays").put(file, primary / file.path, file.name)
            assert everything_below(right.mount_point) == ["lost+found"]
        finally:
            wrong.unmount(right.mount_point)


def test_a_swap_between_finding_and_opening_is_noticed(
    make_loop: Callable[..., LoopFileSystem],
) -> None:
    right, wrong = make_loop(), make_loop(mounted=False)
    medium = added(right)
    right.unmount()
    with pytest.raises(OrchestratorError):
        open_medium(medium, site="site-1")
    wrong.mount(right.mount_point)
    try:
        with pytest.raises(OrchestratorError):
            open_medium(medium, site="site-1")
    finally:
        wrong.unmount(right.mount_point)


def test_a_medium_that_loses_its_identity_file_is_not_written_to(
    loop_medium: LoopFileSystem, primary: Path
) -> None:
    with open_medium(added(loop_medium), site="site-1") as handle:
        file = write_file(primary, "data", b"more")
        path = loop_medium.mount_point / FOLDER / "medium.json"
        path.rename(path.with_name("x"))
        with pytest.raises(RefusedError, match="no longer says"):
            handle.place("xrays").put(file, primary / file.path, file.name)
        other = replace(handle.mounted.identity, medium="00" * 16)
        path.write_bytes(medium_identity.encode(other))
        with pytest.raises(RefusedError, match="no longer says"):
            handle.place("xrays").flush()


def test_a_closed_handle_writes_nothing(loop_medium: LoopFileSystem, primary: Path) -> None:
    handle = open_medium(added(loop_medium), site="site-1")
    place = handle.place("xrays")
    handle.close()
    handle.close()
    file = write_file(primary, "data", b"more")
    with pytest.raises(OrchestratorError):
        place.put(file, primary / file.path, file.name)


# -- faults of the disk --------------------------------------------------------------------


def test_a_full_medium_is_told_and_keeps_whole_files_only(
    make_loop: Callable[..., LoopFileSystem], tmp_path: Path
) -> None:
    loop = make_loop(size_mib=8)
    with open_medium(added(loop), site="site-1") as handle:
        place = handle.place("xrays")
        stored: list[RepositoryFile] = []

        def fill() -> None:
            while len(stored) < 20:
                file = write_file(tmp_path / "primary", "data", os.urandom(1 << 20))
                place.put(file, tmp_path / "primary" / file.path, file.name)
                stored.append(file)

        with pytest.raises(EngineError, match=r"rotation.*no space left") as caught:
            fill()
        assert len(stored) >= 3
        assert "free space" in (caught.value.hint or "")
        place.flush()
        assert {s.file for s in place.list()} == set(stored)
        assert all(r.ok for r in place.verify(place.list()))
        assert not [p for p in everything_below(handle.path) if p.endswith(".part")]


def test_a_medium_that_turns_read_only_is_told(loop_medium: LoopFileSystem, tmp_path: Path) -> None:
    file = write_file(tmp_path / "primary", "data", b"bytes")
    with open_medium(added(loop_medium), site="site-1") as handle:
        place = handle.place("xrays")
        loop_medium.remount("ro")
        with pytest.raises(EngineError, match="read-only") as caught:
            place.put(file, tmp_path / "primary" / file.path, file.name)
        assert caught.value.hint


def test_damage_in_the_primary_does_not_reach_the_medium(
    loop_medium: LoopFileSystem, tmp_path: Path
) -> None:
    file = write_file(tmp_path / "primary", "data", b"good")
    path = tmp_path / "primary" / file.path
    path.chmod(0o600)
    path.write_bytes(b"gooe")
    with open_medium(added(loop_medium), site="site-1") as handle:
        with pytest.raises(DamageError, match=file.name):
            handle.place("xrays").put(file, path, file.name)
        assert list(handle.place("xrays").list()) == []


def test_a_bit_that_rots_on_the_medium_is_found_though_memory_has_it_right(
    make_loop: Callable[..., LoopFileSystem], tmp_path: Path
) -> None:
    loop = make_loop()
    content = os.urandom(100_000)
    file = write_file(tmp_path / "primary", "data", content)
    with open_medium(added(loop), site="site-1") as handle:
        place = handle.place("xrays")
        place.put(file, tmp_path / "primary" / file.path, file.name)
        place.flush()
        handle.sync()
        (stored,) = place.list()
        assert next(place.read(stored)) == content  # now it is in memory
        with open(loop.device, "r+b", buffering=0) as device:
            raw = device.read(16 << 20)
            at = raw.index(content[4096:8192])
            device.seek(at)
            device.write(bytes([raw[at] ^ 1]))
            os.fsync(device.fileno())
        (cached,) = place.verify([stored], cached=True)
        (real,) = place.verify([stored])
        assert (cached.ok, real.ok) == (True, False)


# -- release -------------------------------------------------------------------------------


def test_a_released_medium_is_unmounted_and_whole(
    loop_medium: LoopFileSystem, primary: Path
) -> None:
    medium = added(loop_medium)
    handle = open_medium(medium, site="site-1")
    put_all(handle, primary)
    release(handle)
    assert not is_mounted(medium)
    assert everything_below(loop_medium.mount_point) == []
    loop_medium.mount()
    assert everything_below(loop_medium.mount_point / FOLDER / "xrays") == everything_below(primary)


def test_the_sites_own_command_unmounts_with_the_facts_filled_in(
    loop_medium: LoopFileSystem,
) -> None:
    medium = added(loop_medium)
    release(open_medium(medium, site="site-1"), command=["umount", "{device}"])
    assert not is_mounted(medium)


def test_a_medium_still_in_use_is_not_called_released(loop_medium: LoopFileSystem) -> None:
    medium = added(loop_medium)
    handle = open_medium(medium, site="site-1")
    with open(loop_medium.mount_point / FOLDER / "medium.json"):
        with pytest.raises(EngineError, match="still mounted") as caught:
            release(handle)
        assert "fuser" in (caught.value.hint or "")
        with pytest.raises(EngineError, match="still mounted"):
            power_off(medium, ["true"])
    assert is_mounted(medium)


def test_a_command_that_does_nothing_is_not_believed(loop_medium: LoopFileSystem) -> None:
    handle = open_medium(added(loop_medium), site="site-1")
    with pytest.raises(EngineError, match=r"still mounted.*exit code 0"):
        release(handle, command=["true"])


def test_a_medium_gone_before_its_release_is_told(loop_medium: LoopFileSystem) -> None:
    handle = open_medium(added(loop_medium), site="site-1")
    loop_medium.unmount(lazily=True)
    with pytest.raises(UnreachableError, match="pulled out"):
        release(handle)


def test_power_is_cut_only_after_unmounting_and_failure_is_told(
    loop_medium: LoopFileSystem,
) -> None:
    medium = added(loop_medium)
    release(open_medium(medium, site="site-1"))
    power_off(medium, ["true", "{device}"])
    with pytest.raises(EngineError, match=r"could not be powered off.*unmounted"):
        power_off(medium, ["false"])


def test_the_sites_command_mounts_and_its_failure_means_absent(
    loop_medium: LoopFileSystem,
) -> None:
    added(loop_medium)
    loop_medium.unmount()
    with pytest.raises(UnreachableError, match=r"rotation.*exit code 1") as caught:
        mount("rotation", ["false"])
    assert "connected" in (caught.value.hint or "")
    mount("rotation", ["mount", loop_medium.device, str(loop_medium.mount_point)])
    assert len(find([loop_medium.mount_point], "rotation")) == 1


def test_the_guard_is_cheap(loop_medium: LoopFileSystem) -> None:
    """It stands before and after every file: it may cost microseconds, not milliseconds."""
    import time

    with open_medium(added(loop_medium), site="site-1") as handle:
        start = time.process_time()
        for _ in range(200):
            handle.guard()
        assert (time.process_time() - start) / 200 < 0.002
