"""The lens on a real bucket as of a time, with nothing but the bucket to go by."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.engines.bucket.place import BucketPlace
from orchestrator.engines.directory import DirectoryPlace
from orchestrator.engines.layout import WRITE_ORDER
from orchestrator.engines.lens import Lens
from orchestrator.engines.meter import CappedMeter, Meter
from orchestrator.engines.rescue import PART, Rescue, Rescued
from orchestrator.engines.restic.binary import Binary
from orchestrator.engines.restic.repository import Repository
from orchestrator.engines.spool import Spool
from orchestrator.errors import OrchestratorError, RefusedError
from tests.support.object_lock import s3
from tests.support.restic import PASSWORD, open_repository, template, tree

NOISE = b"noise" * 100


@pytest.fixture
def folder(tmp_path: Path, current_restic: Binary) -> Path:
    """A repository with one snapshot of a few files."""
    root = tmp_path / "repository"
    shutil.copytree(template(current_restic), root)
    chance = random.Random(7)
    (tmp_path / "source").mkdir()
    for number in range(12):
        (tmp_path / "source" / f"{number}.dcm").write_bytes(chance.randbytes(200_000))
    engine = open_repository(current_restic, root, tmp_path)
    engine.backup(tmp_path / "source", tags=["data"])
    return root


def send(folder: Path, bucket: Bucket) -> BucketPlace:
    place = bucket.place("repo")
    files = [stored.file for stored in DirectoryPlace("disk", folder).list()]
    for file in sorted(files, key=lambda file: WRITE_ORDER.index(file.kind)):
        path = folder / file.path
        place.put(file, path, hashlib.sha256(path.read_bytes()).hexdigest())
    return bucket.place("repo")  # one that remembers nothing of what was put


@contextmanager
def engine_through(
    place: BucketPlace, binary: Binary, meter: Meter, at: datetime | None = None
) -> Iterator[tuple[Repository, Lens]]:
    found = place.recall(at)
    with (
        Spool(place, meter, candidates=found.doubtful) as spool,
        Lens(place, files=found.files, meter=meter, spool=spool) as lens,
    ):
        yield Repository(binary, lens.repository, lambda: PASSWORD, read_only=True), lens


def packs(folder: Path) -> list[Path]:
    return sorted(
        (path for path in (folder / "data").rglob("*/*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )


def test_overwritten_packs_come_back_by_their_hash_though_nothing_was_recorded(
    folder: Path, bucket: Bucket, current_restic: Binary, object_lock_server: ObjectLockServer
) -> None:
    place = send(folder, bucket)
    where = bucket.settings.bucket
    with s3(object_lock_server, "admin") as thief:
        for path in [*packs(folder), folder / "config"]:
            key = f"xrays/repo/{path.relative_to(folder)}"
            thief.put_object(Bucket=where, Key=key, Body=NOISE)
            thief.delete_object(Bucket=where, Key=key)
    meter = Meter()
    with engine_through(place, current_restic, meter) as (engine, lens):
        assert engine.check(read_data=True).errors == 0
        assert lens.bad_files == []
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert meter.traffic().fetched_bytes <= stored, "each file is fetched once"


def test_a_pack_that_is_bad_where_nobody_looks_is_named(
    folder: Path, bucket: Bucket, current_restic: Binary, object_lock_server: ObjectLockServer
) -> None:
    (pack,) = packs(folder)[-1:]
    right = pack.read_bytes()
    # the header at a pack's end is read by no restore
    damaged = right[:-1] + bytes([right[-1] ^ 1])
    place = bucket.place("repo")
    with s3(object_lock_server, "admin") as client:
        key = f"xrays/repo/{pack.relative_to(folder)}"
        client.put_object(Bucket=bucket.settings.bucket, Key=key, Body=damaged)
    for stored in DirectoryPlace("disk", folder).list():
        if stored.file.name != pack.name:
            path = folder / stored.file.path
            place.put(stored.file, path, hashlib.sha256(path.read_bytes()).hexdigest())
    with engine_through(place, current_restic, Meter()) as (engine, lens):
        (snapshot,) = engine.snapshots()
        engine.restore(snapshot.id, folder.parent / "restored")
        assert lens.bad_files == [("data", pack.name)]
    assert tree(folder.parent / "restored") == tree(folder.parent / "source")


def test_a_cap_ends_a_restore_and_says_so(
    folder: Path, bucket: Bucket, current_restic: Binary
) -> None:
    place = send(folder, bucket)
    with engine_through(place, current_restic, CappedMeter(max_bytes=1_000_000)) as (engine, lens):
        (snapshot,) = engine.snapshots()
        with pytest.raises(OrchestratorError):
            engine.restore(snapshot.id, folder.parent / "restored")
        assert isinstance(lens.failure, RefusedError)
        assert "1000000 bytes" in lens.failure.message


def test_an_index_that_a_prune_superseded_does_no_harm_when_its_packs_are_swept(
    folder: Path, tmp_path: Path, current_restic: Binary
) -> None:
    """What a bucket looks like when the sweeper took the packs before their index."""
    engine = open_repository(current_restic, folder, tmp_path)
    old = {path: path.read_bytes() for path in (folder / "index").iterdir()}
    for number in range(6):
        (tmp_path / "source" / f"{number}.dcm").unlink()
    engine.backup(tmp_path / "source", tags=["data"])
    first, second = engine.snapshots()
    engine.forget([first.id])
    engine.prune(max_unused="0")
    swept = 0
    for path, body in old.items():
        if not path.exists():
            path.write_bytes(body)
            swept += 1
    assert swept, "the prune must have superseded an index"
    with Lens(DirectoryPlace("vault", folder)) as lens:
        through = Repository(current_restic, lens.repository, lambda: PASSWORD, read_only=True)
        through.restore(second.id, tmp_path / "restored")
        assert lens.failure is None
    assert tree(tmp_path / "restored") == tree(tmp_path / "source")


def test_a_rescue_that_was_cut_off_goes_on_and_takes_nothing_wrong(
    folder: Path, bucket: Bucket, current_restic: Binary, object_lock_server: ObjectLockServer
) -> None:
    place = send(folder, bucket)
    with s3(object_lock_server, "admin") as thief:
        thief.put_object(
            Bucket=bucket.settings.bucket, Key=f"xrays/repo/snapshots/{'0' * 64}", Body=NOISE
        )
    found = place.recall()
    target = folder.parent / "rescued"

    class CutError(Exception):
        pass

    def cut(so_far: Rescued) -> None:
        if so_far.files == 3:
            raise CutError

    with pytest.raises(CutError):
        Rescue("vault", place, target).write(found.candidates, on_file=cut)
    (target / "keys" / f"{'1' * 64}{PART}").write_bytes(b"half a file")
    wrong = target / packs(folder)[0].relative_to(folder)
    wrong.parent.mkdir(parents=True, exist_ok=True)
    wrong.write_bytes(b"half a pack under its own name")
    done = Rescue("vault", place, target).write(found.candidates)
    assert done.already >= 1
    assert done.damaged == [("snapshots", "0" * 64)]
    ours = {name: body for name, body in tree(folder).items() if body is not None}
    assert {name: body for name, body in tree(target).items() if body is not None} == ours
    finished = subprocess.run(
        [str(current_restic.path), "-r", str(target), "--no-cache", "check", "--read-data"],
        env={"RESTIC_PASSWORD": PASSWORD.reveal(), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr

    (target / "index" / ("2" * 64)).write_bytes(b"of another recovery")
    with pytest.raises(RefusedError, match="do not belong"):
        Rescue("vault", place, target).write(found.candidates)


def test_one_study_costs_little_more_than_the_packs_that_hold_it(
    tmp_path: Path, bucket: Bucket, current_restic: Binary
) -> None:
    root, source = tmp_path / "repository", tmp_path / "source"
    shutil.copytree(template(current_restic), root)
    engine = open_repository(current_restic, root, tmp_path)
    chance = random.Random(9)
    for study in range(40):
        (source / f"study{study}").mkdir(parents=True)
        for number in range(20):
            body = chance.randbytes(8_000)
            (source / f"study{study}" / f"{number}.dcm").write_bytes(body)
        if study % 10 == 9:  # packs are filled by the backup that comes then
            engine.backup(source, tags=["data"])
    place = send(root, bucket)
    meter = Meter()
    with engine_through(place, current_restic, meter) as (through, lens):
        snapshot = through.snapshots()[-1].id
        through.restore(snapshot, tmp_path / "one", include=[b"study35"])
        assert lens.bad_files == []
    assert len(list((tmp_path / "one" / "study35").iterdir())) == 20
    stored = {path.name: path.stat().st_size for path in packs(root)}
    traffic = meter.traffic()
    assert traffic.fetched_bytes <= 1.5 * max(stored.values()), "one of four packs of images"
    assert traffic.fetches == traffic.files < traffic.reads, "each file once"
