#!/usr/bin/env python3
"""The nightly 3-2-1 on sample images, from an empty folder to three copies that are each proven.

Does what an administrator would do, with the commands an administrator would type; only the
images, the bucket's server and the medium are throw-away. Leaves ``demo-site/`` to look at and
nothing running; can be run again.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from deploy.lab import sample_store  # noqa: E402
from deploy.lab.object_lock_server import LabError, ObjectLockServer, installed  # noqa: E402
from deploy.policies.merge import merged  # noqa: E402

HERE = PROJECT / "demo-site"
IMAGES = HERE / "images"
SITE = HERE / "site"
MEDIUM = HERE / "media" / "red"
BUCKET = "demo-vault"
MEDIUM_MIB = 512

COLOUR = sys.stdout.isatty()


class Failed(Exception):
    """A step of the demo did not do what it must."""


def tell(text: str) -> None:
    start, end = ("\x1b[1;36m", "\x1b[0m") if COLOUR else ("", "")
    print(f"\n{start}== {text}{end}", flush=True)


class Orchestrator:
    """The command line, as typed by hand."""

    def __init__(self) -> None:
        self.env = {**os.environ, "ORCHESTRATOR_SITE": str(SITE / "site.toml")}
        self._program = str(Path(sys.executable).with_name("orchestrator"))

    def __call__(self, *words: str, expect: tuple[int, ...] = (0,)) -> None:
        print(f"$ orchestrator {' '.join(words)}", flush=True)
        done = subprocess.run([self._program, *words], env=self.env, check=False)
        code = done.returncode
        print(flush=True)
        if code not in expect:
            raise Failed(f"`orchestrator {' '.join(words)}` ended with exit code {code}")

    def ask(self, *words: str) -> dict[str, object]:
        done = subprocess.run(
            [self._program, "--json", *words], env=self.env, check=True, capture_output=True
        )
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


@contextmanager
def medium() -> Iterator[bool]:
    """A file system of its own on a loop device; a plain folder where that is not allowed."""
    MEDIUM.mkdir(parents=True)
    image = HERE / "medium.img"
    with image.open("wb") as stream:
        stream.truncate(MEDIUM_MIB << 20)
    mounted = (
        os.geteuid() == 0
        and _quiet("mkfs.ext4", "-q", "-F", str(image))
        and _quiet("mount", "-o", "loop", str(image), str(MEDIUM))
    )
    try:
        yield mounted
    finally:
        if os.path.ismount(MEDIUM):
            _quiet("umount", str(MEDIUM))


def _quiet(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def object_lock_server() -> Iterator[ObjectLockServer | None]:
    """A real Object Lock server, or None where Ceph cannot be had."""
    if not installed():
        print("Ceph is not on this machine: the demo goes on without the immutable copy.")
        yield None
        return
    server = ObjectLockServer(HERE / "server", lifetime_s=900)
    try:
        server.start()
    except LabError as error:
        print(f"The Object Lock server does not start ({error}): the demo goes on without it.")
        yield None
        return
    try:
        yield server
    finally:
        server.stop()


def make_bucket(server: ObjectLockServer) -> None:
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


def add_copies(server: ObjectLockServer | None) -> None:
    """Write the two other copies into the site file, as a person would with an editor."""
    text = (SITE / "site.toml").read_text(encoding="utf-8")
    text += f"""
[copies.rotation]
role = "offline"
search = [{json.dumps(str(MEDIUM.parent))}]
due_every = "7d"
"""
    if server is not None:
        text += f"""
[copies.vault]
role = "immutable"
endpoint = {json.dumps(server.endpoint)}
region = "us-east-1"
bucket = "{BUCKET}"
lock_period = "35d"
access_key = {{ env = "VAULT_ACCESS_KEY" }}
secret_key = {{ env = "VAULT_SECRET_KEY" }}

[copies.vault.sweeper]
access_key = {{ env = "SWEEP_ACCESS_KEY" }}
secret_key = {{ env = "SWEEP_SECRET_KEY" }}
"""
    (SITE / "site.toml").write_text(text, encoding="utf-8")


def restore_one_study(orchestrator: Orchestrator, copy: str) -> None:
    studies = orchestrator.ask("study", "list", "--limit", "1000")["studies"]
    assert isinstance(studies, list)
    largest = max(studies, key=lambda one: int(one["files"]))
    target = HERE / "restored"
    orchestrator(
        "restore", "xrays", "--copy", copy, "--study", largest["study"], "--to", str(target)
    )
    same = [p for p in target.rglob("*") if p.is_file()]
    for path in same:
        if not filecmp.cmp(path, IMAGES / path.relative_to(target), shallow=False):
            raise Failed("a restored file differs from the one in the imaging folder")
    if len(same) != int(largest["files"]):
        raise Failed(f"{len(same)} files came back instead of {largest['files']}")
    print(f"Compared with the imaging folder byte by byte: {len(same)} files, all identical.")


def main() -> int:
    started = time.monotonic()
    if os.path.ismount(MEDIUM):
        _quiet("umount", str(MEDIUM))
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    orchestrator = Orchestrator()
    with ExitStack() as stack:
        tell("An imaging folder with real DICOM files, an offline medium, a bucket's server")
        counts = sample_store.build(IMAGES)
        print(f"images: {counts}")
        has_medium = stack.enter_context(medium())
        print(
            "medium: a file system of its own on a loop device"
            if has_medium
            else "medium: a plain folder, for loop devices are not allowed here: it will not count"
        )
        server = stack.enter_context(object_lock_server())
        if server is not None:
            make_bucket(server)
            for role, user in (("VAULT", "writer"), ("SWEEP", "admin")):
                keys = server.credentials[user]
                orchestrator.env[f"{role}_ACCESS_KEY"] = keys["access_key"]
                orchestrator.env[f"{role}_SECRET_KEY"] = keys["secret_key"]
            print("server: Ceph RGW with Object Lock, in memory, on the loopback interface")

        tell("A new site")
        orchestrator("init", str(SITE), "--store", str(IMAGES), "--name", "Demo Dental")
        add_copies(server)
        orchestrator("init", str(SITE))
        plain = [] if has_medium else ["--plain-folder"]
        orchestrator(
            "--as", "it", "medium", "add", "rotation", str(MEDIUM), "--label", "red", *plain
        )

        tell("The first night: everything is new")
        orchestrator("backup")
        tell("The second night: a few new images")
        sample_store.build(IMAGES, part="later")
        orchestrator("backup")

        tell("Every byte of every copy is read again and compared")
        orchestrator("check")
        if server is not None:
            tell("Would the bucket let a thief with the nightly credential destroy anything?")
            orchestrator("bucket", "probe", "vault")
            orchestrator("bucket", "coverage", "vault")
        tell("One study comes back")
        restore_one_study(orchestrator, "vault" if server is not None else "rotation")
        tell("The medium goes into the safe")
        orchestrator("--as", "it", "medium", "release", "rotation", "--location", "bank safe")

        tell("Where does the practice stand?")
        orchestrator("status")
        verdict = orchestrator.ask("status")["stores"][0]["verdict"]  # type: ignore[index]
    explain(
        verdict,
        time.monotonic() - started,
        has_bucket=server is not None,
        has_medium=has_medium,
    )
    return 0 if verdict == "met" or server is None or not has_medium else 1


def explain(verdict: str, seconds: float, *, has_bucket: bool, has_medium: bool) -> None:
    tell("What just happened")
    bucket = " and into the bucket, where nobody can delete them for 35 days" if has_bucket else ""
    print(
        f"""The images were read once, encrypted, and stored on the local disk; the same bytes
went to the offline medium{bucket}.
Every copy was then verified on its own, and one study was restored and compared.
3-2-1 is: {verdict}."""
    )
    if not has_bucket:
        print("There is no immutable copy: install Ceph (radosgw ceph-mon ceph-osd) to see it.")
    if not has_medium:
        print("The medium was a plain folder: run this as root to see a separate one.")
    print(
        f"""
Look at  {SITE / "site.toml"}
         {SITE / "state/recovery-kit/recovery-kit.html"}   (open it in a browser)
         {HERE / "restored"}
The bucket's server is stopped and its memory gone, the medium is unmounted: nothing is running.
It took {seconds:.0f} seconds."""
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failed as failure:
        print(f"\ndemo failed: {failure}", file=sys.stderr)
        sys.exit(1)
