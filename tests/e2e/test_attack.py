"""An attack with the writer's credential: everything comes back, and the alarm is raised."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions.site import key_file_path, keyring_path
from orchestrator.keys.keyring import Keyring
from tests.support.object_lock import open_policy, s3
from tests.support.restic import binaries, tree
from tests.support.site import STORE, LabSite, MakeSite, wait_for

NOISE = b"noise" * 400


def server_time(client: Any, bucket: str) -> datetime:
    """The server's own clock, which dates the versions, in whole seconds."""
    date = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]["date"]
    return datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)


class Attacker:
    """Somebody with the writer's key, on a site where nobody has narrowed what it may do."""

    def __init__(self, site: LabSite, server: ObjectLockServer) -> None:
        assert site.values.vault is not None
        self.bucket = site.values.vault.bucket
        self.prefix = f"{site.values.vault.prefix}/" if "prefix" in site.file.read_text() else ""
        self.server = server
        with s3(server, "admin") as owner:
            policy = json.dumps(open_policy(server, self.bucket))
            owner.put_bucket_policy(Bucket=self.bucket, Policy=policy)

    def strike(self) -> datetime:
        """Hide, overwrite and fake; returns an instant between the last backup and this."""
        with s3(self.server, "writer") as client:
            # whole seconds, which are over, between what was put and what is put now
            put = server_time(client, self.bucket)
            wait_for(lambda: server_time(client, self.bucket) > put)
            before = server_time(client, self.bucket)
            wait_for(lambda: server_time(client, self.bucket) > before)
            listed = client.list_object_versions(Bucket=self.bucket, Prefix=f"{STORE}/")
            keys = sorted({one["Key"] for one in listed["Versions"]})
            for number, key in enumerate(keys):
                self._spoil(client, key, number)
            self._fake(client)
            for one in listed["Versions"]:  # the lock holds against the bucket's own policy
                with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
                    client.delete_object(
                        Bucket=self.bucket, Key=one["Key"], VersionId=one["VersionId"]
                    )
        return before

    def _spoil(self, client: Any, key: str, number: int) -> None:
        if key.endswith("/config") or number % 4 == 0:
            client.put_object(Bucket=self.bucket, Key=key, Body=NOISE)
        elif number % 4 == 1:
            client.put_object(Bucket=self.bucket, Key=key, Body=b"")
        if number % 4 >= 2:
            client.delete_object(Bucket=self.bucket, Key=key)
        if number % 4 == 3:
            client.put_object(Bucket=self.bucket, Key=key, Body=NOISE)

    def _fake(self, client: Any) -> None:
        """Names nobody put: some with the hash of their content, as only that can be checked."""
        right = hashlib.sha256(NOISE).hexdigest()
        for name in (right, "0" * 64):
            for folder in ("snapshots", "index", "keys", f"data/{name[:2]}"):
                client.put_object(Bucket=self.bucket, Key=f"{STORE}/{folder}/{name}", Body=NOISE)


def restic(site: LabSite, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Plain restic, as somebody has it who has nothing of ours but the password."""
    password = Keyring.open(keyring_path(site.state), key_file_path(site.state)).password(STORE)
    return subprocess.run(
        [str(binaries()["current"].path), *map(str, words)],
        env={"RESTIC_PASSWORD": password.reveal(), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def attacked(
    make_site: MakeSite, object_lock_server: ObjectLockServer
) -> tuple[LabSite, dict[bytes, bytes | None], datetime]:
    """A site whose bucket was attacked after its backup, what its images were, and when."""
    site = make_site(vault=True)
    (site.images / "large.dcm").write_bytes(random.Random(1).randbytes(300_000))
    site.ask("backup")
    images = tree(site.images)
    before = Attacker(site, object_lock_server).strike()
    return site, images, before


def test_what_a_bucket_held_before_an_attack_comes_back_to_the_byte_and_the_alarm_is_raised(
    attacked: tuple[LabSite, dict[bytes, bytes | None], datetime], tmp_path: Path
) -> None:
    site, images, before = attacked
    at = before.isoformat()

    plain = site.run("restore", STORE, "--copy", "vault", "--to", tmp_path / "plain", expect=None)
    assert plain.code != 0, "a forged index and key stop restic; nothing looks like success"

    words = ("restore", STORE, "--copy", "vault", "--as-of", at)
    done = site.ask(*words, "--to", tmp_path / "then")
    assert (done["verified"], done["bad_files"]) == (True, 0)
    assert datetime.fromisoformat(done["as_of"]) == before
    assert tree(tmp_path / "then") == images
    assert not list((site.state / "spool").iterdir())

    folder = tmp_path / "recovered"
    found = site.ask("bucket", "recover", "vault", "--to", folder, "--as-of", at)
    assert (found["missing"], found["damaged"]) == ([], [])
    assert found["stores"][0]["structure"] == "sound"
    checked = restic(site, "-r", folder / STORE, "check", "--read-data")
    assert checked.returncode == 0, checked.stderr
    ours = {path.relative_to(site.primary) for path in site.primary.rglob("*/*") if path.is_file()}
    there = {path.relative_to(folder / STORE) for path in folder.rglob("*") if path.is_file()}
    assert {one for one in ours if "locks" not in one.parts} <= there

    before = site.ask(
        "bucket", "recover", "vault", "--to", tmp_path / "never", "--as-of", "2020-01-01", expect=3
    )["stores"][0]
    assert before["structure"] == "empty", "before the first backup there was nothing to recover"

    # The nightly listing, or a proof of coverage, is enough: nobody has to suspect anything.
    shown = site.ask("bucket", "coverage", "vault", expect=4)["stores"][0]
    assert shown["suspicious"] == shown["files"] + 8, "every file of ours, and the eight fakes"
    stand = site.ask("status")["stores"][0]
    assert stand["verdict"] == "not_met"
    (reason,) = (one for one in stand["reasons"] if one.startswith("copy vault: "))
    assert f"{shown['files']} files have more than one version or are hidden" in reason
    assert "8 files were put there by somebody else" in reason
    assert site.copies()["vault"]["state"] == "damaged"
