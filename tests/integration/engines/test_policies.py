"""The shipped bucket policies, on a real server: every denial and every allowance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from deploy.policies.merge import ROLES, merged
from tests.support.object_lock import new_vault, s3, shipped_policy, wait_until


@dataclass
class Scene:
    """A bucket with the policies, one locked and one unlocked object that the writer put."""

    bucket: str
    locked: str
    unlocked: str
    clients: dict[str, Any]


@pytest.fixture(scope="module")
def scene(object_lock_server: ObjectLockServer) -> Iterator[Scene]:
    bucket = new_vault(object_lock_server).bucket
    opened = {user: s3(object_lock_server, user) for user in ("admin", "writer", "reader")}
    clients = {user: one.client for user, one in opened.items()}
    put = clients["writer"].put_object
    locked = put(
        Bucket=bucket,
        Key="locked",
        Body=b"x",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate=in_a(hours=1),
    )
    unlocked = put(Bucket=bucket, Key="unlocked", Body=b"x")
    yield Scene(bucket, locked["VersionId"], unlocked["VersionId"], clients)
    for one in opened.values():
        one.__exit__()


def in_a(**period: float) -> datetime:
    return datetime.now(UTC) + timedelta(**period)


def until(mode: str = "COMPLIANCE", **period: float) -> dict[str, Any]:
    return {"Mode": mode, "RetainUntilDate": in_a(**period)}


Attempt = Callable[[Scene, Any], Any]


def on_object(operation: str, **arguments: Any) -> Attempt:
    def attempt(scene: Scene, client: Any) -> Any:
        known = {"LOCKED": scene.locked, "UNLOCKED": scene.unlocked}

        def given(value: Any) -> Any:
            if callable(value):  # a period runs from the attempt; this file was read long before
                return value()
            return known.get(value, value) if isinstance(value, str) else value

        values = {name: given(value) for name, value in arguments.items()}
        return getattr(client, operation)(Bucket=scene.bucket, **values)

    return attempt


LOCKED = {"Key": "locked", "VersionId": "LOCKED"}
UNLOCKED = {"Key": "unlocked", "VersionId": "UNLOCKED"}
RULE = {
    "ID": "x",
    "Status": "Enabled",
    "Prefix": "",
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
}
DEFAULT = {
    "ObjectLockEnabled": "Enabled",
    "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
}

OBJECT_CHANGES: dict[str, Attempt] = {
    "hide": on_object("delete_object", Key="unlocked"),
    "delete unlocked version": on_object("delete_object", **UNLOCKED),
    "delete locked version": on_object("delete_object", **LOCKED),
    "delete by bypass": on_object("delete_object", **LOCKED, BypassGovernanceRetention=True),
    "legal hold": on_object("put_object_legal_hold", **UNLOCKED, LegalHold={"Status": "ON"}),
    "object acl": on_object("put_object_acl", Key="unlocked", ACL="public-read"),
    "version acl": on_object("put_object_acl", **UNLOCKED, ACL="public-read"),
}
LOCK_CHANGES: dict[str, Attempt] = {
    "shorten": on_object("put_object_retention", **LOCKED, Retention=lambda: until(minutes=5)),
    "shorten by bypass": on_object(
        "put_object_retention",
        **LOCKED,
        Retention=lambda: until(minutes=5),
        BypassGovernanceRetention=True,
    ),
    "downgrade": on_object(
        "put_object_retention", **LOCKED, Retention=lambda: until("GOVERNANCE", hours=30)
    ),
    "downgrade by bypass": on_object(
        "put_object_retention",
        **LOCKED,
        Retention=lambda: until("GOVERNANCE", hours=30),
        BypassGovernanceRetention=True,
    ),
}
BUCKET_CHANGES: dict[str, Attempt] = {
    "lock configuration": on_object(
        "put_object_lock_configuration", ObjectLockConfiguration=DEFAULT
    ),
    "versioning": on_object("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}),
    "life cycle": on_object(
        "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [RULE]}
    ),
    "no life cycle": on_object("delete_bucket_lifecycle"),
    "policy": on_object(
        "put_bucket_policy", Policy=json.dumps({"Version": "2012-10-17", "Statement": []})
    ),
    "no policy": on_object("delete_bucket_policy"),
    "bucket acl": on_object("put_bucket_acl", ACL="public-read"),
    "public access": on_object(
        "put_public_access_block", PublicAccessBlockConfiguration={"IgnorePublicAcls": False}
    ),
    "delete bucket": on_object("delete_bucket"),
}
READS: dict[str, Attempt] = {
    "get": on_object("get_object", Key="locked"),
    "get version": on_object("get_object", **LOCKED),
    "list": on_object("list_objects_v2"),
    "list versions": on_object("list_object_versions"),
    "retention": on_object("get_object_retention", **LOCKED),
    "bucket versioning": on_object("get_bucket_versioning"),
    "bucket lock": on_object("get_object_lock_configuration"),
    "bucket location": on_object("get_bucket_location"),
}
NEW = on_object("put_object", Key="new", Body=b"new")
NEW_LOCKED = on_object(
    "put_object",
    Key="new",
    Body=b"new",
    ObjectLockMode="COMPLIANCE",
    ObjectLockRetainUntilDate=in_a(hours=1),
)
LENGTHEN = on_object("put_object_retention", **LOCKED, Retention=lambda: until(hours=2))


def answer(scene: Scene, user: str, attempt: Attempt) -> str:
    try:
        reply = attempt(scene, scene.clients[user])
    except botocore.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
    if "Body" in reply:
        reply["Body"].close()
    return "accepted"


@pytest.mark.parametrize("action", [*OBJECT_CHANGES, *LOCK_CHANGES, *BUCKET_CHANGES])
def test_the_writer_is_denied(scene: Scene, action: str) -> None:
    attempt = {**OBJECT_CHANGES, **LOCK_CHANGES, **BUCKET_CHANGES}[action]
    assert answer(scene, "writer", attempt) == "AccessDenied"


@pytest.mark.parametrize("action", READS)
@pytest.mark.parametrize("user", ["writer", "reader", "admin"])
def test_all_three_may_read_and_list(scene: Scene, user: str, action: str) -> None:
    assert answer(scene, user, READS[action]) == "accepted"


def test_the_writer_may_put_lock_and_lengthen(scene: Scene) -> None:
    assert answer(scene, "writer", NEW) == "accepted"
    assert answer(scene, "writer", NEW_LOCKED) == "accepted"
    assert answer(scene, "writer", LENGTHEN) == "accepted"


@pytest.mark.parametrize(
    "action", [*OBJECT_CHANGES, *LOCK_CHANGES, *BUCKET_CHANGES, "put", "extend"]
)
def test_the_reader_is_denied_every_change(scene: Scene, action: str) -> None:
    changes = {**OBJECT_CHANGES, **LOCK_CHANGES, **BUCKET_CHANGES, "put": NEW, "extend": LENGTHEN}
    assert answer(scene, "reader", changes[action]) == "AccessDenied"


@pytest.mark.parametrize(
    "action",
    [
        "delete locked version",
        "delete by bypass",
        "legal hold",
        "object acl",
        "version acl",
        *LOCK_CHANGES,
        "bucket acl",
        "delete bucket",
    ],
)
def test_the_lock_administrator_may_not_bypass(scene: Scene, action: str) -> None:
    attempt = {**OBJECT_CHANGES, **LOCK_CHANGES, **BUCKET_CHANGES}[action]
    assert answer(scene, "admin", attempt) == "AccessDenied"


def test_the_lock_administrator_may_not_bypass_a_governance_lock(scene: Scene) -> None:
    put = scene.clients["writer"].put_object(
        Bucket=scene.bucket,
        Key="governed",
        Body=b"x",
        ObjectLockMode="GOVERNANCE",
        ObjectLockRetainUntilDate=in_a(hours=1),
    )
    version = {"Key": "governed", "VersionId": put["VersionId"]}
    by_bypass = on_object("delete_object", **version, BypassGovernanceRetention=True)
    assert answer(scene, "admin", by_bypass) == "AccessDenied"
    assert answer(scene, "writer", by_bypass) == "AccessDenied"


def test_the_lock_administrator_may_lengthen_the_writers_locks(scene: Scene) -> None:
    lengthen = on_object("put_object_retention", **LOCKED, Retention=lambda: until(hours=3))
    assert answer(scene, "admin", lengthen) == "accepted"


def test_the_lock_administrator_may_remove_a_version_when_its_lock_has_ended(scene: Scene) -> None:
    for lock_s in (2, 10, 40):  # longer where the first question comes late
        put = scene.clients["writer"].put_object(
            Bucket=scene.bucket,
            Key="short",
            Body=b"x",
            ObjectLockMode="COMPLIANCE",
            ObjectLockRetainUntilDate=in_a(seconds=lock_s),
        )
        remove = on_object("delete_object", Key="short", VersionId=put["VersionId"])
        asked = answer(scene, "admin", remove)
        if asked != "accepted":
            break
    assert asked == "AccessDenied"
    wait_until(lambda: answer(scene, "admin", remove) == "accepted")


def test_an_ignored_public_acl_opens_nothing(
    scene: Scene, object_lock_server: ObjectLockServer
) -> None:
    scene.clients["admin"].put_public_access_block(
        Bucket=scene.bucket,
        PublicAccessBlockConfiguration={"IgnorePublicAcls": True, "BlockPublicPolicy": True},
    )
    public = on_object("put_object", Key="public", Body=b"x", ACL="public-read")
    assert answer(scene, "writer", public) == "accepted"
    with (
        s3(object_lock_server, None) as anybody,
        pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"),
    ):
        anybody.get_object(Bucket=scene.bucket, Key="public")


def test_every_denial_stands_in_the_policy_and_not_only_in_the_servers_defaults(
    object_lock_server: ObjectLockServer,
) -> None:
    policy = shipped_policy(object_lock_server, "b")
    denied = {
        action
        for statement in policy["Statement"]
        if statement["Effect"] == "Deny" and statement["Sid"].startswith("Writer")
        for action in statement["Action"]
    }
    assert denied >= {
        "s3:BypassGovernanceRetention",
        "s3:DeleteBucket",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketPolicy",
        "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration",
        "s3:PutObjectAcl",
        "s3:PutObjectLegalHold",
        "s3:PutObjectVersionAcl",
    }


def test_no_placeholder_is_left_in_a_merged_policy() -> None:
    text = json.dumps(merged("my-vault", {role: f"arn:aws:iam:::user/{role}" for role in ROLES}))
    assert "BUCKET" not in text
    assert "_ARN" not in text
    assert "my-vault/*" in text
