"""A repository's place in a real Object Lock bucket."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.clock import SystemClock
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.engines.bucket.place import BucketPlace
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.layout import LIST_ORDER, RepositoryFile
from orchestrator.errors import DamageError, EngineError, NotFoundError, RefusedError
from tests.support.faulty_network import FaultyNetwork
from tests.support.object_lock import new_vault, s3, settings_for, wait_until
from tests.support.repository_files import digest_of, write_file, write_repository

NOISE = b"noise" * 100


def content(place: Place, stored: StoredFile) -> bytes:
    return b"".join(place.read(stored))


def put_file(place: BucketPlace, root: Path, file: RepositoryFile) -> StoredFile:
    receipt = place.put(file, root / file.path, digest_of(root, file))
    return StoredFile(receipt.file, receipt.version_id)


def only(place: Place) -> StoredFile:
    (stored,) = place.list()
    return stored


def overwrite(
    server: ObjectLockServer, bucket: Bucket, file: RepositoryFile, body: bytes = NOISE
) -> None:
    with s3(server, "writer") as thief:
        thief.put_object(Bucket=bucket.settings.bucket, Key=f"xrays/repo/{file.path}", Body=body)


def hide(server: ObjectLockServer, bucket: Bucket, path: str) -> None:
    with s3(server, "admin") as somebody:
        somebody.delete_object(Bucket=bucket.settings.bucket, Key=f"xrays/repo/{path}")


def test_every_file_comes_back_as_it_was_and_in_list_order(bucket: Bucket, tmp_path: Path) -> None:
    files = write_repository(tmp_path)
    place = bucket.place("repo")
    with ThreadPoolExecutor(place.workers) as pool:
        list(pool.map(lambda file: put_file(place, tmp_path, file), files))
    listed = list(bucket.place("repo").list())
    assert {stored.file for stored in listed} == set(files)
    kinds = [stored.file.kind for stored in listed]
    assert kinds == sorted(kinds, key=LIST_ORDER.index)
    for stored in listed:
        assert content(place, stored) == (tmp_path / stored.file.path).read_bytes()
        assert (stored.versions, stored.hidden) == (1, False)


def test_an_empty_bucket_lists_nothing(bucket: Bucket) -> None:
    assert list(bucket.place("repo").list()) == []


def test_repositories_and_prefixes_do_not_see_each_other(bucket: Bucket, tmp_path: Path) -> None:
    file = write_file(tmp_path, "data", b"x")
    put_file(bucket.place("repo"), tmp_path, file)
    assert list(bucket.place("repo2").list()) == []
    assert list(bucket.place("rep").list()) == []


def test_every_upload_is_locked_for_the_whole_period_and_read_back(
    bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"x" * 1000)
    before = datetime.now(UTC)
    place = bucket.place("repo")
    receipt = place.put(file, tmp_path / file.path, file.name)
    assert receipt.retain_until is not None
    assert receipt.retain_until >= before + timedelta(days=35)
    stored = StoredFile(receipt.file, receipt.version_id)
    assert place.retention(stored) == receipt.retain_until


def test_every_upload_is_one_put_that_carries_both_checksums(
    object_lock_server: ObjectLockServer, vault: BucketSettings, tmp_path: Path
) -> None:
    body = random.Random(5).randbytes(20 << 20)  # more than boto3's multipart threshold
    file = write_file(tmp_path, "data", body)
    with (
        FaultyNetwork(object_lock_server.endpoint) as network,
        Bucket(replace(vault, endpoint=network.endpoint), SystemClock()) as bucket,
    ):
        put_file(bucket.place("repo"), tmp_path, file)
    (put,) = [seen for seen in network.seen if seen.method == "PUT"]
    assert put.body_bytes == len(body)
    assert "uploads" not in put.path
    assert put.headers["content-md5"]
    assert put.headers["x-amz-content-sha256"] == file.name
    assert put.headers["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert "x-amz-trailer" not in put.headers


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_001])
def test_any_size_arrives_whole(bucket: Bucket, tmp_path: Path, size: int) -> None:
    file = write_file(tmp_path, "data", random.Random(size).randbytes(size))
    place = bucket.place("repo")
    put_file(place, tmp_path, file)
    stored = only(place)
    assert stored.file == file
    assert hashlib.sha256(content(place, stored)).hexdigest() == file.name


def test_a_part_can_be_read(bucket: Bucket, tmp_path: Path) -> None:
    body = random.Random(1).randbytes(3_000_000)
    file = write_file(tmp_path, "data", body)
    place = bucket.place("repo")
    stored = put_file(place, tmp_path, file)
    assert b"".join(place.read(stored, offset=10, length=5)) == body[10:15]
    assert b"".join(place.read(stored, offset=2_999_990)) == body[-10:]
    assert b"".join(place.read(stored, offset=2_999_990, length=500)) == body[-10:]
    assert b"".join(place.read(stored, offset=3_000_000)) == b""
    pieces = [len(piece) for piece in place.read(stored)]
    assert max(pieces) <= 1 << 20


def test_a_file_that_does_not_match_its_name_is_not_sent(bucket: Bucket, tmp_path: Path) -> None:
    file = write_file(tmp_path, "data", b"right")
    path = tmp_path / file.path
    path.chmod(0o600)
    path.write_bytes(b"wrong")
    place = bucket.place("repo")
    with pytest.raises(DamageError, match="damaged in the primary"):
        place.put(file, path, file.name)
    assert list(bucket.versions("repo")) == []


def test_a_config_that_does_not_match_its_recorded_hash_is_not_sent(
    bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "config", b"config")
    with pytest.raises(DamageError):
        bucket.place("repo").put(file, tmp_path / "config", "0" * 64)
    assert list(bucket.versions("repo")) == []


def test_a_missing_source_is_said_and_nothing_is_sent(bucket: Bucket, tmp_path: Path) -> None:
    file = RepositoryFile("data", "0" * 64, 1)
    with pytest.raises(EngineError, match="cannot be read in the primary"):
        bucket.place("repo").put(file, tmp_path / "none", file.name)
    assert list(bucket.versions("repo")) == []


# ---- somebody was here -----------------------------------------------------------------------


def test_an_overwritten_object_is_served_in_its_right_version(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right" * 100)
    put_file(bucket.place("repo"), tmp_path, file)
    overwrite(object_lock_server, bucket, file)
    overwrite(object_lock_server, bucket, file, b"other")
    place = bucket.place("repo")
    stored = only(place)
    assert stored.versions == 3
    assert stored.file == file
    assert content(place, stored) == b"right" * 100


def test_the_right_version_is_found_when_the_noise_came_first(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right" * 100)
    overwrite(object_lock_server, bucket, file)
    put_file(bucket.place("repo"), tmp_path, file)
    place = bucket.place("repo")
    assert content(place, only(place)) == b"right" * 100


def test_a_hidden_object_is_listed_as_hidden_and_can_be_read(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    put_file(bucket.place("repo"), tmp_path, file)
    hide(object_lock_server, bucket, file.path)
    place = bucket.place("repo")
    stored = only(place)
    assert stored.hidden
    assert stored.versions == 1
    assert content(place, stored) == b"right"


def test_an_object_put_again_after_it_was_hidden_is_not_hidden(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    put_file(bucket.place("repo"), tmp_path, file)
    hide(object_lock_server, bucket, file.path)
    put_file(bucket.place("repo"), tmp_path, file)
    stored = only(bucket.place("repo"))
    assert not stored.hidden
    assert stored.versions == 2


def test_a_name_with_nothing_but_a_delete_marker_is_not_listed(
    object_lock_server: ObjectLockServer, bucket: Bucket
) -> None:
    path = f"data/00/{'0' * 64}"
    hide(object_lock_server, bucket, path)
    assert list(bucket.place("repo").list()) == []
    (marker,) = bucket.versions("repo")
    assert marker.is_marker
    assert marker.path == path


def test_a_recorded_version_wins_and_nothing_is_downloaded(
    object_lock_server: ObjectLockServer, vault: BucketSettings, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    with (
        FaultyNetwork(object_lock_server.endpoint) as network,
        Bucket(replace(vault, endpoint=network.endpoint), SystemClock()) as bucket,
    ):
        receipt = put_file(bucket.place("repo"), tmp_path, file)
        overwrite(object_lock_server, bucket, file)
        assert receipt.version_id is not None
        place = bucket.place("repo", {file.path: receipt.version_id})
        before = len(network.seen)
        assert only(place).version_id == receipt.version_id
        assert all("versions" in seen.path for seen in network.seen[before:])


def test_versions_are_compared_once_and_then_remembered(
    object_lock_server: ObjectLockServer, vault: BucketSettings, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    with (
        FaultyNetwork(object_lock_server.endpoint) as network,
        Bucket(replace(vault, endpoint=network.endpoint), SystemClock()) as bucket,
    ):
        put_file(bucket.place("repo"), tmp_path, file)
        overwrite(object_lock_server, bucket, file)
        place = bucket.place("repo")
        first = only(place)
        before = len(network.seen)
        assert only(place) == first
        assert all("versions" in seen.path for seen in network.seen[before:])


def test_an_overwritten_config_is_found_by_its_recorded_hash_else_the_oldest_is_taken(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "config", b"config")
    overwrite(object_lock_server, bucket, file, b"an earlier noise")
    put_file(bucket.place("repo"), tmp_path, file)
    by_age = bucket.place("repo")
    assert content(by_age, only(by_age)) == b"an earlier noise"
    by_hash = bucket.place("repo", config_digest=hashlib.sha256(b"config").hexdigest())
    assert content(by_hash, only(by_hash)) == b"config"


def test_where_no_version_is_right_the_oldest_is_listed(
    object_lock_server: ObjectLockServer, bucket: Bucket
) -> None:
    file = RepositoryFile("data", "0" * 64, 5)
    overwrite(object_lock_server, bucket, file, b"older")
    overwrite(object_lock_server, bucket, file, b"newer")
    place = bucket.place("repo")
    assert content(place, only(place)) == b"older"


def test_foreign_names_are_not_part_of_the_repository_but_are_seen(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    put_file(bucket.place("repo"), tmp_path, file)
    foreign = [
        f"locks/{'1' * 64}",
        "data/not a pack",
        f"data/ff/{'0' * 64}",
        "config.txt",
        "keys/ünï\u2028code & <odd>\n\x01name",
        "READ_ME_TO_DECRYPT",
    ]
    with s3(object_lock_server, "writer") as thief:
        for path in foreign:
            thief.put_object(Bucket=bucket.settings.bucket, Key=f"xrays/repo/{path}", Body=b"")
    assert only(bucket.place("repo")).file == file
    facts = list(bucket.versions("repo"))
    assert {fact.path for fact in facts} == {file.path, *foreign}
    assert [fact.path for fact in facts if fact.parsed] == [file.path]


def test_a_listing_goes_over_several_pages_and_a_name_may_lie_on_two(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(340)]
    with s3(object_lock_server, "admin") as client, ThreadPoolExecutor(8) as pool:

        def fill(name: str) -> None:
            key = f"xrays/repo/index/{name}"
            client.put_object(Bucket=bucket.settings.bucket, Key=key, Body=b"1")
            client.delete_object(Bucket=bucket.settings.bucket, Key=key)
            client.put_object(Bucket=bucket.settings.bucket, Key=key, Body=b"2")

        list(pool.map(fill, names))
    facts = list(bucket.versions("repo"))
    assert len(facts) == 1020
    assert [fact.path for fact in facts] == sorted(fact.path for fact in facts)
    assert sum(fact.is_marker for fact in facts) == 340
    assert all(fact.is_latest for fact in facts[::3])
    known = {fact.path: fact.version_id for fact in facts[::3]}
    listed = list(bucket.place("repo", known).list())
    assert [stored.file.name for stored in listed] == sorted(names)
    assert {stored.versions for stored in listed} == {2}


# ---- locks -----------------------------------------------------------------------------------


def test_a_lock_is_lengthened_per_version_and_never_shortened(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    place = bucket.place("repo")
    stored = put_file(place, tmp_path, file)
    overwrite(object_lock_server, bucket, file)
    later = datetime.now(UTC) + timedelta(days=70, microseconds=1)
    held = place.extend(stored, later)
    assert later <= held < later + timedelta(seconds=1)
    assert place.retention(stored) == held
    (noise,) = [fact for fact in bucket.versions("repo") if fact.is_latest]
    assert bucket.retention(noise) is None
    assert place.extend(stored, datetime.now(UTC) + timedelta(days=1)) == held


def test_a_governance_lock_counts_as_none(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    with s3(object_lock_server, "writer") as client:
        client.put_object(
            Bucket=bucket.settings.bucket,
            Key=f"xrays/repo/{file.path}",
            Body=b"right",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
        )
    place = bucket.place("repo")
    assert place.retention(only(place)) is None


def test_a_version_of_a_file_that_is_gone_has_no_lock_to_tell(bucket: Bucket) -> None:
    gone = StoredFile(RepositoryFile("data", "0" * 64, 1), "no-such-version")
    with pytest.raises((NotFoundError, EngineError)):
        bucket.place("repo").retention(gone)
    with pytest.raises((NotFoundError, EngineError)):
        list(bucket.place("repo").read(gone))


def test_a_locked_file_is_not_removed(bucket: Bucket, tmp_path: Path) -> None:
    place = bucket.place("repo")
    stored = put_file(place, tmp_path, write_file(tmp_path, "data", b"right"))
    with pytest.raises(RefusedError, match="locked until"):
        place.remove(stored)
    assert only(place).file == stored.file


def test_a_file_whose_lock_has_ended_is_removed_by_the_sweeper_alone(
    vault: BucketSettings, tmp_path: Path
) -> None:
    short = replace(vault, lock_period=timedelta(seconds=1))
    file = write_file(tmp_path, "data", b"right")
    with (
        Bucket(short, SystemClock()) as bucket,
        Bucket(replace(short, sweeper=None), SystemClock()) as without,
    ):
        place = bucket.place("repo")
        stored = put_file(place, tmp_path, file)
        until = place.retention(stored)
        assert until is not None
        wait_until(lambda: datetime.now(UTC) > until)
        with pytest.raises(RefusedError, match="no credential may remove"):
            without.place("repo").remove(stored)
        place.remove(stored)
        assert list(bucket.versions("repo")) == []


def test_a_delete_marker_is_swept_and_the_file_shows_again(
    object_lock_server: ObjectLockServer, bucket: Bucket, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", b"right")
    put_file(bucket.place("repo"), tmp_path, file)
    hide(object_lock_server, bucket, file.path)
    (marker,) = [fact for fact in bucket.versions("repo") if fact.is_marker]
    bucket.sweep(marker)
    assert not only(bucket.place("repo")).hidden


def test_a_bucket_without_a_lock_takes_nothing(
    object_lock_server: ObjectLockServer, tmp_path: Path
) -> None:
    plain = new_vault(object_lock_server, lock=False, versioning=True)
    file = write_file(tmp_path, "data", b"right")
    with Bucket(plain, SystemClock()) as bucket, pytest.raises(EngineError):
        put_file(bucket.place("repo"), tmp_path, file)


# ---- surroundings ----------------------------------------------------------------------------


def test_a_place_works_over_tls_with_the_sites_own_authority(
    object_lock_server_tls: ObjectLockServer, tmp_path: Path
) -> None:
    file = write_file(tmp_path, "data", random.Random(2).randbytes(3_000_000))
    with Bucket(new_vault(object_lock_server_tls), SystemClock()) as bucket:
        place = bucket.place("repo")
        put_file(place, tmp_path, file)
        stored = only(place)
        assert hashlib.sha256(content(place, stored)).hexdigest() == file.name
        assert place.retention(stored) is not None


def test_whoever_runs_it_cannot_change_the_requests_by_the_environment(
    object_lock_server: ObjectLockServer, vault: BucketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_PROFILE": "no-such-profile",
        "AWS_CONFIG_FILE": "/nonexistent/config",
        "AWS_CA_BUNDLE": "/nonexistent/ca.pem",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported",
        "AWS_MAX_ATTEMPTS": "100",
    }.items():
        monkeypatch.setenv(name, value)
    with Bucket(settings_for(object_lock_server, vault.bucket), SystemClock()) as bucket:
        assert bucket.facts().lock_enabled


MEMORY = """
import resource, sys
from pathlib import Path
from deploy.lab import object_lock_server
from orchestrator.clock import SystemClock
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.engines.layout import RepositoryFile
from datetime import timedelta
import os
class S:
    def reveal(self): return os.environ["LAB_SECRET"]
settings = BucketSettings("vault", sys.argv[1], "us-east-1", sys.argv[2], "", timedelta(days=1),
    os.environ["LAB_ACCESS"], S())
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
with Bucket(settings, SystemClock()) as bucket:
    place = bucket.place("memory")
    marks = []
    for path in map(Path, sys.argv[3:]):
        file = RepositoryFile("data", path.name, path.stat().st_size)
        place.put(file, path, file.name)
        for stored in place.list():
            for piece in place.read(stored): pass
        marks.append(peak())
    print(marks[-1] - marks[0])
"""


def test_memory_does_not_grow_with_the_size_of_a_file(
    object_lock_server: ObjectLockServer, vault: BucketSettings, tmp_path: Path
) -> None:
    small = write_file(tmp_path, "data", b"small" * 300_000)
    large = write_file(tmp_path, "data", random.Random(3).randbytes(64 << 20))
    keys = object_lock_server.credentials["writer"]
    grown = subprocess.run(
        [
            *(sys.executable, "-c", MEMORY, vault.endpoint, vault.bucket),
            *(str(tmp_path / file.path) for file in (small, large)),
        ],
        env=os.environ | {"LAB_ACCESS": keys["access_key"], "LAB_SECRET": keys["secret_key"]},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(grown.stdout) <= 12, "MiB"
