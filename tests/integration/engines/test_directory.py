"""A copy that is a folder, on the real disk."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.layout import LIST_ORDER, RepositoryFile
from orchestrator.errors import DamageError, EngineError, NotFoundError, UnreachableError
from tests.support.repository_files import digest_of, write_file, write_repository


@pytest.fixture
def primary(tmp_path: Path) -> Path:
    root = tmp_path / "primary"
    write_repository(root)
    return root


def put_all(place: Place, primary: Path) -> list[RepositoryFile]:
    source = DirectoryPlace("primary", primary)
    files = sorted((s.file for s in source.list()), key=lambda f: f.kind != "config")
    for file in files:
        place.put(file, primary / file.path, digest_of(primary, file))
    place.flush()
    return files


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


@pytest.mark.parametrize("durable", [True, False])
def test_a_replica_is_the_primary_byte_for_byte(
    primary: Path, tmp_path: Path, durable: bool
) -> None:
    place = DirectoryPlace("disk", tmp_path / "copy", durable=durable)
    put_all(place, primary)
    assert tree(tmp_path / "copy") == tree(primary)
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "copy").rglob("*") if p.is_file()}
    assert modes == {0o400}


def test_listing_is_in_list_order_and_leaves_out_what_is_not_content(primary: Path) -> None:
    name = hashlib.sha256(b"lock").hexdigest()
    for path in (f"locks/{name}", f"data/{name[:2]}/{name}-tmp-17", "index/note.txt", "README"):
        (primary / path).parent.mkdir(parents=True, exist_ok=True)
        (primary / path).write_bytes(b"lock")
    wrong_folder = primary / "data" / ("00" if name[:2] != "00" else "01")
    wrong_folder.mkdir(exist_ok=True)
    (wrong_folder / name).write_bytes(b"lock")
    listed = [stored.file for stored in DirectoryPlace("primary", primary).list()]
    kinds = [file.kind for file in listed]
    assert kinds == sorted(kinds, key=LIST_ORDER.index)
    assert len(listed) == 12
    assert all((primary / f.path).stat().st_size == f.size_bytes for f in listed)
    assert name not in {f.name for f in listed}


def test_an_empty_place_lists_nothing(tmp_path: Path) -> None:
    assert list(DirectoryPlace("disk", tmp_path / "nowhere").list()) == []
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("kind", ["keys", "data", "index", "snapshots"])
def test_a_damaged_source_is_refused_by_name_and_nothing_is_stored(
    tmp_path: Path, kind: str
) -> None:
    file = write_file(tmp_path / "primary", kind, b"good bytes" * 1000)  # type: ignore[arg-type]
    path = tmp_path / "primary" / file.path
    path.chmod(0o600)
    bad = bytearray(path.read_bytes())
    bad[17] ^= 1
    path.write_bytes(bad)
    place = DirectoryPlace("disk", tmp_path / "copy")
    with pytest.raises(DamageError, match=file.path) as caught:
        place.put(file, path, file.name)
    assert caught.value.exit_code == 4
    assert tree(tmp_path / "copy") == {}


def test_config_is_verified_against_its_recorded_digest(tmp_path: Path) -> None:
    file = write_file(tmp_path / "primary", "config", b"the config")
    source = tmp_path / "primary" / "config"
    place = DirectoryPlace("disk", tmp_path / "copy")
    with pytest.raises(DamageError, match="config"):
        place.put(file, source, hashlib.sha256(b"another").hexdigest())
    receipt = place.put(file, source, hashlib.sha256(b"the config").hexdigest())
    assert receipt.file == file
    assert (tmp_path / "copy" / "config").read_bytes() == b"the config"


def test_a_file_gone_from_the_primary_is_told_from_damage(tmp_path: Path) -> None:
    file = write_file(tmp_path / "primary", "data", b"pruned")
    (tmp_path / "primary" / file.path).unlink()
    place = DirectoryPlace("disk", tmp_path / "copy")
    with pytest.raises(NotFoundError, match="primary"):
        place.put(file, tmp_path / "primary" / file.path, file.name)


def test_a_symbolic_link_in_the_primary_is_not_followed(tmp_path: Path) -> None:
    content = b"elsewhere"
    (tmp_path / "elsewhere").write_bytes(content)
    file = write_file(tmp_path / "primary", "data", content)
    path = tmp_path / "primary" / file.path
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamageError, match=file.path):
        DirectoryPlace("disk", tmp_path / "copy").put(file, path, file.name)


@pytest.mark.parametrize("where", ["data", "data/xx", "index"])
def test_no_write_leaves_the_root_through_a_symbolic_link(tmp_path: Path, where: str) -> None:
    outside, copy = tmp_path / "outside", tmp_path / "copy"
    outside.mkdir()
    kind = "index" if where == "index" else "data"
    file = write_file(tmp_path / "primary", kind, b"bytes")  # type: ignore[arg-type]
    link = copy / where.replace("xx", file.name[:2])
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(EngineError, match="copy disk") as caught:
        DirectoryPlace("disk", copy).put(file, tmp_path / "primary" / file.path, file.name)
    assert "symbolic links" in (caught.value.hint or "")
    assert list(outside.iterdir()) == []


def test_a_symbolic_link_under_a_content_name_is_replaced_not_followed(tmp_path: Path) -> None:
    outside, copy = tmp_path / "outside", tmp_path / "copy"
    outside.write_bytes(b"not mine")
    file = write_file(tmp_path / "primary", "index", b"bytes")
    (copy / "index").mkdir(parents=True)
    (copy / file.path).symlink_to(outside)
    place = DirectoryPlace("disk", copy)
    assert list(place.list()) == []
    place.put(file, tmp_path / "primary" / file.path, file.name)
    assert outside.read_bytes() == b"not mine"
    assert (copy / file.path).read_bytes() == b"bytes"
    assert not (copy / file.path).is_symlink()


def test_putting_a_file_again_heals_a_damaged_replica(primary: Path, tmp_path: Path) -> None:
    place = DirectoryPlace("disk", tmp_path / "copy")
    files = put_all(place, primary)
    victim = next(f for f in files if f.kind == "data")
    path = tmp_path / "copy" / victim.path
    path.chmod(0o600)
    path.write_bytes(b"rotten")
    place.put(victim, primary / victim.path, victim.name)
    assert tree(tmp_path / "copy") == tree(primary)


def test_left_overs_of_a_killed_run_go_and_nothing_else_does(primary: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    name = hashlib.sha256(b"x").hexdigest()
    ours = copy / "data" / name[:2] / f"{name}.0123456789abcdef-7.part"
    others = [copy / "data" / name[:2] / f"{name}-tmp-1", copy / "index" / "my.part"]
    for path in (ours, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    place = DirectoryPlace("disk", copy)
    assert list(place.list()) == []
    assert ours.exists()  # reading changes nothing
    put_all(place, primary)
    assert not ours.exists()
    assert all(path.exists() for path in others)


def test_a_missing_parent_is_an_error_that_says_so(tmp_path: Path) -> None:
    file = write_file(tmp_path / "primary", "index", b"bytes")
    place = DirectoryPlace("disk", tmp_path / "unmounted" / "disk" / "repository")
    with pytest.raises(EngineError, match=r"copy disk.*not there") as caught:
        place.put(file, tmp_path / "primary" / file.path, file.name)
    assert "mount" in (caught.value.hint or "")
    assert not (tmp_path / "unmounted").exists()


def test_reading_gives_any_range_in_small_pieces(tmp_path: Path) -> None:
    content = os.urandom((5 << 20) // 2 + 3)
    file = write_file(tmp_path / "copy", "data", content)
    place = DirectoryPlace("disk", tmp_path / "copy")
    stored = StoredFile(file)
    pieces = list(place.read(stored))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1 << 20
    assert (
        b"".join(place.read(stored, offset=100, length=(1 << 20) + 7))
        == content[100:][: (1 << 20) + 7]
    )
    assert b"".join(place.read(stored, offset=len(content) - 5, length=50)) == content[-5:]
    assert list(place.read(stored, length=0)) == []
    with pytest.raises(NotFoundError, match=r"copy disk: index/0+ is not there"):
        next(place.read(StoredFile(RepositoryFile("index", "0" * 64, 1))))


def test_an_abandoned_reading_leaves_nothing_open(tmp_path: Path) -> None:
    file = write_file(tmp_path / "copy", "data", os.urandom(3 << 20))
    place = DirectoryPlace("disk", tmp_path / "copy")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        pieces = place.read(StoredFile(file))
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
    listing = place.list()
    next(listing)
    listing.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_removing_takes_one_file_and_twice_is_no_error(primary: Path, tmp_path: Path) -> None:
    place = DirectoryPlace("disk", tmp_path / "copy")
    files = put_all(place, primary)
    victim = next(f for f in files if f.kind == "snapshots")
    place.remove(StoredFile(victim))
    place.remove(StoredFile(victim))
    place.flush()
    assert {s.file for s in place.list()} == set(files) - {victim}


def test_the_guard_stands_before_and_after_every_change(primary: Path, tmp_path: Path) -> None:
    calls = 0

    def guard() -> None:
        nonlocal calls
        calls += 1

    place = DirectoryPlace("disk", tmp_path / "copy", guard=guard)
    file = next(s.file for s in DirectoryPlace("primary", primary).list() if s.file.kind == "data")
    changes = [
        lambda: place.put(file, primary / file.path, file.name),
        place.flush,
        lambda: place.remove(StoredFile(file)),
        lambda: list(place.list()),
    ]
    for change in changes:
        before = calls
        change()
        assert calls - before >= 2


def test_a_guard_that_objects_keeps_every_byte_out(primary: Path, tmp_path: Path) -> None:
    def guard() -> None:
        raise UnreachableError("copy rotation: the medium is gone")

    place = DirectoryPlace("rotation", tmp_path / "copy", guard=guard)
    file = next(s.file for s in DirectoryPlace("primary", primary).list())
    with pytest.raises(UnreachableError):
        place.put(file, primary / file.path, digest_of(primary, file))
    with pytest.raises(UnreachableError):
        place.flush()
    with pytest.raises(UnreachableError):
        place.remove(StoredFile(file))
    assert not (tmp_path / "copy").exists()


def test_a_guard_that_objects_afterwards_gives_no_receipt(primary: Path, tmp_path: Path) -> None:
    answers = iter([None, UnreachableError("pulled out")])

    def guard() -> None:
        if (answer := next(answers)) is not None:
            raise answer

    place = DirectoryPlace("rotation", tmp_path / "copy", guard=guard)
    file = next(s.file for s in DirectoryPlace("primary", primary).list())
    with pytest.raises(UnreachableError, match="pulled out"):
        place.put(file, primary / file.path, digest_of(primary, file))


def test_verify_names_every_damaged_missing_and_shortened_file(
    primary: Path, tmp_path: Path
) -> None:
    place = DirectoryPlace("disk", tmp_path / "copy")
    files = put_all(place, primary)
    victims = [f for f in files if f.kind in ("keys", "index", "snapshots")][:3]
    paths = [tmp_path / "copy" / f.path for f in victims]
    for path in paths[:2]:
        path.chmod(0o600)
    content = bytearray(paths[0].read_bytes())
    content[5] ^= 0x10
    paths[0].write_bytes(content)
    os.truncate(paths[1], 10)
    stored = list(place.list())
    paths[2].unlink()
    config = digest_of(primary, RepositoryFile("config", "config", 0))
    results = list(place.verify(stored, config_sha256=config, threads=3))
    assert [r.stored for r in results] == stored
    assert {r.stored.file.key for r in results if not r.ok} == {f.key for f in victims}
    assert all((r.problem is None) == r.ok for r in results)


def test_config_without_a_recorded_digest_is_never_good(tmp_path: Path) -> None:
    write_file(tmp_path / "copy", "config", b"c")
    place = DirectoryPlace("disk", tmp_path / "copy")
    (result,) = place.verify(place.list())
    assert not result.ok
    assert "never recorded" in (result.problem or "")


def test_verify_works_only_a_little_ahead_of_its_reader(tmp_path: Path) -> None:
    file = write_file(tmp_path / "copy", "index", b"bytes")
    taken = 0

    def many() -> list[StoredFile]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield StoredFile(file)  # type: ignore[misc]

    results = DirectoryPlace("disk", tmp_path / "copy").verify(many(), threads=2)
    for _ in range(10):
        assert next(results).ok
    assert taken <= 10 + 8
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("verify")]


def test_what_is_read_back_comes_from_the_device(tmp_path: Path) -> None:
    """Nothing of a written file is in memory when it is read back."""
    from orchestrator.engines.disk_reading import drop_cached

    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
        assert os.preadv(descriptor, [bytearray(4096)], 8192, os.RWF_NOWAIT) == 4096
        drop_cached(descriptor)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno is the point
            os.preadv(descriptor, [bytearray(4096)], 8192, os.RWF_NOWAIT)
        assert caught.value.errno == errno.EAGAIN
    finally:
        os.close(descriptor)


def test_a_copy_shares_no_block_with_the_primary(tmp_path: Path) -> None:
    """Sparse input shows that bytes are written, not linked or cloned."""
    root = tmp_path / "primary"
    content = bytes(1 << 20)
    file = write_file(root, "data", content)
    place = DirectoryPlace("disk", tmp_path / "copy")
    place.put(file, root / file.path, file.name)
    assert (tmp_path / "copy" / file.path).stat().st_blocks * 512 >= len(content)
    assert (tmp_path / "copy" / file.path).stat().st_nlink == 1


def test_threads_may_put_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    root = tmp_path / "primary"
    files = write_repository(root, data_files=60, size=5_000)
    place = DirectoryPlace("disk", tmp_path / "copy")
    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(lambda f: place.put(f, root / f.path, digest_of(root, f)), files))
    place.flush()
    assert [r.file for r in receipts] == files
    assert tree(tmp_path / "copy") == tree(root)
