"""What the bucket engine does when the network, the server, the clock or the keys fail."""

from __future__ import annotations

import hashlib
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.auth
import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.clock import SystemClock
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.engines.interface import Receipt
from orchestrator.engines.layout import RepositoryFile
from orchestrator.errors import (
    CredentialError,
    DamageError,
    EngineError,
    EngineTimeoutError,
    NotFoundError,
    OrchestratorError,
    RefusedError,
    UnreachableError,
)
from orchestrator.keys.secret import Secret
from tests.support.faulty_network import (
    Answer,
    Cut,
    Fault,
    FaultyNetwork,
    HangUp,
    Script,
    Seen,
    Silence,
)
from tests.support.object_lock import new_vault, s3, unlocking
from tests.support.repository_files import write_file

BODY = random.Random(9).randbytes(2_500_000)

Behind = Callable[..., AbstractContextManager[tuple[Bucket, FaultyNetwork]]]


@pytest.fixture
def behind(object_lock_server: ObjectLockServer, vault: BucketSettings) -> Behind:
    """The vault behind a network that follows a script; only silence needs little patience."""

    @contextmanager
    def opened(
        script: Script, *, patience_s: float = 60.0
    ) -> Iterator[tuple[Bucket, FaultyNetwork]]:
        with FaultyNetwork(object_lock_server.endpoint, script) as network:
            settings = replace(vault, endpoint=network.endpoint, read_timeout_s=patience_s)
            with Bucket(settings, SystemClock()) as bucket:
                yield bucket, network

    return opened


@pytest.fixture
def file(tmp_path: Path) -> RepositoryFile:
    return write_file(tmp_path, "data", BODY)


def put(bucket: Bucket, root: Path, file: RepositoryFile) -> Receipt:
    return bucket.place("repo").put(file, root / file.path, file.name)


def on(method: str, fault: Fault, *, first: int = 0, times: int = 1) -> Script:
    """Fail the requests of a method from the `first` on, so many times."""
    count = iter(range(10**6))

    def script(seen: Seen) -> Fault | None:
        if seen.method != method:
            return None
        return fault if first <= next(count) < first + times else None

    return script


def refused_endpoint() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


@pytest.mark.parametrize(
    "fault", [HangUp(), HangUp(late=True), Answer(500, "InternalError"), Answer(503, "SlowDown")]
)
def test_an_upload_is_tried_again_and_stored_once(
    behind: Behind, tmp_path: Path, file: RepositoryFile, fault: Fault
) -> None:
    with behind(on("PUT", fault)) as (bucket, network):
        receipt = put(bucket, tmp_path, file)
        (version,) = bucket.versions("repo")
        assert version.version_id == receipt.version_id
        assert bucket.retention(version) == receipt.retain_until
        late = fault == HangUp(late=True)
        assert network.count("PUT") == (1 if late else 2)


def test_an_upload_whose_answer_never_comes_is_stored_once(
    behind: Behind, tmp_path: Path, file: RepositoryFile
) -> None:
    with behind(on("PUT", Silence()), patience_s=3.0) as (bucket, _):
        put(bucket, tmp_path, file)
        assert len(list(bucket.versions("repo"))) == 1


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (HangUp(), UnreachableError),
        (Answer(500, "InternalError"), EngineError),
        (Answer(503, "SlowDown"), EngineError),
        (Silence(), EngineTimeoutError),
    ],
)
def test_attempts_are_bounded_and_the_failure_names_the_copy(
    behind: Behind, tmp_path: Path, file: RepositoryFile, fault: Fault, raised: type[Exception]
) -> None:
    patience_s = 1.0 if fault == Silence() else 60.0
    with behind(on("PUT", fault, times=100), patience_s=patience_s) as (bucket, network):
        with pytest.raises(raised, match="copy vault: upload of data/"):
            put(bucket, tmp_path, file)
        assert network.count("PUT") == 3


@pytest.mark.parametrize("fault", [HangUp(), Answer(500, "InternalError"), Answer(503, "SlowDown")])
def test_a_listing_is_tried_again(
    behind: Behind, tmp_path: Path, file: RepositoryFile, fault: Fault
) -> None:
    with behind(on("GET", fault)) as (bucket, _):
        put(bucket, tmp_path, file)
        assert [stored.file for stored in bucket.place("repo").list()] == [file]


def test_a_server_that_refuses_connections_is_unreachable(vault: BucketSettings) -> None:
    settings = replace(vault, endpoint=refused_endpoint())
    started = time.monotonic()
    with Bucket(settings, SystemClock()) as bucket:
        for act in (bucket.facts, bucket.create, lambda: list(bucket.place("r").list())):
            with pytest.raises(UnreachableError, match=r"copy vault: .* cannot be reached"):
                act()
    assert time.monotonic() - started < 60  # it did not hang


def test_a_name_that_does_not_resolve_is_unreachable(vault: BucketSettings) -> None:
    settings = replace(vault, endpoint="http://no-such-host.invalid:9")
    with Bucket(settings, SystemClock()) as bucket, pytest.raises(UnreachableError):
        bucket.facts()


def test_a_silent_server_is_a_timeout_within_the_time_allowed(behind: Behind) -> None:
    with behind(lambda seen: Silence(), patience_s=1.0) as (bucket, _):
        started = time.monotonic()
        with pytest.raises(EngineTimeoutError, match="did not answer in time"):
            bucket.facts()
        assert time.monotonic() - started < 60  # it did not hang


def test_a_refusal_in_the_middle_is_not_tried_again(
    behind: Behind, tmp_path: Path, file: RepositoryFile
) -> None:
    with behind(on("PUT", Answer(403, "AccessDenied"), first=1, times=100)) as (bucket, network):
        put(bucket, tmp_path, file)
        other = write_file(tmp_path, "index", b"other")
        with pytest.raises(CredentialError, match=r"access refused \(AccessDenied\)"):
            put(bucket, tmp_path, other)
        assert network.count("PUT") == 2


def test_an_expired_credential_is_said_to_be_one(behind: Behind) -> None:
    with behind(lambda seen: Answer(400, "ExpiredToken")) as (bucket, network):
        with pytest.raises(CredentialError, match="has expired") as raised:
            bucket.facts()
        assert raised.value.hint == "renew the keys of copies.vault"
        assert len(network.seen) == 1


def test_a_wrong_clock_is_said_to_be_one(
    vault: BucketSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(hours=2)

    class Ahead(SystemClock):
        def now(self) -> datetime:
            return super().now() + ahead

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: Ahead().now())
    with (
        Bucket(vault, Ahead()) as bucket,
        pytest.raises(EngineError, match="clocks differ: the server's is 120 minutes behind") as it,
    ):
        bucket.facts()
    assert not isinstance(it.value, CredentialError)
    assert "NTP" in str(it.value.hint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret_key": Secret("wrong")}, "secret key does not belong"),
        ({"access_key": "NOBODY"}, "does not know this access key"),
    ],
)
def test_wrong_keys_are_told_apart_and_never_shown(
    vault: BucketSettings, tmp_path: Path, file: RepositoryFile, change: dict[str, str], words: str
) -> None:
    settings = replace(vault, **change)  # type: ignore[arg-type]
    with Bucket(settings, SystemClock()) as bucket:
        for act in (bucket.facts, lambda: put(bucket, tmp_path, file)):
            with pytest.raises(CredentialError, match=words) as raised:
                act()
            text = f"{raised.value.message} {raised.value.hint} {settings!r}"
            for secret in (settings.access_key, settings.secret_key.reveal()):
                assert secret not in text


def test_a_missing_bucket_is_not_found(vault: BucketSettings, tmp_path: Path) -> None:
    with Bucket(replace(vault, bucket="no-such-bucket"), SystemClock()) as bucket:
        with pytest.raises(NotFoundError, match="no such bucket"):
            list(bucket.place("repo").list())
        with pytest.raises(NotFoundError, match="no such bucket"):
            put(bucket, tmp_path, write_file(tmp_path, "data", b"x"))


def test_a_server_that_speaks_no_s3_is_said_to(behind: Behind) -> None:
    with behind(lambda seen: Answer(404, "")) as (bucket, _), pytest.raises(OrchestratorError):
        list(bucket.versions("repo"))


@pytest.mark.parametrize("cut", [0, 1, 70_000, 1 << 20, 2_499_999])
def test_a_download_that_breaks_off_goes_on_where_it_was(
    behind: Behind, tmp_path: Path, file: RepositoryFile, cut: int
) -> None:
    def script(seen: Seen) -> Fault | None:
        first = seen.method == "GET" and "versionId" in seen.path and "range" in seen.headers
        asked = seen.headers.get("range", "") == f"bytes=0-{len(BODY) - 1}"
        return Cut(cut) if first and asked and not cuts.append(seen) and len(cuts) == 1 else None

    cuts: list[Seen] = []
    with behind(script) as (bucket, _):
        put(bucket, tmp_path, file)
        place = bucket.place("repo")
        (stored,) = place.list()
        assert hashlib.sha256(b"".join(place.read(stored))).hexdigest() == file.name
        assert cuts


def test_a_download_that_always_breaks_off_fails_and_gives_no_wrong_byte(
    behind: Behind, tmp_path: Path, file: RepositoryFile
) -> None:
    def script(seen: Seen) -> Fault | None:
        return Cut(0) if seen.method == "GET" and "range" in seen.headers else None

    with behind(script) as (bucket, network):
        put(bucket, tmp_path, file)
        place = bucket.place("repo")
        (stored,) = place.list()
        with pytest.raises(UnreachableError, match="broke off"):
            list(place.read(stored))
        assert sum("range" in seen.headers for seen in network.seen) == 3


def test_an_upload_that_the_server_did_not_lock_is_locked_afterwards(
    object_lock_server: ObjectLockServer, behind: Behind, tmp_path: Path, file: RepositoryFile
) -> None:
    fault = unlocking(object_lock_server)
    with behind(on("PUT", fault)) as (bucket, _):
        before = datetime.now(UTC)
        receipt = put(bucket, tmp_path, file)
        (version,) = bucket.versions("repo")
        held = bucket.retention(version)
    assert held == receipt.retain_until
    assert held is not None
    assert held >= before + timedelta(days=35)


def test_an_upload_that_cannot_be_locked_is_an_error(
    object_lock_server: ObjectLockServer, behind: Behind, tmp_path: Path, file: RepositoryFile
) -> None:
    unlock = unlocking(object_lock_server)

    def script(seen: Seen) -> Fault | None:
        if seen.method == "PUT" and "retention" in seen.path:
            return Answer(403, "AccessDenied")
        return unlock if seen.method == "PUT" else None

    with behind(script) as (bucket, _), pytest.raises(CredentialError, match="lock of an object"):
        put(bucket, tmp_path, file)


def test_a_source_that_changes_between_two_attempts_is_not_sent(
    behind: Behind, tmp_path: Path, file: RepositoryFile
) -> None:
    path = tmp_path / file.path
    path.chmod(0o600)

    def script(seen: Seen) -> Fault | None:
        if seen.method == "PUT" and seen.body_bytes:
            path.write_bytes(b"changed")
            return Answer(500, "InternalError")
        return None

    with behind(script) as (bucket, _):
        with pytest.raises(DamageError):
            put(bucket, tmp_path, file)
        assert list(bucket.versions("repo")) == []


def test_a_source_that_changes_while_it_is_sent_is_refused_by_the_server(
    object_lock_server: ObjectLockServer, vault: BucketSettings, tmp_path: Path
) -> None:
    """The server itself verifies MD5 and SHA-256 of what arrives."""
    import base64

    with s3(object_lock_server, "writer") as client:
        wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        with pytest.raises(client.exceptions.ClientError, match="BadDigest"):
            client.put_object(Bucket=vault.bucket, Key="x", Body=b"body", ContentMD5=wrong)


# ---- the bucket itself -----------------------------------------------------------------------


def test_a_missing_bucket_is_a_fact(vault: BucketSettings) -> None:
    with Bucket(replace(vault, bucket="no-such-bucket"), SystemClock()) as bucket:
        facts = bucket.facts()
    assert not facts.exists
    assert facts.skew is not None
    assert abs(facts.skew) < timedelta(minutes=1)


def test_a_locked_bucket_says_so(object_lock_server: ObjectLockServer, bucket: Bucket) -> None:
    with s3(object_lock_server, "admin") as client:
        client.put_object_lock_configuration(
            Bucket=bucket.settings.bucket,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 3}},
            },
        )
    facts = bucket.facts()
    assert facts.exists
    assert facts.versioning
    assert facts.lock_enabled
    assert facts.default_retention is not None
    assert facts.default_retention.mode == "COMPLIANCE"
    assert facts.default_retention.period == timedelta(days=3)
    assert facts.server_time is not None
    assert facts.skew is not None
    assert abs(facts.skew) < timedelta(minutes=1)


@pytest.mark.parametrize("versioning", [True, False])
def test_a_plain_bucket_says_so_and_is_not_taken(
    object_lock_server: ObjectLockServer, versioning: bool
) -> None:
    plain = new_vault(object_lock_server, lock=False, versioning=versioning, policy=False)
    with Bucket(plain, SystemClock()) as bucket:
        facts = bucket.facts()
        assert (facts.exists, facts.versioning, facts.lock_enabled) == (True, versioning, False)
        assert facts.default_retention is None
        with pytest.raises(RefusedError, match="exists without Object Lock"):
            bucket.create()


def test_a_bucket_is_created_locked_and_creating_it_again_changes_nothing(
    object_lock_server: ObjectLockServer, vault: BucketSettings
) -> None:
    with Bucket(replace(vault, bucket="brand-new"), SystemClock()) as bucket:
        assert bucket.create().lock_enabled
        assert bucket.create().lock_enabled


def test_somebody_elses_bucket_is_refused(object_lock_server: ObjectLockServer) -> None:
    theirs = new_vault(object_lock_server)
    keys = object_lock_server.credentials["reader"]
    stranger = replace(
        theirs,
        bucket="reader-has-no-policy",
        access_key=keys["access_key"],
        secret_key=Secret(keys["secret_key"]),
    )
    with s3(object_lock_server, "admin") as client:
        client.create_bucket(Bucket="reader-has-no-policy", ObjectLockEnabledForBucket=True)
    with Bucket(stranger, SystemClock()) as bucket, pytest.raises(CredentialError):
        bucket.facts()


@pytest.mark.parametrize("name", ["", "a/b", ".probe", "../x"])
def test_a_repository_name_cannot_leave_its_folder(bucket: Bucket, name: str) -> None:
    with pytest.raises(ValueError, match="no repository name"):
        bucket.place(name)


# ---- TLS -------------------------------------------------------------------------------------


def test_a_server_that_the_authority_did_not_sign_is_not_trusted(
    object_lock_server_tls: ObjectLockServer, vault: BucketSettings
) -> None:
    for ca_file in (None, Path("/etc/ssl/certs/ca-certificates.crt")):
        settings = replace(vault, endpoint=object_lock_server_tls.endpoint, ca_file=ca_file)
        with (
            Bucket(settings, SystemClock()) as bucket,
            pytest.raises(UnreachableError, match="certificate is not trusted") as raised,
        ):
            bucket.facts()
        assert "ca_file" in str(raised.value.hint)


def test_a_missing_authority_file_is_said(
    object_lock_server_tls: ObjectLockServer, vault: BucketSettings, tmp_path: Path
) -> None:
    endpoint = object_lock_server_tls.endpoint
    settings = replace(vault, endpoint=endpoint, ca_file=tmp_path / "none.pem")
    with Bucket(settings, SystemClock()) as bucket, pytest.raises(EngineError, match="authority"):
        bucket.facts()


def test_an_authority_file_that_is_none_is_said(
    object_lock_server_tls: ObjectLockServer, vault: BucketSettings, tmp_path: Path
) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("this is no certificate")
    settings = replace(vault, endpoint=object_lock_server_tls.endpoint, ca_file=broken)
    with Bucket(settings, SystemClock()) as bucket, pytest.raises(OrchestratorError) as raised:
        bucket.facts()
    assert "vault" in raised.value.message


@pytest.mark.parametrize("endpoint", ["", "no scheme", "https://", "http://host:notaport"])
def test_an_endpoint_that_is_none_is_said(vault: BucketSettings, endpoint: str) -> None:
    with (
        Bucket(replace(vault, endpoint=endpoint), SystemClock()) as bucket,
        pytest.raises(EngineError, match="copy vault: endpoint or region is not usable"),
    ):
        bucket.facts()
