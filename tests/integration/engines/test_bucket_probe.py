"""The tamper probe on a real Object Lock server: held, breached, and nothing between."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.clock import SystemClock
from orchestrator.engines.bucket import probe
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.engines.bucket.probe import ProbeResult
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.keys.secret import Secret
from tests.support.faulty_network import Answer, Fault, FaultyNetwork, HangUp, Seen
from tests.support.object_lock import new_vault, s3, unlocking


def probed(settings: BucketSettings) -> ProbeResult:
    with Bucket(settings, SystemClock()) as bucket:
        return bucket.probe()


def test_a_bucket_with_lock_and_policies_holds(vault: BucketSettings) -> None:
    result = probed(vault)
    assert result.verdict == "held", result.attempts
    assert all(attempt.ok for attempt in result.attempts)
    assert [attempt.action for attempt in result.attempts] == [
        "writer: put a locked canary",
        "writer: delete the locked version",
        "writer: delete the locked version with governance bypass",
        "writer: shorten the lock",
        "writer: shorten the lock with governance bypass",
        "writer: downgrade the lock to GOVERNANCE",
        "writer: downgrade the lock to GOVERNANCE with governance bypass",
        "writer: suspend versioning",
        "writer: remove the bucket's lock configuration",
        "sweeper: delete the locked version",
        "sweeper: delete the locked version with governance bypass",
        "writer: read the canary back",
    ]
    assert result.canary is not None
    assert result.canary.startswith("xrays/.probe/")
    assert result.retain_until is not None
    assert result.retain_until > datetime.now(UTC) + timedelta(seconds=90)
    assert (result.swept, result.remaining) == (0, 1)


def test_a_bucket_holds_without_a_sweeper_too(vault: BucketSettings) -> None:
    result = probed(replace(vault, sweeper=None))
    assert result.verdict == "held"
    assert not any("sweeper" in attempt.action for attempt in result.attempts)


def test_the_repositories_are_not_touched_by_a_probe(vault: BucketSettings) -> None:
    with Bucket(vault, SystemClock()) as bucket:
        bucket.probe()
        assert list(bucket.versions("repo")) == []


def test_a_writer_that_can_change_the_bucket_is_a_breach_and_nothing_stays_changed(
    object_lock_server: ObjectLockServer,
) -> None:
    careless = new_vault(object_lock_server, policy=False)
    default = {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 5}},
    }
    with s3(object_lock_server, "admin") as client:
        client.put_object_lock_configuration(
            Bucket=careless.bucket, ObjectLockConfiguration=default
        )
        result = probed(careless)
        after = client.get_object_lock_configuration(Bucket=careless.bucket)
    assert result.verdict == "breached"
    (worked,) = [attempt for attempt in result.attempts if attempt.ok is False]
    assert worked.action == "writer: remove the bucket's lock configuration"
    assert worked.observed == "accepted"
    assert after["ObjectLockConfiguration"] == default


@pytest.mark.parametrize("versioning", [True, False])
def test_a_bucket_without_a_lock_is_a_breach(
    object_lock_server: ObjectLockServer, versioning: bool
) -> None:
    plain = new_vault(object_lock_server, lock=False, versioning=versioning)
    result = probed(plain)
    assert result.verdict == "breached"
    assert [attempt.observed for attempt in result.attempts] == ["no versioning or no Object Lock"]


def test_a_server_that_forgets_the_lock_is_a_breach(
    object_lock_server: ObjectLockServer, vault: BucketSettings
) -> None:
    unlock = unlocking(object_lock_server)

    def script(seen: Seen) -> Fault | None:
        return unlock if "x-amz-object-lock-mode" in seen.headers else None

    with FaultyNetwork(object_lock_server.endpoint, script) as network:
        result = probed(replace(vault, endpoint=network.endpoint))
    assert result.verdict == "breached"
    assert result.attempts[-1].observed == "stored without the lock"


def test_a_server_that_says_it_deleted_the_canary_is_a_breach(
    object_lock_server: ObjectLockServer, vault: BucketSettings
) -> None:
    def script(seen: Seen) -> Fault | None:
        return Answer(204, "") if seen.method == "DELETE" else None

    with FaultyNetwork(object_lock_server.endpoint, script) as network:
        result = probed(replace(vault, endpoint=network.endpoint))
    assert result.verdict == "breached"


@pytest.mark.parametrize(
    "fault", [HangUp(), Answer(500, "InternalError"), Answer(403, "ExpiredToken")]
)
def test_a_failure_at_any_request_is_never_taken_for_held(
    object_lock_server: ObjectLockServer, vault: BucketSettings, fault: Fault
) -> None:
    with FaultyNetwork(object_lock_server.endpoint) as network:
        settings = replace(vault, endpoint=network.endpoint, attempts=1)
        with Bucket(settings, SystemClock()) as bucket:
            assert bucket.probe().verdict == "held"
            requests = len(network.seen) - 1  # the last one only lists earlier canaries
            assert requests > 12
            for first in range(requests):
                network.seen.clear()
                network.script = lambda seen, first=first: fault if seen.number >= first else None
                assert bucket.probe().verdict == "inconclusive", first


def test_wrong_keys_and_a_missing_bucket_prove_nothing(vault: BucketSettings) -> None:
    for settings in (
        replace(vault, secret_key=Secret("wrong")),
        replace(vault, bucket="no-such-bucket"),
        replace(vault, endpoint="http://127.0.0.1:9"),
    ):
        assert probed(settings).verdict == "inconclusive"


def test_a_sweeper_that_is_not_known_proves_nothing(vault: BucketSettings) -> None:
    assert probed(replace(vault, sweeper=("NOBODY", Secret("x")))).verdict == "inconclusive"


def test_earlier_canaries_are_removed_when_their_lock_has_ended(
    object_lock_server: ObjectLockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for lock_s in (3, 15, 60):  # longer where two probes take longer
        vault = new_vault(object_lock_server)
        monkeypatch.setattr(probe, "CANARY_LOCK", timedelta(seconds=lock_s))
        first, second = probed(vault), probed(vault)
        if first.retain_until is not None and datetime.now(UTC) < first.retain_until:
            break
    assert second.verdict == "held"
    assert second.remaining == 2
    assert first.retain_until is not None
    assert second.retain_until is not None
    time.sleep(max(0.0, (second.retain_until - datetime.now(UTC)).total_seconds()) + 0.2)
    third = probed(vault)
    assert third.verdict == "held", third.attempts
    assert (third.swept, third.remaining) == (2, 1)
