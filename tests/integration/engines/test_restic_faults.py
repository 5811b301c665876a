"""What goes wrong with a repository, on the oldest and the current restic."""

from __future__ import annotations

import dataclasses
import os
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from orchestrator.engines.restic.binary import Binary
from orchestrator.errors import (
    CredentialError,
    DamageError,
    EngineError,
    LockedError,
    NotFoundError,
    OrchestratorError,
    StoppedError,
)
from orchestrator.keys.secret import Secret
from tests.support.restic import PASSWORD, MakeRepository, open_repository, template, tree

NAME = "copy disk of store xrays"


def clean(error: OrchestratorError) -> None:
    """Check what every error owes its reader: which copy, and no path."""
    assert NAME in error.message
    assert "/" not in error.message
    assert PASSWORD.reveal() not in error.message


def fill(folder: Path, files: int = 3, size: int = 50_000) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        (folder / f"{number}.dcm").write_bytes(os.urandom(size))
    return folder


def only(folder: Path) -> Path:
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    return path


def cut(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))


def wait_for(condition: object, *, within_s: float = 120.0) -> None:
    assert callable(condition)
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.001)


def restic_children() -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        if "(restic)" in text and fields[1] == str(os.getpid()) and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@contextmanager
def exclusive_lock(binary: Binary, location: Path, *, dead: bool) -> Iterator[None]:
    """Let another restic hold an exclusive lock: stopped for good, or killed and so stale."""
    argv = [str(binary.path), "-r", str(location), "--no-cache", "check"]
    env = {"PATH": "/usr/bin:/bin", "RESTIC_PASSWORD": PASSWORD.reveal()}
    locks = location / "locks"

    def is_locked() -> bool:
        return any(len(lock.name) == 64 for lock in locks.iterdir())

    for _ in range(20):
        with subprocess.Popen(
            argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as other:
            try:
                wait_for(lambda: is_locked() or other.poll() is not None)
                other.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, other.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                if dead:
                    other.kill()
                    other.wait()
                if is_locked():  # else it was done before it could be caught: once more
                    yield
                    return
            finally:
                other.kill()
    raise AssertionError("restic never held its lock")


def test_a_wrong_password_is_a_credential_error(
    restic: Binary, make_repository: MakeRepository
) -> None:
    repository = dataclasses.replace(make_repository(restic), password=lambda: Secret("wrong"))
    with pytest.raises(CredentialError) as caught:
        repository.config_id()
    clean(caught.value)


def test_a_password_that_cannot_be_fetched_starts_nothing(
    current_restic: Binary, make_repository: MakeRepository
) -> None:
    def fetch() -> Secret:
        raise CredentialError("the keyring is locked")

    repository = dataclasses.replace(make_repository(current_restic), password=fetch)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(CredentialError, match="the keyring is locked"):
        repository.config_id()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_missing_repository_is_not_found_and_never_made(restic: Binary, tmp_path: Path) -> None:
    repository = open_repository(restic, tmp_path / "unmounted", tmp_path)
    for verb in (
        repository.config_id,
        repository.check,
        lambda: repository.backup(fill(tmp_path / "source"), tags=["data"]),
    ):
        with pytest.raises(NotFoundError, match="there is no repository") as caught:
            verb()
        clean(caught.value)
    assert not (tmp_path / "unmounted").exists()


def test_a_living_lock_is_respected(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(restic)
    with exclusive_lock(restic, tmp_path / "repository", dead=False):
        (lock,) = repository.locks()
        assert lock.exclusive
        with pytest.raises(LockedError) as caught:
            repository.backup(fill(tmp_path / "source"), tags=["data"])
        clean(caught.value)
        assert repository.locks() == [lock], "a living one's lock stays"
        assert repository.snapshots() == [], "a question needs no lock"


def test_another_backup_is_no_obstacle_but_holds_off_a_prune(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(restic)
    inside = tmp_path / "source"
    results: list[object] = []

    def slow() -> Iterator[bytes]:
        yield b"x" * 300_000  # taken only when the lock is held
        results.append(repository.backup(fill(inside), tags=["data"]).files)
        try:
            repository.prune()
        except LockedError as error:
            results.append(error.exit_code)

    repository.backup_stream("manifest", slow(), tags=["manifest"])
    assert results == [3, 11]


def test_a_stale_lock_is_removed_once_and_the_stream_is_given_again(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(restic)
    location = tmp_path / "repository"
    content = [os.urandom(50_000) for _ in range(20)]
    with exclusive_lock(restic, location, dead=True):
        summary = repository.backup_stream("state", iter(content), tags=["state"])
    assert b"".join(repository.dump(summary.snapshot_id, "state")) == b"".join(content)
    assert repository.locks() == []
    with exclusive_lock(restic, location, dead=True):
        assert b"".join(repository.dump(summary.snapshot_id, "state")) == b"".join(content)
    with exclusive_lock(restic, location, dead=True):
        repository.prune()
    with exclusive_lock(restic, location, dead=True):
        assert len(repository.locks()) == 1
        repository.unlock()
        assert repository.locks() == []


def test_stop_ends_a_backup_cleanly_and_the_next_one_goes_through(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    stop = threading.Event()
    repository = make_repository(restic, stop=stop, record_dir=tmp_path / "records")

    def endless() -> Iterator[bytes]:
        for number in range(1_000_000):
            if number == 20:
                stop.set()
            yield os.urandom(100_000)

    with pytest.raises(StoppedError):
        repository.backup_stream("state", endless(), tags=["state"])
    assert restic_children() == []
    assert list((tmp_path / "records").iterdir()) == []
    assert list((tmp_path / "repository" / "locks").iterdir()) == []
    assert list((tmp_path / "repository" / "snapshots").iterdir()) == []
    stop.clear()
    repository.repair_index()
    repository.backup(fill(tmp_path / "source"), tags=["data"])
    assert repository.check(read_data=True).errors == 0


def test_a_killed_restic_is_a_failure_and_the_next_backup_goes_through(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(restic)

    def killer() -> Iterator[bytes]:
        yield os.urandom(400_000)
        (pid,) = restic_children()
        os.kill(pid, signal.SIGKILL)
        yield b"more"

    with pytest.raises(EngineError, match="killed by signal 9") as caught:
        repository.backup_stream("state", killer(), tags=["state"])
    clean(caught.value)
    assert repository.snapshots() == []
    assert len(repository.locks()) == 1
    repository.repair_index()
    repository.backup(fill(tmp_path / "source"), tags=["data"])
    assert repository.check(read_data=True).errors == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(
        [*sudo, "mount", "-t", "tmpfs", "-o", "size=4m,mode=0777", "x", disk], check=True
    )
    yield disk
    subprocess.run([*sudo, "umount", disk], check=True)


def test_a_full_disk_fails_a_backup_and_a_restore_and_says_so(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path, small_disk: Path
) -> None:
    import shutil

    folder = fill(tmp_path / "source", files=3, size=2_000_000)
    shutil.copytree(template(restic), small_disk / "repository")
    full = open_repository(restic, small_disk / "repository", tmp_path)
    with pytest.raises(EngineError, match="no space is left on the disk") as caught:
        full.backup(folder, tags=["data"])
    clean(caught.value)
    assert full.snapshots() == []
    shutil.rmtree(small_disk / "repository")

    repository = make_repository(restic)
    snapshot = repository.backup(folder, tags=["data"]).snapshot_id
    with pytest.raises(EngineError, match="no space is left on the disk") as caught:
        repository.restore(snapshot, small_disk / "target")
    clean(caught.value)


def test_a_damaged_config_key_or_missing_key_is_told_apart(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    location = tmp_path / "repository"
    repository = make_repository(restic)
    config, key = location / "config", only(location / "keys")
    good = {path: path.read_bytes() for path in (config, key)}
    for path in (config, key):
        cut(path)
        for verb in (repository.config_id, repository.check):
            with pytest.raises(DamageError) as caught:
                verb()
            clean(caught.value)
        path.write_bytes(good[path])
    key.unlink()
    with pytest.raises(CredentialError):
        repository.config_id()


def test_damage_is_a_result_of_a_check_and_an_error_of_everything_else(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    location = tmp_path / "repository"
    repository = dataclasses.replace(make_repository(restic), cache_dir=None)
    snapshot = repository.backup(fill(tmp_path / "source"), tags=["data"]).snapshot_id
    packs = [path for path in (location / "data").rglob("*") if path.is_file()]
    largest = max(packs, key=lambda path: path.stat().st_size)
    flip(largest)
    assert repository.check().errors == 0, "restic's plain check reads no data"
    report = repository.check(read_data=True)
    assert report.errors > 0
    assert report.broken_packs == (largest.name,)
    with pytest.raises(DamageError) as caught:
        repository.restore(snapshot, tmp_path / "target")
    clean(caught.value)
    flip(largest)
    assert repository.check(read_data=True).errors == 0

    largest.rename(tmp_path / "taken away")
    assert repository.check().errors > 0
    with pytest.raises(DamageError):
        repository.restore(snapshot, tmp_path / "target 2")
    (tmp_path / "taken away").rename(largest)

    index = only(location / "index")
    whole = index.read_bytes()
    cut(index)
    assert repository.check().suggest_repair_index
    with pytest.raises(DamageError):
        list(repository.ls(snapshot))
    repository.repair_index()
    assert repository.check().errors == 0
    assert len(whole) > 0


def test_a_damaged_snapshot_is_an_error_of_the_listing_which_restic_leaves_out_silently(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    location = tmp_path / "repository"
    repository = dataclasses.replace(make_repository(restic), cache_dir=None)
    snapshot = repository.backup(fill(tmp_path / "source"), tags=["data"]).snapshot_id
    flip(location / "snapshots" / snapshot)
    for verb in (
        repository.snapshots,
        lambda: repository.snapshot(snapshot),
        lambda: repository.restore(snapshot, tmp_path / "target"),
    ):
        with pytest.raises(DamageError) as caught:
            verb()
        clean(caught.value)
    assert repository.check().errors > 0


class _RestServer(BaseHTTPRequestHandler):
    """As much of restic's REST protocol as reading needs."""

    root: Path

    def do_HEAD(self) -> None:
        self._answer(self._file(), body=False)

    def do_GET(self) -> None:
        if self.path.endswith("/"):
            folder = self.root / self.path.strip("/")
            files = (path for path in sorted(folder.rglob("*")) if path.is_file())
            names = [f'{{"name":"{path.name}","size":{path.stat().st_size}}}' for path in files]
            self._answer(f"[{','.join(names)}]".encode(), kind="application/vnd.x.restic.rest.v2")
        else:
            self._answer(self._file())

    def _file(self) -> bytes | None:
        kind, _, name = self.path.strip("/").partition("/")
        path = self.root / kind / name[:2] / name if kind == "data" else self.root / kind / name
        return path.read_bytes() if path.is_file() else None

    def _answer(self, content: bytes | None, *, body: bool = True, kind: str = "x/y") -> None:
        wanted = self.headers.get("Range", "")
        self.send_response(404 if content is None else 206 if wanted else 200)
        content = content or b""
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            content = content[int(first) : int(last) + 1 if last else None]
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_args: object) -> None:
        pass


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def test_a_repository_behind_a_private_socket_is_read_and_its_absence_holds_nobody(
    restic: Binary, make_repository: MakeRepository, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "source")
    snapshot = make_repository(restic).backup(folder, tags=["data"]).snapshot_id
    handler = type("Handler", (_RestServer,), {"root": tmp_path / "repository"})
    address = tmp_path / "lens.socket"
    url = f"rest:http+unix://{address}:/"
    lens = open_repository(restic, Path("unused"), tmp_path, read_only=True)
    lens = dataclasses.replace(lens, location=url)
    with _UnixServer(str(address), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            assert lens.snapshot(snapshot).files == 3
            lens.restore(snapshot, tmp_path / "target", include=[b"1.dcm"])
            assert tree(tmp_path / "target") == {b"1.dcm": (folder / "1.dcm").read_bytes()}
        finally:
            server.shutdown()
            thread.join()
    address.unlink()
    # Nobody listens any more: restic would try again for a quarter of an hour.
    stop = threading.Event()
    timer = threading.Timer(1, stop.set)
    timer.start()
    with pytest.raises(StoppedError):
        dataclasses.replace(lens, stop=stop).config_id()
    timer.join()
    assert restic_children() == []
