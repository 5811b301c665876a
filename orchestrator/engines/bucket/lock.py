"""Object Lock: what the bucket promises, a version's retention, its extension and its end.

The only module that reads or changes retention; knows nothing of repositories or of which file is
still needed. Only COMPLIANCE counts: a GOVERNANCE lock can be lifted by whoever may bypass it.

Source: Amazon S3 User Guide, "Locking objects with Object Lock" (retention modes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.engines.bucket.door import Door
from orchestrator.engines.bucket.faults import code_of, server_time
from orchestrator.engines.bucket.versions import VersionFact
from orchestrator.errors import CredentialError, EngineError, NotFoundError, RefusedError

MODE = "COMPLIANCE"
_NO_LOCK = frozenset({"ObjectLockConfigurationNotFoundError", "ObjectLockConfigurationNotFound"})
_NO_RETENTION = frozenset({"NoSuchObjectLockConfiguration", *_NO_LOCK})


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """What a bucket gives to objects that ask for nothing.

    Attributes:
        mode: ``COMPLIANCE`` or ``GOVERNANCE``.
        period: How long; a year counts 365 days.
    """

    mode: str
    period: timedelta


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """What a bucket says of itself.

    Attributes:
        exists: There is such a bucket, and this credential may look at it.
        versioning: Versioning is on.
        lock_enabled: Object Lock is on.
        default_retention: The bucket's default; None if it has none.
        server_time: The server's clock, aware UTC, in whole seconds; None if it did not say.
        skew: The server's clock minus ours, good to about a second; None if it did not say.
    """

    exists: bool
    versioning: bool
    lock_enabled: bool
    default_retention: DefaultRetention | None
    server_time: datetime | None
    skew: timedelta | None


def bucket_facts(door: Door) -> BucketFacts:
    """Ask the bucket what it is.

    Raises:
        OrchestratorError: As `Door.call`, but for a missing bucket, which is a fact.
    """
    try:
        answer = door.call("get_bucket_versioning", "look at the bucket's versioning")
    except NotFoundError as error:
        response = getattr(error.__cause__, "response", {})
        there, skew = _clocks(door, response)
        return BucketFacts(False, False, False, None, there, skew)
    there, skew = _clocks(door, answer)
    versioning = answer.get("Status") == "Enabled"
    locked, default = False, None
    try:
        answer = door.call("get_object_lock_configuration", "look at the bucket's lock")
        configuration = answer.get("ObjectLockConfiguration", {})
        locked = configuration.get("ObjectLockEnabled") == "Enabled"
        default = _default(configuration)
    except (EngineError, NotFoundError) as error:
        if code_of(error) not in _NO_LOCK:
            raise
    return BucketFacts(True, versioning, locked, default, there, skew)


def create_bucket(door: Door) -> BucketFacts:
    """Create the bucket with Object Lock, or accept one that has it.

    Raises:
        RefusedError: A bucket of this name exists without Object Lock or versioning.
        OrchestratorError: As `Door.call`.
    """
    settings = door.settings
    facts = bucket_facts(door)
    if not facts.exists:
        arguments: dict[str, Any] = {"ObjectLockEnabledForBucket": True}
        if settings.region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": settings.region}
        door.call("create_bucket", "creation of the bucket", **arguments)
        facts = bucket_facts(door)
    if not (facts.lock_enabled and facts.versioning):
        raise RefusedError(
            f"copy {settings.copy}: the bucket {settings.bucket} exists without Object Lock",
            hint="choose another bucket name: some servers cannot switch the lock on later",
        )
    return facts


def retain_until(now: datetime, period: timedelta) -> datetime:
    """Return the instant a lock of this period ends, in whole seconds, never earlier."""
    until = (now + period).astimezone(UTC)
    return until if not until.microsecond else until.replace(microsecond=0) + timedelta(seconds=1)


def held_until(answer: dict[str, Any]) -> datetime | None:
    """Return the end of the COMPLIANCE lock that a HEAD's or GET's answer tells of, if any."""
    until: datetime | None = answer.get("ObjectLockRetainUntilDate")
    if until is None or answer.get("ObjectLockMode") != MODE:
        return None
    return until.astimezone(UTC)


def read_retention(door: Door, key: str, version_id: str) -> datetime | None:
    """Return until when a version is locked; None if it is not, or not by COMPLIANCE.

    Raises:
        NotFoundError: There is no such version.
        OrchestratorError: As `Door.call`.
    """
    what = "look at the lock of an object"
    version = {"Key": key, "VersionId": version_id}
    try:
        # a HEAD's answer has no body: on a default Ceph RGW it takes 4 ms, the other 48
        until = held_until(door.call("head_object", what, **version))
    except (EngineError, CredentialError) as error:
        if code_of(error) is None:
            raise
        until = None  # refused, and without a body it cannot say why: the other can
    if until is not None:
        return until
    try:
        answer = door.call("get_object_retention", what, **version)
    except (EngineError, NotFoundError) as error:
        if code_of(error) in _NO_RETENTION:
            return None
        raise
    retention = answer.get("Retention", {})
    return held_until(
        {
            "ObjectLockMode": retention.get("Mode"),
            "ObjectLockRetainUntilDate": retention.get("RetainUntilDate"),
        }
    )


def lengthen(door: Door, key: str, version_id: str, until: datetime) -> datetime:
    """Lock a version at least until an instant, and read back what holds.

    Args:
        door: How to ask.
        key: Whole key.
        version_id: Which version.
        until: Aware instant; fractions of a second are rounded up.

    Returns:
        What the server says the lock is now; never earlier than asked.

    Raises:
        CredentialError: The credential may not, and the version is not locked that long.
        EngineError: The server took the request, and the version is still not locked that long.
        OrchestratorError: As `Door.call`.
    """
    wanted = retain_until(until, timedelta())
    refused: CredentialError | None = None
    try:
        door.call(
            "put_object_retention",
            "extension of the lock of an object",
            Key=key,
            VersionId=version_id,
            Retention={"Mode": MODE, "RetainUntilDate": wanted},
        )
    except CredentialError as error:
        refused = error  # so does a server answer that is asked to shorten: the lock is longer
    held = read_retention(door, key, version_id)
    if held is not None and held >= wanted:
        return held
    if refused is not None:
        raise refused
    raise EngineError(
        f"copy {door.settings.copy}: the server accepted a lock and does not hold it",
        hint=f"orchestrator bucket probe {door.settings.copy}",
    )


def remove_version(door: Door, version: VersionFact, now: datetime) -> None:
    """Remove one version whose lock has ended, or one delete marker.

    Args:
        door: The sweeper's way in.
        version: What to remove.
        now: The current instant.

    Raises:
        RefusedError: It is still locked.
        OrchestratorError: As `Door.call`.
    """
    copy = door.settings.copy
    if not version.is_marker:
        until = read_retention(door, version.key, version.version_id)
        if until is not None and until > now:
            raise RefusedError(f"copy {copy}: an object is locked until {until.isoformat()}")
    try:
        door.call(
            "delete_object",
            "removal of a version",
            Key=version.key,
            VersionId=version.version_id,
        )
    except CredentialError:
        if version.is_marker:
            raise
        until = read_retention(door, version.key, version.version_id)
        # the server's clock decides, and it may be behind ours
        if until is not None and until > now - timedelta(minutes=15):
            raise RefusedError(
                f"copy {copy}: an object is locked until {until.isoformat()}"
            ) from None
        raise


def _default(configuration: dict[str, Any]) -> DefaultRetention | None:
    rule = configuration.get("Rule", {}).get("DefaultRetention", {})
    days = int(rule.get("Days") or 0) + 365 * int(rule.get("Years") or 0)
    return DefaultRetention(str(rule.get("Mode", "")), timedelta(days=days)) if days else None


def _clocks(door: Door, response: dict[str, Any]) -> tuple[datetime | None, timedelta | None]:
    here, there = door.clock.now(), server_time(response)
    return there, (there - here if there is not None else None)
