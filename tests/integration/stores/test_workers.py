"""Reading with real processes: order, ends, deaths."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pydicom
import pytest

from orchestrator.errors import EngineError
from orchestrator.stores.folder import FEW_FILES, FolderStore

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
MANY = FEW_FILES + 400


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    images = [p.read_bytes() for p in sorted(TEST_FILES.glob("*.dcm"))[:40]]
    for number in range(MANY):
        folder = root / f"s{number % 7}"
        folder.mkdir(exist_ok=True)
        (folder / f"im{number:05}").write_bytes(images[number % 40] + b"%d" % number)
    (root / "s3" / os.fsdecode(b"odd\xff")).write_bytes(b"note")
    (root / "s4" / "link").symlink_to("im00004")
    os.mkfifo(root / "s5" / "fifo")
    return root


def children() -> set[int]:
    return {p.pid for p in multiprocessing.active_children() if p.pid is not None}


def test_workers_give_the_same_results_in_the_same_order_as_one_process(many: Path) -> None:
    alone = FolderStore("xrays", many, workers=1)
    crew = FolderStore("xrays", many, workers=3)
    expected = list(alone.read(alone.walk()))
    results = list(crew.read(crew.walk()))
    assert results == expected
    assert [r.listed for r in results] == list(alone.walk())
    assert sum(1 for r in results if r.problem) == 2
    assert sum(1 for r in results if r.dicom) > MANY * 0.9
    assert not children()


def test_few_files_start_no_process(many: Path) -> None:
    store = FolderStore("xrays", many, workers=3)
    reader = store.read(islice(store.walk(), 20))
    next(reader)
    assert not children()
    assert len(list(reader)) == 19


def test_closing_the_iterator_ends_the_workers_in_the_middle_of_a_file(tmp_path: Path) -> None:
    for number in range(FEW_FILES + 1):
        (tmp_path / f"im{number:04}").write_bytes(b"x")
    for number in range(4):
        with (tmp_path / f"large{number}").open("wb") as file:
            file.truncate(60_000_000_000)
    store = FolderStore("xrays", tmp_path, workers=2)
    reader = store.read(store.walk())
    next(reader)
    assert len(children()) == 2
    started = time.monotonic()
    reader.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 60  # it did not hang
    assert not children()


def test_a_worker_killed_by_the_kernel_is_an_error_of_the_run(many: Path) -> None:
    store = FolderStore("xrays", many, workers=2)

    def then_kill() -> object:
        for count, listed in enumerate(store.walk()):
            if count == FEW_FILES + 330:
                for pid in children():
                    os.kill(pid, signal.SIGKILL)
            yield listed

    with pytest.raises(EngineError, match=r"store xrays: .*killed by signal 9") as caught:
        list(store.read(then_kill()))  # type: ignore[arg-type]
    assert caught.value.hint is not None
    assert not children()


def test_a_fault_of_the_source_ends_the_workers(many: Path) -> None:
    store = FolderStore("xrays", many, workers=2)

    def failing() -> object:
        for count, listed in enumerate(store.walk()):
            if count == FEW_FILES + 200:
                raise LookupError("the catalog is gone")
            yield listed

    with pytest.raises(LookupError):
        list(store.read(failing()))  # type: ignore[arg-type]
    assert not children()


PARENT = """
import multiprocessing, sys, time
from pathlib import Path
from orchestrator.stores.folder import FolderStore

if __name__ == "__main__":
    store = FolderStore("xrays", Path(sys.argv[1]), workers=2)
    reader = store.read(store.walk())
    next(reader)
    print(*(p.pid for p in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_workers_end_when_the_parent_is_killed(many: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script), str(many)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(is_running(pid) for pid in pids)
        parent.kill()
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(is_running(pid) for pid in pids)


LEASE_HOLDER = """
import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
def give_back(*_):
    time.sleep(0.2)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
signal.signal(signal.SIGIO, give_back)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
time.sleep(300)
"""


def test_a_file_under_lease_of_a_file_server_is_read_all_the_same(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    (root / "image").write_bytes(b"pixels")
    with subprocess.Popen(
        [sys.executable, "-c", LEASE_HOLDER, str(root / "image")], stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            store = FolderStore("xrays", root, workers=1)
            [result] = store.read(store.walk())
        finally:
            holder.kill()
    assert result.sha256 == hashlib.sha256(b"pixels").hexdigest()
    assert result.problem is None
