from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import StoreUnavailableError
from orchestrator.manifest import tree_key
from orchestrator.stores import reading
from orchestrator.stores.folder import FolderStore
from orchestrator.stores.interface import Listed, ReadResult

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
NOBODY = 65534


def store_of(root: Path, sentinel: str | None = None) -> FolderStore:
    return FolderStore("xrays", root, sentinel=sentinel, workers=1)


def entries(root: Path) -> dict[bytes, Listed]:
    return {listed.path: listed for listed in store_of(root).walk()}


def read_one(root: Path, path: bytes) -> ReadResult:
    [result] = store_of(root).read([entries(root)[path]])
    return result


@contextmanager
def without_root_rights() -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_tmp(tmp_path: Path) -> Path:
    """A temporary folder that nobody can reach too; pytest makes them for one user only."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    return tmp_path


NAMES = st.binary(min_size=1, max_size=4).filter(
    lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..")
)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.lists(NAMES, min_size=1, max_size=4).map(b"/".join), max_size=12))
def test_the_walk_comes_in_manifest_order(
    tmp_path_factory: pytest.TempPathFactory, paths: set[bytes]
) -> None:
    root = os.fsencode(tmp_path_factory.mktemp("walk"))
    made = set()
    for path in sorted(paths):
        try:
            os.makedirs(os.path.dirname(root + b"/" + path), exist_ok=True)
            with open(root + b"/" + path, "xb"):
                made.add(path)
        except (FileExistsError, NotADirectoryError):
            pass  # a prefix of it is a file already, or it is a folder
    walked = [listed.path for listed in store_of(Path(os.fsdecode(root))).walk()]
    assert walked == sorted(made, key=tree_key)


def test_a_name_that_sorts_below_the_slash_comes_after_the_folders_content(tmp_path: Path) -> None:
    for path in ("a/x", "a/y/z", "a b", "a.b", "a-b", "a0", "B"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    walked = [listed.path for listed in store_of(tmp_path).walk()]
    assert walked == [b"B", b"a/x", b"a/y/z", b"a b", b"a-b", b"a.b", b"a0"]


def test_names_in_any_encoding_are_listed_and_read(tmp_path: Path) -> None:
    for name in (b"M\xfcller", b"\xff\xfe", b"new\nline", "Müller".encode(), b" ", b"-rf", b"\x01"):
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    results = list(store_of(tmp_path).read(store_of(tmp_path).walk()))
    assert len(results) == 7
    for result in results:
        assert result.sha256 == hashlib.sha256(result.listed.path).hexdigest()


def test_symlinks_are_recorded_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to(b"\xffgone".decode("utf-8", "surrogateescape"))
    found = entries(tmp_path)
    assert set(found) == {b"dangling", b"loop", b"real/file"}
    assert found[b"loop"].kind == "symlink"
    assert found[b"loop"].target == os.fsencode(tmp_path)
    assert found[b"dangling"].target == b"\xffgone"


def test_hard_links_carry_their_count(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert [listed.links for listed in store_of(tmp_path).walk()] == [2, 2]


def test_devices_fifos_and_sockets_are_recorded_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # opening it for reading would block for ever
    server = socket.socket(socket.AF_UNIX)
    with server:
        server.bind(str(tmp_path / "socket"))
        for listed in entries(tmp_path).values():
            assert listed.kind == "other"
            [result] = store_of(tmp_path).read([listed])
            assert result.sha256 is None
            assert result.problem == "not a regular file"


def test_a_fifo_that_took_a_files_place_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x")
    listed = entries(tmp_path)[b"image"]
    (tmp_path / "image").unlink()
    os.mkfifo(tmp_path / "image")
    [result] = store_of(tmp_path).read([listed])
    assert (result.sha256, result.problem) == (None, "not a regular file")


def test_a_symlink_that_took_a_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x")
    listed = entries(tmp_path)[b"image"]
    (tmp_path / "image").unlink()
    (tmp_path / "image").symlink_to(CT)
    [result] = store_of(tmp_path).read([listed])
    assert (result.sha256, result.dicom) == (None, None)
    assert result.problem == "not a regular file"


def test_a_folder_that_cannot_be_listed_is_one_entry_with_a_problem(open_tmp: Path) -> None:
    (open_tmp / "closed").mkdir()
    (open_tmp / "closed" / "image").touch()
    (open_tmp / "open").touch()
    (open_tmp / "closed").chmod(0)
    try:
        with without_root_rights():
            found = entries(open_tmp)
    finally:
        (open_tmp / "closed").chmod(0o700)
    assert set(found) == {b"closed", b"open"}
    assert found[b"closed"].kind == "other"
    assert found[b"closed"].stat is None
    assert found[b"closed"].problem == "permission denied"


def test_an_unreadable_file_comes_back_with_its_problem(open_tmp: Path) -> None:
    (open_tmp / "image").write_bytes(b"x")
    (open_tmp / "image").chmod(0)
    with without_root_rights():
        result = read_one(open_tmp, b"image")
    assert result.sha256 is None
    assert result.problem == "permission denied"
    assert result.stat is not None
    assert result.stat.size_bytes == 1


def test_a_file_gone_since_the_walk_is_told_as_vanished(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image").touch()
    found = list(store_of(tmp_path).walk())
    (tmp_path / "a" / "image").unlink()
    (tmp_path / "b" / "image").unlink()
    (tmp_path / "b").rmdir()
    (tmp_path / "b").touch()
    for result in store_of(tmp_path).read(found):
        assert (result.stat, result.sha256, result.problem) == (None, None, "vanished")


def test_entries_that_go_while_the_walk_runs_are_entries_with_a_problem(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image").touch()
    walk = store_of(tmp_path).walk()
    assert next(walk).path == b"a/image"
    (tmp_path / "b" / "image").unlink()
    (tmp_path / "b").rmdir()
    rest = list(walk)
    assert [(r.path, r.problem) for r in rest] == [(b"b", "vanished"), (b"c/image", None)]


def test_a_file_that_changes_while_it_is_read_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").write_bytes(b"before" + bytes(3_000_000))
    read_header = reading.read_header

    def write_meanwhile(head: bytes, pread: object) -> dict[str, str] | None:
        with (tmp_path / "image").open("ab") as file:
            file.write(b"more")
        return read_header(head, pread)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_header", write_meanwhile)
    result = read_one(tmp_path, b"image")
    assert result.changed
    assert result.problem is None
    assert result.stat is not None
    assert result.stat.size_bytes == 6 + 3_000_000 + 4


def test_hash_header_and_facts_come_from_one_reading(tmp_path: Path) -> None:
    content = CT.read_bytes()
    (tmp_path / "image").write_bytes(content)
    result = read_one(tmp_path, b"image")
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert result.dicom is not None
    assert result.dicom["modality"] == "CT"
    assert result.stat == store_of(tmp_path).examine(b"image") == result.listed.stat
    assert not result.changed


def test_a_single_reader_reads_each_file_as_soon_as_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"2")
    named: list[bytes] = []

    def name_one_by_one() -> Iterator[Listed]:
        for path in (b"one", b"two"):
            named.append(path)
            yield Listed(path, "file", None)

    results = FolderStore("images", tmp_path, workers=1).read(name_one_by_one())
    next(results)
    assert named == [b"one"], "a drill reads along with a restore that names files as it goes"
    next(results)
    assert named == [b"one", b"two"]


def test_an_empty_file_is_hashed_and_is_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    result = read_one(tmp_path, b"empty")
    assert result.sha256 == hashlib.sha256(b"").hexdigest()
    assert (result.dicom, result.problem) == (None, None)


def test_a_large_sparse_file_is_read_in_little_memory(tmp_path: Path) -> None:
    size_bytes = 300_000_000
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size_bytes)
    tracemalloc.start()
    try:
        result = read_one(tmp_path, b"sparse")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.stat is not None
    assert result.stat.size_bytes == size_bytes
    expected = hashlib.sha256()
    for _ in range(300):
        expected.update(bytes(1_000_000))
    assert result.sha256 == expected.hexdigest()
    assert peak < 4 * 1024 * 1024


def test_a_decoder_that_panics_costs_the_header_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):
        pass

    def panic(_head: bytes, _pread: object) -> None:
        raise PanicException

    monkeypatch.setattr(reading, "read_header", panic)
    (tmp_path / "image").write_bytes(CT.read_bytes())
    result = read_one(tmp_path, b"image")
    assert result.sha256 == hashlib.sha256(CT.read_bytes()).hexdigest()
    assert result.dicom is None


def test_the_walk_of_a_full_folder_needs_little_memory(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"image{number:08}.dcm").touch()
    tracemalloc.start()
    try:
        count = sum(1 for _ in store_of(tmp_path).walk())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 100 * count  # a million names in one folder stay below 100 MB


def test_examine_tells_the_facts_now_or_none(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"xyz")
    store = store_of(tmp_path)
    facts = store.examine(b"image")
    assert facts is not None
    assert facts.size_bytes == 3
    assert store.examine(b"gone") is None
    assert store.examine(b"image/below") is None


def test_a_missing_root_is_unavailable(tmp_path: Path) -> None:
    store = store_of(tmp_path / "gone")
    with pytest.raises(StoreUnavailableError, match="store xrays: its folder does not exist"):
        store.check_present()
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        next(store.walk())


def test_a_root_that_is_a_file_or_a_link_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(StoreUnavailableError, match="not a folder"):
        store_of(tmp_path / "file").check_present()
    with pytest.raises(StoreUnavailableError, match="symbolic link"):
        store_of(tmp_path / "link").check_present()
    store_of(tmp_path / "folder").check_present()


def test_a_root_that_cannot_be_listed_is_unavailable(open_tmp: Path) -> None:
    (open_tmp / "closed").mkdir(mode=0o700)
    (open_tmp / "closed").chmod(0)
    with without_root_rights():
        store = store_of(open_tmp / "closed")
        with pytest.raises(StoreUnavailableError, match="permission denied"):
            store.check_present()
        with pytest.raises(StoreUnavailableError, match="permission denied"):
            next(store.walk())


def test_a_missing_sentinel_means_the_share_is_not_mounted(tmp_path: Path) -> None:
    store = store_of(tmp_path, sentinel=".mounted")
    with pytest.raises(StoreUnavailableError, match="sentinel") as caught:
        store.check_present()
    assert caught.value.hint is not None
    (tmp_path / ".mounted").mkdir()
    with pytest.raises(StoreUnavailableError, match="sentinel"):
        store.check_present()
    (tmp_path / ".mounted").rmdir()
    (tmp_path / ".mounted").touch()
    store.check_present()
    assert b".mounted" in entries(tmp_path)
