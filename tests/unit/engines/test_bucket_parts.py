"""The parts of the bucket engine that need no server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import botocore.exceptions as raised
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engines.bucket.faults import (
    REFUSALS,
    code_of,
    is_passing,
    server_time,
    translate,
)
from orchestrator.engines.bucket.lock import retain_until
from orchestrator.engines.bucket.selection import Selection
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.engines.bucket.versions import VersionFact, by_key
from orchestrator.errors import (
    CredentialError,
    EngineError,
    EngineTimeoutError,
    NotFoundError,
    OrchestratorError,
    UnreachableError,
)
from orchestrator.keys.secret import Secret

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def answer(code: str, status: int, date: str | None = None) -> Exception:
    headers = {"date": date} if date else {}
    response: Any = {
        "Error": {"Code": code, "Message": "the server's words may quote AKIASECRET"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return raised.ClientError(response, "PutObject")


def translated(error: Exception) -> OrchestratorError:
    result = translate(error, copy="vault", what="upload", now=NOW)
    result.__cause__ = error
    return result


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (answer("AccessDenied", 403), CredentialError, "access refused"),
        (answer("403", 403), CredentialError, "access refused"),
        (answer("InvalidAccessKeyId", 403), CredentialError, "does not know"),
        (answer("SignatureDoesNotMatch", 403), CredentialError, "secret key"),
        (answer("ExpiredToken", 400), CredentialError, "expired"),
        (answer("RequestTimeTooSkewed", 403), EngineError, "clocks differ"),
        (answer("NoSuchBucket", 404), NotFoundError, "no such bucket"),
        (answer("NoSuchKey", 404), NotFoundError, "no such object"),
        (answer("NoSuchVersion", 404), NotFoundError, "no such version"),
        (answer("404", 404), NotFoundError, "not there"),
        (answer("RequestTimeout", 400), EngineTimeoutError, "in time"),
        (answer("InternalError", 500), EngineError, "InternalError"),
        (answer("QuotaExceeded", 403), EngineError, "QuotaExceeded"),
        (answer("", 418), EngineError, "418"),
        (raised.EndpointConnectionError(endpoint_url="x"), UnreachableError, "be reached"),
        (raised.ConnectionClosedError(endpoint_url="x"), UnreachableError, "be reached"),
        (raised.ConnectTimeoutError(endpoint_url="x"), UnreachableError, "no connection"),
        (raised.ReadTimeoutError(endpoint_url="x"), EngineTimeoutError, "in time"),
        (raised.SSLError(endpoint_url="x", error="y"), UnreachableError, "not trusted"),
        (raised.IncompleteReadError(actual_bytes=1, expected_bytes=2), UnreachableError, "broke"),
        (ConnectionResetError("reset"), UnreachableError, "be reached"),
        (raised.UnknownServiceError(service_name="x", known_service_names=[]), EngineError, "S3"),
    ],
)
def test_every_failure_has_its_class_and_says_which_copy(
    error: Exception, expected: type[OrchestratorError], words: str
) -> None:
    result = translated(error)
    assert type(result) is expected
    assert result.message.startswith("copy vault: upload: ")
    assert words in result.message
    assert "AKIASECRET" not in f"{result.message} {result.hint}"


def test_a_clock_that_differs_is_told_in_minutes() -> None:
    ahead = translated(answer("RequestTimeTooSkewed", 403, "Fri, 02 Jan 2026 04:04:05 GMT"))
    behind = translated(answer("RequestTimeTooSkewed", 403, "Fri, 02 Jan 2026 02:34:05 GMT"))
    assert "60 minutes ahead" in ahead.message
    assert "30 minutes behind" in behind.message


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (answer("InternalError", 500), True),
        (answer("SlowDown", 503), True),
        (answer("BadDigest", 400), True),
        (raised.ReadTimeoutError(endpoint_url="x"), True),
        (raised.EndpointConnectionError(endpoint_url="x"), True),
        (answer("AccessDenied", 403), False),
        (answer("ExpiredToken", 400), False),
        (answer("NoSuchKey", 404), False),
        (answer("InvalidArgument", 400), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: Exception, passing: bool) -> None:
    assert is_passing(translated(error)) is passing


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("AccessDenied", True),
        ("ExpiredToken", False),
        ("RequestTimeTooSkewed", False),
        ("InvalidAccessKeyId", False),
        ("SignatureDoesNotMatch", False),
        ("InternalError", False),
    ],
)
def test_only_a_server_that_knows_the_caller_refuses(code: str, refusal: bool) -> None:
    error = translated(answer(code, 403))
    assert code_of(error) == code
    assert (code_of(error) in REFUSALS) is refusal


def test_no_answer_has_no_code() -> None:
    assert code_of(translated(raised.ReadTimeoutError(endpoint_url="x"))) is None
    assert code_of(EngineError("x")) is None


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 02 Jan 2026 02:34:05"])
def test_a_server_time_that_cannot_be_read_is_none(date: str | None) -> None:
    headers = {} if date is None else {"date": date}
    assert server_time({"ResponseMetadata": {"HTTPHeaders": headers}}) is None


@given(
    now=st.datetimes(
        min_value=datetime(2000, 1, 1),
        max_value=datetime(2100, 1, 1),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]),
    ),
    period=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=36500)),
)
def test_a_lock_is_never_shorter_than_the_period_and_ends_on_a_second(
    now: datetime, period: timedelta
) -> None:
    until = retain_until(now, period)
    assert until.microsecond == 0
    assert until.utcoffset() == timedelta(0)
    assert now + period <= until < now + period + timedelta(seconds=1)


def settings() -> BucketSettings:
    return BucketSettings(
        copy="vault",
        endpoint="https://objects.example",
        region="us-east-1",
        bucket="b",
        prefix="xrays",
        lock_period=timedelta(days=1),
        access_key="AKIASECRET",
        secret_key=Secret("s3cr3t"),
        sweeper=("AKIASWEEP", Secret("sw33p")),
    )


def test_settings_never_show_a_key() -> None:
    text = repr(settings())
    assert not any(secret in text for secret in ("AKIASECRET", "s3cr3t", "AKIASWEEP", "sw33p"))


def test_a_prefix_may_be_empty() -> None:
    assert settings().key_base("repo") == "xrays/repo/"
    empty = BucketSettings("c", "e", "r", "b", "", timedelta(1), "a", Secret("s"))
    assert empty.key_base("repo") == "repo/"


def fact(path: str, version_id: str, *, marker: bool = False) -> VersionFact:
    return VersionFact(f"x/{path}", path, version_id, marker, False, 1, "", NOW)


def test_versions_of_a_name_are_grouped_across_pages() -> None:
    listed = [fact("a", "2"), fact("a", "1"), fact("b", "3", marker=True)]
    groups = [[one.version_id for one in group] for group in by_key(iter(listed))]
    assert groups == [["2", "1"], ["3"]]


class Bytes:
    """A door that gives bytes by version id and remembers what it was asked."""

    def __init__(self, **content: bytes) -> None:
        self.content = content
        self.asked: list[str] = []

    def stream(self, key: str, what: str, *, version_id: str, **part: Any) -> list[bytes]:
        self.asked.append(version_id)
        return [self.content[version_id]]


HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
PATH = f"data/2c/{HELLO}"


@pytest.mark.parametrize(
    ("contents", "right", "asked"),
    [
        ({"v2": b"noise", "v1": b"hello"}, "v1", ["v1"]),
        ({"v2": b"hello", "v1": b"noise"}, "v2", ["v1", "v2"]),
        ({"v3": b"hello", "v2": b"hello", "v1": b"noise"}, "v2", ["v1", "v2"]),
        ({"v2": b"noise", "v1": b"other"}, "v1", ["v1", "v2"]),
        ({"v1": b"noise"}, "v1", []),
    ],
)
def test_the_version_whose_bytes_have_the_name_is_right(
    contents: dict[str, bytes], right: str, asked: list[str]
) -> None:
    door = Bytes(**contents)
    selection = Selection(door, {}, None)  # type: ignore[arg-type]
    versions = [fact(PATH, version_id) for version_id in contents]
    assert selection.choose(versions).version_id == right
    assert door.asked == asked


def test_a_recorded_version_that_is_no_longer_there_is_not_believed() -> None:
    door = Bytes(v2=b"noise", v1=b"hello")
    selection = Selection(door, {PATH: "v0"}, None)  # type: ignore[arg-type]
    assert selection.choose([fact(PATH, "v2"), fact(PATH, "v1")]).version_id == "v1"


def test_a_config_without_a_recorded_hash_is_the_oldest_and_nothing_is_read() -> None:
    door = Bytes(v2=b"new", v1=b"old")
    selection = Selection(door, {}, None)  # type: ignore[arg-type]
    assert selection.choose([fact("config", "v2"), fact("config", "v1")]).version_id == "v1"
    assert door.asked == []
