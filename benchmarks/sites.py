"""Sites to measure: made by the installed command line, with a real medium and a real bucket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.lab import site_copies
from deploy.lab.object_lock_server import ObjectLockServer
from deploy.policies.merge import merged

ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")
PROJECT = Path(__file__).resolve().parents[1]
BUCKET = "bench"
MEDIUM_GIB = 12
SERVER_LIFETIME_S = 3600


class Site:
    """A site in a folder of its own, and the environment its commands run in.

    Args:
        folder: Where it is made; must not exist.
        images: The store's folder.
    """

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder = folder
        self.images = images
        self.file = folder / "site.toml"
        self.env = environment()

    @property
    def primary(self) -> Path:
        """The folder of the store's repository in the primary copy."""
        return next(path.parent for path in self.folder.rglob("config") if path.is_file())

    def make(self) -> Site:
        self.run("init", str(self.folder), "--store", str(self.images))
        return self

    def add_copies(self, search: Path | None, server: ObjectLockServer | None) -> None:
        """Add an offline copy whose media appear below `search`, and a bucket."""
        text = self.file.read_text(encoding="utf-8")
        if search is not None:
            text += site_copies.rotation(search)
        if server is not None:
            make_bucket(server, BUCKET)
            keys = server.credentials["writer"]
            self.env["VAULT_ACCESS_KEY"] = keys["access_key"]
            self.env["VAULT_SECRET_KEY"] = keys["secret_key"]
            text += site_copies.vault(server.endpoint, BUCKET)
        self.file.write_text(text, encoding="utf-8")
        self.run("init", str(self.folder))
        if search is not None:
            medium = next(path for path in search.iterdir() if path.is_dir())
            self.run("--as", "it", "medium", "add", "rotation", str(medium), "--label", "red")

    def argv(self, *words: str) -> list[str | Path]:
        return [ORCHESTRATOR, "--site", self.file, *words]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            self.argv(*words), env=self.env, check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"orchestrator {words[0]}: {done.returncode}: {done.stderr}")
        return done.stdout


def environment() -> dict[str, str]:
    """Our environment with the project's restic on PATH, and nothing set for another restic."""
    found = sorted((PROJECT / ".tools").glob("restic-*/usr/bin/restic"), reverse=True)
    path = os.pathsep.join([*(str(one.parent) for one in found), os.environ["PATH"]])
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RESTIC_", "AWS_", "BORG_"))}
    return {**env, "PATH": path}


def make_bucket(server: ObjectLockServer, name: str, *, locked: bool = True) -> None:
    """What the storage's administrator does once: a bucket for the writer, and its policy."""
    import boto3
    from botocore.config import Config

    admin = server.credentials["admin" if locked else "writer"]
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=admin["access_key"],
        aws_secret_access_key=admin["secret_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
    if locked:
        arns = {
            "writer": server.credentials["writer"]["arn"],
            "lock-administrator": server.credentials["admin"]["arn"],
        }
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(merged(name, arns)))
    client.close()


@contextmanager
def medium(folder: Path) -> Iterator[Path]:
    """Mount a new file system on a loop device; yields the folder to search for media."""
    search, image = folder / "media", folder / "medium.img"
    mount_point = search / "red"
    mount_point.mkdir(parents=True)
    with image.open("wb") as stream:
        stream.truncate(MEDIUM_GIB << 30)
    # Nothing is left to a kernel thread that would work during the measurement.
    full = "lazy_itable_init=0,lazy_journal_init=0"
    _do("mkfs.ext4", "-q", "-F", "-T", "largefile", "-E", full, str(image))
    _do("mount", "-o", "loop", str(image), str(mount_point))
    try:
        yield search
    finally:
        _do("umount", str(mount_point))
        image.unlink()


@contextmanager
def server(folder: Path) -> Iterator[ObjectLockServer]:
    """Start a new Object Lock server; what it held is gone at the end."""
    with ObjectLockServer(folder, lifetime_s=SERVER_LIFETIME_S) as started:
        yield started


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give an empty folder, and remove it at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _do(*argv: str, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(argv, env=env, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]}: {done.returncode}: {done.stderr}")
