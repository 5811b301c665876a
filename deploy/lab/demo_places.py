"""The throw-away parts of the demo: a medium, a bucket on a real server, a disk to be emptied.

Each is a context manager that takes down what it made and nothing else. What this machine does
not allow is said, and the demo goes on without it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.lab import site_copies
from deploy.lab.object_lock_server import LabError, ObjectLockServer, installed
from deploy.policies.merge import merged

BUCKET = "demo-vault"
MEDIUM_MIB = 512
OLD_DISK_MIB = 64


@contextmanager
def medium(image: Path, mount_point: Path) -> Iterator[bool]:
    """A file system of its own on a loop device; a plain folder where that is not allowed.

    Args:
        image: File to make the file system in.
        mount_point: Where it is mounted while the context lasts.
    """
    mount_point.mkdir(parents=True)
    with image.open("wb") as stream:
        stream.truncate(MEDIUM_MIB << 20)
    mounted = (
        os.geteuid() == 0
        and quietly("mkfs.ext4", "-q", "-F", str(image))
        and quietly("mount", "-o", "loop", str(image), str(mount_point))
    )
    try:
        yield mounted
    finally:
        unmount(mount_point)


def connect(image: Path, mount_point: Path) -> bool:
    """Mount a medium that was released, as its owner would plug it in; say whether it is there."""
    return os.path.ismount(mount_point) or quietly(
        "mount", "-o", "loop", str(image), str(mount_point)
    )


def unmount(mount_point: Path) -> None:
    """Take down what an earlier demo may have left mounted, and only that."""
    if os.path.ismount(mount_point):
        quietly("umount", str(mount_point))


@contextmanager
def old_disk(image: Path) -> Iterator[str | None]:
    """A loop device full of old data, to be sanitized; None where that is not allowed.

    Args:
        image: File behind the device; removed in the end.
    """
    device = None
    if os.geteuid() == 0:
        image.write_bytes(os.urandom(OLD_DISK_MIB << 20))
        device = _attached(image)
    try:
        yield device
    finally:
        if device is not None:
            quietly("losetup", "--detach", device)
        image.unlink(missing_ok=True)


def _attached(image: Path) -> str | None:
    try:
        done = subprocess.run(
            ["losetup", "--find", "--show", str(image)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


@contextmanager
def object_lock_server(folder: Path) -> Iterator[ObjectLockServer | None]:
    """A real Object Lock server with a bucket, or None where Ceph cannot be had."""
    if not installed():
        print("Ceph is not on this machine: the demo goes on without the immutable copy.")
        yield None
        return
    server = ObjectLockServer(folder, lifetime_s=900)
    try:
        server.start()
    except LabError as error:
        print(f"The Object Lock server does not start ({error}): the demo goes on without it.")
        yield None
        return
    try:
        _make_bucket(server)
        yield server
    finally:
        server.stop()


def _make_bucket(server: ObjectLockServer) -> None:
    """What the storage's administrator does once: a bucket with Object Lock, and its policy."""
    import boto3
    from botocore.config import Config

    admin = server.credentials["admin"]
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=admin["access_key"],
        aws_secret_access_key=admin["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    arns = {
        "writer": server.credentials["writer"]["arn"],
        "lock-administrator": server.credentials["admin"]["arn"],
    }
    client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(merged(BUCKET, arns)))
    client.close()


def credentials(server: ObjectLockServer) -> dict[str, str]:
    """Return the environment in which the site file finds the bucket's keys."""
    found = {}
    for role, user in (("VAULT", "writer"), ("SWEEP", "admin")):
        keys = server.credentials[user]
        found[f"{role}_ACCESS_KEY"] = keys["access_key"]
        found[f"{role}_SECRET_KEY"] = keys["secret_key"]
    return found


def add_copies(site_file: Path, media: Path, server: ObjectLockServer | None) -> None:
    """Write the two other copies into the site file, as a person would with an editor."""
    text = site_file.read_text(encoding="utf-8")
    text += site_copies.rotation(media)
    if server is not None:
        text += site_copies.vault(server.endpoint, BUCKET) + site_copies.SWEEPER
    site_file.write_text(text, encoding="utf-8")


def quietly(*argv: str) -> bool:
    """Run a program without its words; say whether it succeeded."""
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
