"""The tests' Object Lock server: a real Ceph RGW per session, buckets in it, and a faulty network.

Import the fixtures into a ``conftest.py``. A bucket is never emptied (it is locked): it goes with
the server at the end of the session.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import botocore.session
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from deploy.lab.object_lock_server import ObjectLockServer
from deploy.policies.merge import merged
from orchestrator.clock import SystemClock
from orchestrator.engines.bucket.bucket import Bucket
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.keys.secret import Secret
from tests.support.faulty_network import Unlock

_numbers = itertools.count(1)
_session = botocore.session.Session()


_SERVERS = pytest.StashKey[dict[bool, ObjectLockServer]]()


@pytest.fixture(scope="session")
def object_lock_server(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> ObjectLockServer:
    return _server(tmp_path_factory, pytestconfig, tls=False)


@pytest.fixture(scope="session")
def object_lock_server_tls(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> ObjectLockServer:
    return _server(tmp_path_factory, pytestconfig, tls=True)


def _server(
    folders: pytest.TempPathFactory, config: pytest.Config, *, tls: bool
) -> ObjectLockServer:
    """Return the session's server: a fixture that many ``conftest.py`` import is many fixtures."""
    servers = config.stash.setdefault(_SERVERS, {})
    if tls not in servers:
        folder = folders.mktemp("rgw-tls" if tls else "rgw") / "lab"
        servers[tls] = ObjectLockServer(folder, tls=tls, lifetime_s=4 * 3600).start()
        config.add_cleanup(servers[tls].stop)
    return servers[tls]


@pytest.fixture
def vault(object_lock_server: ObjectLockServer) -> BucketSettings:
    """A new locked bucket with the shipped policies, as the writer and with a sweeper."""
    return new_vault(object_lock_server)


@pytest.fixture
def bucket(vault: BucketSettings) -> Iterator[Bucket]:
    with Bucket(vault, SystemClock()) as opened:
        yield opened


def new_vault(
    server: ObjectLockServer, *, lock: bool = True, policy: bool = True, versioning: bool = False
) -> BucketSettings:
    """Create a bucket owned by ``admin`` and return how the writer speaks to it.

    Args:
        server: Where.
        lock: With Object Lock.
        policy: With the shipped policies; else the writer may do anything.
        versioning: Switch versioning on where there is no lock.
    """
    name = f"vault-{next(_numbers)}"
    with s3(server, "admin") as client:
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        if versioning:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        document = shipped_policy(server, name) if policy else open_policy(server, name)
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(document))
    return settings_for(server, name)


def settings_for(
    server: ObjectLockServer, bucket: str, user: str = "writer", **changes: Any
) -> BucketSettings:
    """Return settings with impatient time-outs, for `user` and with ``admin`` as the sweeper."""
    keys, admin = server.credentials[user], server.credentials["admin"]
    settings = BucketSettings(
        copy="vault",
        endpoint=server.endpoint,
        region="us-east-1",
        bucket=bucket,
        prefix="xrays",
        lock_period=timedelta(days=35),
        access_key=keys["access_key"],
        secret_key=Secret(keys["secret_key"]),
        ca_file=server.ca_file,
        sweeper=(admin["access_key"], Secret(admin["secret_key"])),
        connect_timeout_s=2.0,
        read_timeout_s=20.0,
        attempts=3,
        backoff_s=0.01,
    )
    return dataclasses.replace(settings, **changes)


def shipped_policy(server: ObjectLockServer, bucket: str) -> dict[str, Any]:
    arns = {user: keys["arn"] for user, keys in server.credentials.items()}
    roles = {"writer": "writer", "reader": "reader", "lock-administrator": "admin"}
    return merged(bucket, {role: arns[user] for role, user in roles.items()})


def open_policy(server: ObjectLockServer, bucket: str) -> dict[str, Any]:
    """A policy as careless sites have it: the writer (and the owner) may do anything."""
    arns = [server.credentials[user]["arn"] for user in ("writer", "admin")]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": arns},
        "Action": ["s3:*"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


class s3:
    """A plain client as one of the server's users, closed at the end of a ``with``."""

    def __init__(self, server: ObjectLockServer, user: str | None) -> None:
        keys = server.credentials[user] if user else {}
        unsigned = botocore.UNSIGNED if user is None else "s3v4"
        self.client = _session.create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=server.endpoint,
            aws_access_key_id=keys.get("access_key"),
            aws_secret_access_key=keys.get("secret_key"),
            verify=str(server.ca_file) if server.ca_file else None,
            config=Config(
                signature_version=unsigned,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
            ),
        )

    def __enter__(self) -> Any:
        return self.client

    def __exit__(self, *exception: object) -> None:
        self.client.close()


def wait_until(instant_reached: Any, limit_s: float = 120.0) -> None:
    """Wait for something to become true; the limit only guards against hanging."""
    end = time.monotonic() + limit_s
    while not instant_reached():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def unlocking(server: ObjectLockServer, user: str = "writer") -> Unlock:
    """A server that forgets the locks asked for: the proxy strips them and signs again."""
    keys = server.credentials[user]
    signer = S3SigV4Auth(Credentials(keys["access_key"], keys["secret_key"]), "s3", "us-east-1")

    def sign(method: str, path: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in headers.items()
            if not name.lower().startswith(("x-amz-object-lock", "authorization", "x-amz-date"))
        }
        url = f"http://{headers['Host']}{path}"
        request = AWSRequest(method=method, url=url, data=body, headers=kept)
        signer.add_auth(request)
        return dict(request.headers.items())

    return Unlock(sign)
