"""What we are measured against: plain restic and borg, used as their manuals say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.programs import Timing, timed
from benchmarks.sites import environment, make_bucket
from deploy.lab.object_lock_server import ObjectLockServer

PACK_SIZE_MIB = "64"
PASSWORD = "benchmark"


class Restic:
    """A restic repository, with a password file and a cache of its own.

    Args:
        folder: Where password, cache and a local repository are kept.
        location: The repository as restic writes it; None for a folder below `folder`.
        keys: Access and secret key, for a bucket.
    """

    def __init__(
        self, folder: Path, location: str | None = None, *, keys: tuple[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.location = location or str(folder / "repository")
        self.password = folder / "password"
        self.password.write_text(PASSWORD)
        self._cache = folder / "cache"
        self.env = environment()
        if keys is not None:
            self.env |= {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
            self.env |= {"AWS_DEFAULT_REGION": "us-east-1"}

    @property
    def path(self) -> Path:
        return Path(self.location)

    def init(self, *, like: Restic | None = None) -> Restic:
        same = [] if like is None else [*self._from(like), "--copy-chunker-params"]
        self._quietly("init", "--repository-version", "2", *same)
        return self

    def backup(self, images: Path) -> Timing:
        """Back up as the product's driver does: the same flags, the same working directory."""
        return self._timed(
            "backup", "--host", "bench", "--pack-size", PACK_SIZE_MIB, "--no-scan", ".", cwd=images
        )

    def copy_from(self, other: Restic) -> Timing:
        return self._timed("copy", *self._from(other), "--pack-size", PACK_SIZE_MIB)

    def check_all_data(self) -> Timing:
        return self._timed("check", "--read-data")

    def _argv(self, *words: str) -> list[str]:
        program = shutil.which("restic", path=self.env["PATH"])
        if program is None:
            raise RuntimeError("restic is not on PATH: deploy/lab/get-restic.sh")
        how = ["--repo", self.location, "--password-file", str(self.password)]
        return [program, *how, "--cache-dir", str(self._cache), "--json", *words]

    def _timed(self, *words: str, cwd: Path | None = None) -> Timing:
        return timed(self._argv(*words), env=self.env, cwd=cwd)

    def _quietly(self, *words: str) -> None:
        subprocess.run(self._argv(*words), env=self.env, check=True, capture_output=True)

    @staticmethod
    def _from(other: Restic) -> list[str]:
        return ["--from-repo", other.location, "--from-password-file", str(other.password)]


def restic_in_bucket(folder: Path, server: ObjectLockServer) -> Restic:
    """Return a repository in a new plain bucket: restic cannot lock what it puts."""
    make_bucket(server, "peer", locked=False)
    keys = server.credentials["writer"]
    location = f"s3:{server.endpoint}/peer/repository"
    return Restic(folder, location, keys=(keys["access_key"], keys["secret_key"]))


class Borg:
    """A borg repository with encryption and zstd at level 3, as restic's default is."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._repository = folder / "repository"
        self._env = environment() | {
            "BORG_BASE_DIR": str(folder / "base"),
            "BORG_PASSPHRASE": PASSWORD,
        }

    def create(self, images: Path) -> Timing:
        words = ["create", "--compression", "zstd,3", f"{self._repository}::first", "."]
        return timed(["borg", *words], env=self._env, cwd=images)

    def init(self) -> Borg:
        subprocess.run(
            ["borg", "init", "--encryption", "repokey-blake2", str(self._repository)],
            env=self._env,
            check=True,
            capture_output=True,
        )
        return self
