"""The lens in front of real restic: a copy is a repository, whatever was done to it."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import random
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.engines.interface import Receipt, StoredFile
from orchestrator.engines.layout import LIST_ORDER, WRITE_ORDER, RepositoryFile, parse_path
from orchestrator.engines.lens import Lens
from orchestrator.engines.meter import Meter, Traffic
from orchestrator.engines.restic.binary import Binary
from orchestrator.engines.restic.repository import Repository
from orchestrator.errors import EngineError, NotFoundError, UnreachableError
from tests.support.object_lock import s3
from tests.support.restic import PASSWORD, template


class FolderPlace:
    """A fake Place: a plain folder, which can be told to fail."""

    workers = 1

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fails_after: int | None = None

    def list(self) -> Iterator[StoredFile]:
        found = []
        for path in self.root.rglob("*"):
            parsed = parse_path(path.relative_to(self.root).as_posix())
            if parsed and path.is_file():
                found.append(StoredFile(RepositoryFile(*parsed, path.stat().st_size)))
        yield from sorted(found, key=lambda one: LIST_ORDER.index(one.file.kind))

    def read(
        self, stored: StoredFile, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        try:
            body = (self.root / stored.file.path).read_bytes()[offset:]
        except FileNotFoundError:
            raise NotFoundError("gone") from None
        body = body[:length]
        if self.fails_after is not None:
            yield from [body[: self.fails_after]] if self.fails_after else []
            raise UnreachableError("copy fake: it went away")
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    def put(self, file: RepositoryFile, source: Path, digest: str) -> Receipt:
        raise AssertionError("the lens writes nothing")

    def remove(self, stored: StoredFile) -> None:
        raise AssertionError("the lens removes nothing")


class Site:
    """A source folder and a repository with two snapshots of it."""

    def __init__(self, root: Path, binary: Binary) -> None:
        self.root, self.binary = root, binary
        self.source, self.repository = root / "source", root / "repository"
        shutil.copytree(template(binary), self.repository)
        self.source.mkdir()
        chance = random.Random(4)
        for number in range(20):
            (self.source / f"{number}.dcm").write_bytes(chance.randbytes(300_000))
        self.run(str(self.repository), "backup", str(self.source))
        (self.source / "later.dcm").write_bytes(chance.randbytes(50_000))
        self.run(str(self.repository), "backup", str(self.source))

    def run(self, repository: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self.binary.path), "-r", repository, "--no-cache", *words],
            env={"RESTIC_PASSWORD": PASSWORD.reveal(), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    def through(self, lens: Lens, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(lens.repository, "--no-lock", *words, code=code)

    def restored_equals_source(self, lens: Lens) -> bool:
        target = self.root / "restored"
        shutil.rmtree(target, ignore_errors=True)
        self.through(lens, "restore", f"latest:{self.source}", "--target", str(target))
        found = {path.name: path.read_bytes() for path in target.iterdir()}
        return found == {path.name: path.read_bytes() for path in self.source.iterdir()}


@pytest.fixture
def site(tmp_path: Path, current_restic: Binary) -> Site:
    return Site(tmp_path, current_restic)


class Asker:
    """Plain requests on a lens's socket."""

    def __init__(self, lens: Lens) -> None:
        path = unquote(lens.repository.removeprefix("rest:http+unix://").removesuffix(":/"))
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.http = http.client.HTTPConnection("lens")
        self.http.sock = self.socket

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        self.http.request(method, path, headers=headers)
        answer = self.http.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.http.close()
        self.socket.close()


def replicate(site: Site, bucket: Bucket) -> dict[str, str]:
    place = bucket.place("repo")
    files = [stored.file for stored in FolderPlace(site.repository).list()]
    known = {}
    for file in sorted(files, key=lambda file: WRITE_ORDER.index(file.kind)):
        path = site.repository / file.path
        receipt = place.put(file, path, hashlib.sha256(path.read_bytes()).hexdigest())
        known[file.path] = str(receipt.version_id)
    return known


def test_check_and_restore_pass_through_a_lens_on_a_folder(tmp_path: Path, restic: Binary) -> None:
    site = Site(tmp_path, restic)
    with Lens(FolderPlace(site.repository)) as lens:
        site.through(lens, "check", "--read-data")
        assert site.restored_equals_source(lens)
        assert len(json.loads(site.through(lens, "snapshots", "--json").stdout)) == 2
        traffic = lens.traffic
    data = sum(path.stat().st_size for path in site.repository.rglob("*") if path.is_file())
    assert traffic.sent_bytes > data
    assert traffic.requests > traffic.reads > traffic.files
    assert lens.failure is None


def test_check_and_restore_pass_through_a_lens_on_a_bucket(site: Site, bucket: Bucket) -> None:
    replicate(site, bucket)
    with Lens(bucket.place("repo")) as lens:
        site.through(lens, "check", "--read-data")
        assert site.restored_equals_source(lens)


def test_everything_hidden_or_overwritten_comes_back(
    object_lock_server: ObjectLockServer, site: Site, bucket: Bucket
) -> None:
    known = replicate(site, bucket)
    config = {"config": known["config"]}  # the one name that is no hash
    with s3(object_lock_server, "admin") as thief:
        for number, path in enumerate(sorted(known)):
            key = {"Bucket": bucket.settings.bucket, "Key": f"xrays/repo/{path}"}
            if number % 3 != 0:
                thief.put_object(**key, Body=b"noise" * 50)
            if number % 3 != 1:
                thief.delete_object(**key)
        fake = f"xrays/repo/snapshots/{'0' * 64}"
        thief.put_object(Bucket=bucket.settings.bucket, Key=fake, Body=b"fake")
    listed = list(bucket.place("repo", config).list())
    assert any(stored.hidden for stored in listed)
    assert any(stored.versions > 1 for stored in listed)
    real = [stored for stored in listed if stored.file.path in known]
    assert {stored.file.path: stored.version_id for stored in real} == known
    with Lens(bucket.place("repo", config), files=real) as lens:
        site.through(lens, "check", "--read-data")
        assert site.restored_equals_source(lens)


def test_only_the_files_handed_in_are_shown(site: Site) -> None:
    place = FolderPlace(site.repository)
    newest = max((site.repository / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime)
    earlier = [stored for stored in place.list() if stored.file.name != newest.name]
    with Lens(place, files=earlier) as lens:
        (snapshot,) = json.loads(site.through(lens, "snapshots", "--json").stdout)
    assert snapshot["id"] != newest.name


def test_damage_in_a_copy_is_seen_through_the_lens(site: Site) -> None:
    pack = max((site.repository / "data").rglob("*/*"), key=lambda path: path.stat().st_size)
    body = bytearray(pack.read_bytes())
    body[len(body) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(body)
    with Lens(FolderPlace(site.repository)) as lens:
        site.through(lens, "check", "--read-data", code=1)


def test_nothing_can_be_written_and_restic_gives_up_at_once(site: Site) -> None:
    before = sorted(path for path in site.repository.rglob("*"))
    with Lens(FolderPlace(site.repository)) as lens:
        started = time.monotonic()
        site.run(lens.repository, "check", code=1)  # without --no-lock: it wants to write a lock
        site.through(lens, "forget", "--keep-last", "1", code=1)
        site.run(lens.repository, "backup", str(site.source), code=1)
        assert time.monotonic() - started < 120  # restic would retry for 15 minutes
    assert sorted(path for path in site.repository.rglob("*")) == before


@pytest.mark.parametrize("fails_after", [0, 1000])
def test_restic_gives_up_at_once_when_the_copy_goes_away_and_the_reason_is_kept(
    site: Site, fails_after: int
) -> None:
    place = FolderPlace(site.repository)
    with Lens(place) as lens:
        site.through(lens, "snapshots")
        place.fails_after = fails_after
        started = time.monotonic()
        words = ("restore", "latest", "--target", str(site.root / "nowhere"))
        done = subprocess.run(
            [str(site.binary.path), "-r", lens.repository, "--no-cache", "--no-lock", *words],
            env={"RESTIC_PASSWORD": PASSWORD.reveal(), "PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert time.monotonic() - started < 120  # restic would retry for 15 minutes
        assert isinstance(lens.failure, UnreachableError)


def test_a_capping_meter_ends_the_lens_with_its_reason(site: Site) -> None:
    class Cap(Meter):
        def sent(self, size_bytes: int) -> None:
            super().sent(size_bytes)
            if self.traffic().sent_bytes > 1_000_000:
                raise EngineError("the drill may read 1 MB")

    with Lens(FolderPlace(site.repository), meter=Cap()) as lens:
        site.through(lens, "check", "--read-data", code=1)
        assert str(lens.failure) == "the drill may read 1 MB"


# ---- the protocol ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "plain"
    (root / "keys").mkdir(parents=True)
    (root / "config").write_bytes(b"0123456789")
    (root / "keys" / ("a" * 64)).write_bytes(b"")
    return root


def test_both_listings_of_the_protocol(folder: Path) -> None:
    with Lens(FolderPlace(folder)) as lens, Asker(lens) as asker:
        status, body, headers = asker.ask("GET", "/keys/")
        assert (status, json.loads(body)) == (200, ["a" * 64])
        assert headers["Content-Type"] == "application/vnd.x.restic.rest.v1"
        version_2 = "application/vnd.x.restic.rest.v2"
        status, body, headers = asker.ask("GET", "/keys/", Accept=version_2)
        assert (status, json.loads(body)) == (200, [{"name": "a" * 64, "size": 0}])
        assert headers["Content-Type"] == version_2
        assert asker.ask("GET", "/locks/")[:2] == (200, b"[]")
        assert asker.ask("GET", "/data/", Accept=version_2)[:2] == (200, b"[]")
        assert asker.ask("HEAD", "/keys/")[:2] == (200, b"")


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        (None, 200, b"0123456789", None),
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=5-2", 416, b"", "bytes */10"),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=1-2,4-5", 200, b"0123456789", None),
        ("nonsense", 200, b"0123456789", None),
    ],
)
def test_ranges(
    folder: Path, asked: str | None, status: int, body: bytes, content_range: str | None
) -> None:
    with Lens(FolderPlace(folder)) as lens, Asker(lens) as asker:
        headers = {} if asked is None else {"Range": asked}
        got = asker.ask("GET", "/config", **headers)
        assert got[:2] == (status, body)
        assert got[2].get("Content-Range") == content_range
        assert asker.ask("GET", "/config")[:2] == (200, b"0123456789")


def test_sizes_are_told_without_reading(folder: Path) -> None:
    with Lens(FolderPlace(folder)) as lens, Asker(lens) as asker:
        status, body, headers = asker.ask("HEAD", "/config")
        assert (status, body, headers["Content-Length"]) == (200, b"", "10")
        assert asker.ask("GET", f"/keys/{'a' * 64}")[:2] == (200, b"")
        assert lens.traffic == Traffic(requests=2, reads=1, sent_bytes=0, files=1, fetches=1)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/keys",
        "/data/",
        "/keys/" + "b" * 64,
        "/keys/../config",
        "/../../etc/passwd",
        "/config/config",
        "/nothing/",
        "/keys/a/b",
        "/%63onfig",
    ],
)
def test_what_is_not_shown_is_not_there(folder: Path, path: str) -> None:
    with Lens(FolderPlace(folder)) as lens, Asker(lens) as asker:
        expected = (200, b"[]") if path == "/data/" else (404, b"")
        assert asker.ask("GET", path)[:2] == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/?create=true", "/config", "/locks/" + "a" * 64])
def test_every_change_is_refused(folder: Path, method: str, path: str) -> None:
    with Lens(FolderPlace(folder)) as lens, Asker(lens) as asker:
        assert asker.ask(method, path)[0] == 403


def test_a_file_that_is_gone_is_not_a_failure_of_the_copy(folder: Path) -> None:
    with Lens(FolderPlace(folder)) as lens, Asker(lens) as asker:
        (folder / "config").unlink()
        assert asker.ask("GET", "/config")[0] == 404
        assert lens.failure is None


def test_a_file_shorter_than_listed_never_looks_whole(folder: Path) -> None:
    with Lens(FolderPlace(folder)) as lens, Asker(lens) as asker:
        (folder / "config").write_bytes(b"012")
        with pytest.raises(http.client.IncompleteRead):
            asker.ask("GET", "/config")
        assert isinstance(lens.failure, EngineError)


# ---- the socket ------------------------------------------------------------------------------


def test_nobody_else_can_reach_the_socket_and_nothing_is_left(folder: Path, tmp_path: Path) -> None:
    with Lens(FolderPlace(folder), folder=tmp_path) as lens:
        (made,) = tmp_path.glob("lens-*")
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert str(made) in lens.repository
    assert not list(tmp_path.glob("lens-*"))
    with pytest.raises(RuntimeError):
        print(lens.repository)


def test_open_connections_do_not_keep_it_and_no_thread_is_left(folder: Path) -> None:
    before = threading.active_count()
    with Lens(FolderPlace(folder)) as lens:
        askers = [Asker(lens) for _ in range(8)]
        for asker in askers:
            assert asker.ask("GET", "/config")[0] == 200
        assert threading.active_count() == before + 9
        started = time.monotonic()
    assert time.monotonic() - started < 60  # it did not hang
    assert threading.active_count() == before
    for asker in askers:
        asker.__exit__()


def test_many_connections_are_served_at_once(folder: Path) -> None:
    waiting = threading.Barrier(4, timeout=120)

    class Slow(FolderPlace):
        def read(
            self, stored: StoredFile, *, offset: int = 0, length: int | None = None
        ) -> Iterator[bytes]:
            waiting.wait()
            yield from super().read(stored, offset=offset, length=length)

    def ask(lens: Lens) -> None:
        with Asker(lens) as asker:
            assert asker.ask("GET", "/config")[0] == 200

    with Lens(Slow(folder)) as lens:
        threads = [threading.Thread(target=ask, args=(lens,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert lens.traffic.reads == 4


@pytest.mark.parametrize("awkward", ["x" * 120, "with:colon"])
def test_where_no_socket_can_be_it_listens_on_loopback_behind_a_password(
    site: Site, tmp_path: Path, awkward: str
) -> None:
    deep = tmp_path / awkward
    deep.mkdir()
    with Lens(FolderPlace(site.repository), folder=deep) as lens:
        assert lens.repository.startswith("rest:http://127.0.0.1:")
        password = lens.environment["RESTIC_REST_PASSWORD"]
        assert password not in lens.repository
        engine = Repository(
            site.binary,
            lens.repository,
            lambda: PASSWORD,
            read_only=True,
            environment=lens.environment,
        )
        assert len(engine.snapshots()) == 2
        address = urlsplit(lens.repository.removeprefix("rest:"))
        for given, expected in (
            (None, 401),
            (f"lens:{password[:-1]}", 401),
            (f"lens:{password}", 404),
        ):
            asker = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
            headers = {}
            if given is not None:
                headers["Authorization"] = f"Basic {base64.b64encode(given.encode()).decode()}"
            for method in ("GET", "DELETE") if expected == 401 else ("GET",):
                asker.request(method, "/nothing/", headers=headers)
                answer = asker.getresponse()
                assert (answer.status, answer.read()) == (expected, b"")
            asker.close()
    assert not list(deep.iterdir())


def test_a_place_that_cannot_be_listed_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    class Broken(FolderPlace):
        def list(self) -> Iterator[StoredFile]:
            raise UnreachableError("copy fake: it is away")

    with pytest.raises(UnreachableError), Lens(Broken(folder), folder=tmp_path):
        pass
    assert not list(tmp_path.glob("lens-*"))


def test_an_odd_folder_name_works_with_restic(site: Site) -> None:
    # A socket's path has room for 107 bytes: pytest's own folders can be too deep for that.
    with tempfile.TemporaryDirectory() as short:
        odd = Path(short) / "with space % and ünï"
        odd.mkdir()
        with Lens(FolderPlace(site.repository), folder=odd) as lens:
            site.through(lens, "snapshots")
