"""The spool: every file fetched once, whole, and never trusted before its hash is right."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engines.interface import Receipt, StoredFile
from orchestrator.engines.layout import FileKey, RepositoryFile
from orchestrator.engines.meter import CappedMeter, Meter
from orchestrator.engines.spool import Spool
from orchestrator.errors import DamageError, EngineError, NotFoundError, RefusedError

MIB = 1 << 20


class Versions:
    """A fake Place: contents by version id, counted; each piece can be made to wait."""

    workers = 4
    removes_at_once = False

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.reads: Counter[str] = Counter()
        self.gates: dict[str, threading.Semaphore] = {}

    def add(self, body: bytes, *, named: bytes | None = None, kind: Any = "data") -> StoredFile:
        """Store a version whose name is the hash of `named`, or of its body."""
        version = f"v{len(self.bodies)}"
        self.bodies[version] = body
        name = hashlib.sha256(body if named is None else named).hexdigest()
        return StoredFile(RepositoryFile(kind, name, len(body)), version_id=version)

    def read(
        self, stored: StoredFile, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        assert (offset, length) == (0, None)
        version = str(stored.version_id)
        self.reads[version] += 1
        if version not in self.bodies:
            raise NotFoundError("no such version")
        gate = self.gates.get(version)
        body = self.bodies[version]
        for start in range(0, len(body), MIB):
            if gate is not None:
                assert gate.acquire(timeout=30)
            yield body[start : start + MIB]

    def list(self) -> Iterator[StoredFile]:
        raise AssertionError("not asked for")

    def put(self, file: RepositoryFile, source: Path, digest: str) -> Receipt:
        raise AssertionError("never writes")

    def remove(self, stored: StoredFile) -> None:
        raise AssertionError("never removes")

    def flush(self) -> None:
        raise AssertionError("never writes")


@pytest.fixture
def place() -> Versions:
    return Versions()


def opened(place: Versions, meter: Meter | None = None, **more: Any) -> Spool:
    return Spool(place, meter or Meter(), **more)


def several(*versions: StoredFile) -> Mapping[FileKey, Sequence[StoredFile]]:
    return {versions[0].file.key: versions}


def got(spool: Spool, stored: StoredFile, offset: int = 0, length: int | None = None) -> bytes:
    stored = spool.settled(stored)
    wanted = stored.file.size_bytes - offset if length is None else length
    parts = spool.read(stored, offset=offset, length=wanted)
    return b"".join(os.pread(descriptor, count, at) for descriptor, at, count in parts)


def test_a_file_is_fetched_once_however_often_and_by_however_many_it_is_read(
    place: Versions,
) -> None:
    body = os.urandom(3 * MIB + 5)
    stored, meter = place.add(body), Meter()
    with opened(place, meter) as spool, ThreadPoolExecutor(8) as pool:
        spans = [(start, 100_000) for start in range(0, 3_000_000, 100_000)]
        found = list(pool.map(lambda span: got(spool, stored, *span), spans))
        assert found == [body[start : start + length] for start, length in spans]
        assert spool.bad_files == []
    assert place.reads == {"v0": 1}
    assert meter.traffic().fetched_bytes == len(body)


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 2 * MIB])
def test_files_of_every_length_come_whole(place: Versions, size: int) -> None:
    body = os.urandom(size)
    stored = place.add(body)
    with opened(place) as spool:
        assert got(spool, stored) == body
        assert got(spool, stored, offset=size // 2) == body[size // 2 :]
        with pytest.raises(EngineError):
            got(spool, stored, length=size + 1)


def test_a_part_is_given_before_the_whole_is_there(place: Versions) -> None:
    body = os.urandom(4 * MIB)
    stored = place.add(body)
    gate = place.gates["v0"] = threading.Semaphore(2)
    with opened(place) as spool:
        assert got(spool, stored, 0, 2 * MIB) == body[: 2 * MIB]
        assert place.reads["v0"] == 1
        gate.release(10)
        assert got(spool, stored, 3 * MIB) == body[3 * MIB :]


@pytest.mark.parametrize("kind", ["keys", "snapshots", "index"])
@pytest.mark.parametrize("size", [0, 10, 2 * MIB])
def test_wrong_bytes_are_named_and_never_given_again(place: Versions, kind: str, size: int) -> None:
    stored = place.add(b"x" * size, named=b"right", kind=kind)
    with opened(place) as spool:
        assert list(spool.verified([stored])) == [(stored, False)]
        assert spool.bad_files == [stored.file.key]
        with pytest.raises(DamageError):
            got(spool, stored)
    assert sum(place.reads.values()) == 1


def test_the_only_version_of_a_pack_is_given_though_it_is_bad_and_it_is_named(
    place: Versions,
) -> None:
    stored = place.add(b"x" * 2 * MIB, named=b"right")
    with opened(place) as spool:
        for _ in range(2):
            assert got(spool, stored) == b"x" * 2 * MIB  # restic authenticates each blob
            assert spool.bad_files == [stored.file.key]
        assert list(spool.verified([stored])) == [(stored, False)]
    assert sum(place.reads.values()) == 1


def test_a_bad_end_is_found_though_only_the_beginning_was_asked_for(place: Versions) -> None:
    right = os.urandom(3 * MIB)
    stored = place.add(right[:-1] + bytes([right[-1] ^ 1]), named=right)
    with opened(place) as spool:
        assert got(spool, stored, 0, 10) == right[:10]
        assert spool.bad_files == [stored.file.key], "asking waits for what is under way"


def test_of_several_versions_only_the_right_one_is_given(place: Versions) -> None:
    right = os.urandom(2 * MIB)
    noise = place.add(b"noise", named=right)
    longer = place.add(right + b"more", named=right)
    true = place.add(right)
    with opened(place, candidates=several(noise, longer, true)) as spool:
        assert spool.settled(noise) == true
        assert got(spool, noise) == right
        assert spool.bad_files == []


def test_a_version_that_is_gone_is_passed_over(place: Versions) -> None:
    right = os.urandom(100)
    gone, true = place.add(b"gone", named=right), place.add(right)
    del place.bodies["v0"]
    with opened(place, candidates=several(gone, true)) as spool:
        assert got(spool, gone) == right


def test_no_right_version_at_all_is_damage(place: Versions) -> None:
    right = os.urandom(100)
    both = (place.add(b"one", named=right), place.add(b"two", named=right))
    with opened(place, candidates=several(*both)) as spool:
        with pytest.raises(DamageError):
            spool.settled(both[0])
        assert list(spool.verified([both[0]])) == [(both[0], False)]
        assert spool.bad_files == [both[0].file.key]


def test_the_right_version_is_known_after_it_had_to_make_room(place: Versions) -> None:
    right = os.urandom(MIB)
    noise, true = place.add(b"n" * MIB, named=right), place.add(right)
    others = [place.add(os.urandom(MIB)) for _ in range(4)]
    with opened(place, candidates=several(noise, true), cap_bytes=2 * MIB) as spool:
        assert got(spool, noise) == right
        for other in others:
            got(spool, other)
        assert got(spool, noise) == right
    assert (place.reads["v0"], place.reads["v1"]) == (1, 2)


def test_what_was_used_longest_ago_makes_room_and_what_is_read_stays(place: Versions) -> None:
    files = [place.add(os.urandom(MIB)) for _ in range(5)]
    with opened(place, cap_bytes=2 * MIB) as spool:
        held = spool.read(files[0], offset=0, length=MIB)
        descriptor, at, count = next(held)
        for stored in files[1:]:
            got(spool, stored)
        assert os.pread(descriptor, count, at) == place.bodies["v0"]
        held.close()
        got(spool, files[0])  # never left
        got(spool, files[4])  # the newest
        got(spool, files[1])  # had to go
    assert [place.reads[f"v{number}"] for number in range(5)] == [1, 2, 1, 1, 1]


def test_config_is_held_to_its_recorded_hash_or_taken_as_it_is(place: Versions) -> None:
    stored = StoredFile(RepositoryFile("config", "config", 3), version_id="c")
    place.bodies["c"] = b"abc"
    with opened(place, config_digest=hashlib.sha256(b"abc").hexdigest()) as spool:
        assert got(spool, stored) == b"abc"
    with opened(place, config_digest="0" * 64) as spool:
        assert [right for _, right in spool.verified([stored])] == [False]
    with opened(place) as spool:
        assert got(spool, stored) == b"abc"


def test_a_cap_ends_the_fetch_with_its_reason(place: Versions) -> None:
    stored = place.add(os.urandom(4 * MIB))
    with opened(place, CappedMeter(max_bytes=MIB)) as spool, pytest.raises(RefusedError):
        got(spool, stored, 3 * MIB)
    with opened(place, CappedMeter(max_requests=0)) as spool, pytest.raises(RefusedError):
        got(spool, stored)


def test_a_missing_file_is_missing_and_a_bad_folder_is_told(
    place: Versions, tmp_path: Path
) -> None:
    gone = StoredFile(RepositoryFile("data", "f" * 64, 10), version_id="none")
    with opened(place) as spool:
        with pytest.raises(NotFoundError):
            got(spool, gone)
        assert spool.bad_files == []
    stored = place.add(b"x")
    with (
        opened(place, folder=tmp_path / "nowhere") as spool,
        pytest.raises(EngineError, match="folder for what is fetched"),
    ):
        got(spool, stored)


def test_closing_lets_everybody_go_and_leaves_nothing(place: Versions, tmp_path: Path) -> None:
    stored = place.add(os.urandom(4 * MIB))
    gate = place.gates["v0"] = threading.Semaphore(1)
    before = threading.active_count()
    failures: list[Exception] = []

    def wait() -> None:
        try:
            got(spool, stored)
        except Exception as error:
            failures.append(error)

    with opened(place, folder=tmp_path) as spool:
        got(spool, stored, 0, 10)
        waiting = threading.Thread(target=wait)
        waiting.start()
        spool.stop()
        waiting.join(30)
        assert len(failures) == 1
        gate.release(10)
    assert threading.active_count() == before
    assert not list(tmp_path.iterdir())
