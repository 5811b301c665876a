"""The installed command line, run as a person or a program would, and a real site to run it on."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.lab import sample_store, site_copies
from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions.site import key_file_path, keyring_path
from orchestrator.keys.keyring import Keyring
from tests.support.cheap_key import make_cheap
from tests.support.loop import LoopFileSystem, loop_file_system
from tests.support.object_lock import s3, shipped_policy
from tests.support.warm import Warm

PROGRAM = str(Path(sys.executable).with_name("orchestrator"))
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """How a command ended.

    Attributes:
        words: What was typed.
        code: Exit code.
        out: Standard output.
        err: Standard error.
    """

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The one JSON object on stderr, which holds exactly the agreed fields."""
        assert self.out == "", f"{self.words}: an error leaves stdout empty"
        body: dict[str, Any] = json.loads(self.err)
        assert set(body) == {"error", "message", "hint", "exit_code"}, self
        assert body["exit_code"] == self.code, self
        assert isinstance(body["error"], str), self
        assert body["message"], self
        assert body["hint"] is None or isinstance(body["hint"], str), self
        for text in (body["message"], body["hint"] or ""):
            assert "Traceback" not in text, self
        return body


@dataclass(frozen=True)
class CommandLine:
    """Runs commands.

    Attributes:
        env: Added to the environment.
        cwd: Where they run.
        prefix: Put before the program, as ``("setpriv", ...)``.
        warm: Runs it without importing everything first; None starts the installed script.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    prefix: tuple[str, ...] = ()
    warm: Warm | None = None

    def run(self, *words: str | Path, limit_s: float = 120) -> Answer:
        """Run a command and return how it ended; a stack trace is never an answer."""
        base = {k: v for k, v in os.environ.items() if k not in ("ORCHESTRATOR_SITE",)}
        typed = tuple(str(word) for word in words)
        env = {**base, **self.env}
        if self.warm is not None and not self.prefix:
            code, out, err = self.warm.run(typed, env, self.cwd)
        else:
            done = subprocess.run(
                [*self.prefix, PROGRAM, *typed],
                env=env,
                cwd=self.cwd,
                capture_output=True,
                timeout=limit_s,
                check=False,
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        answer = Answer(typed, code, out.decode(), err.decode())
        if "--debug" not in typed:
            assert "Traceback" not in answer.err, answer.err
            assert "UnexpectedError" not in answer.err, answer.err
        return answer

    def ask(self, *words: str | Path, code: int = 0) -> Any:
        """Run a command with ``--json`` and return its document."""
        answer = self.run("--json", *words)
        assert answer.code == code, answer
        return answer.document

    def fail(self, *words: str | Path, code: int) -> dict[str, Any]:
        """Run a command that must fail with one JSON object on stderr, and return it."""
        answer = self.run("--json", *words)
        assert answer.code == code, answer
        return answer.error

    def with_env(self, **more: str) -> CommandLine:
        """Return the same with more environment."""
        return replace(self, env={**self.env, **more})


@dataclass
class LabSite:
    """A site with the sample images, a local primary, an offline medium and a locked bucket.

    Attributes:
        folder: Where everything is.
        images: The store.
        file: The site file.
        cli: The command line with this site and its credentials.
        media: File systems on loop devices by label.
        bucket: The bucket's name; empty without a server.
    """

    folder: Path
    images: Path
    file: Path
    cli: CommandLine
    media: dict[str, LoopFileSystem]
    bucket: str = ""

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "site/state"

    @property
    def primary(self) -> Path:
        """The primary's repository of the store."""
        return self.folder / "site/copies/disk/xrays"


@contextmanager
def lab_site(
    folder: Path,
    *,
    server: ObjectLockServer | None = None,
    media: Mapping[str, int] | None = None,
    build_images: bool = True,
    with_data_package: bool = False,
    more: str = "",
    warm: Warm | None = None,
) -> Iterator[LabSite]:
    """Set up a site with the command line alone.

    Args:
        folder: An empty folder.
        server: Where its bucket is made; None for no immutable copy.
        media: Size in MiB by label of each medium; None for no offline copy.
        build_images: Put the sample images into the store.
        with_data_package: All of the sample images instead of the small ones.
        more: Lines added to the site file.
        warm: Runs the commands; None starts the installed script for each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images, site = folder / "images", folder / "site"
    if build_images:
        sample_store.build(images, with_data_package=with_data_package)
    else:
        images.mkdir()
    env = {"ORCHESTRATOR_SITE": str(site / "site.toml")}
    plain = CommandLine(env, folder, warm=warm)
    done = plain.run("init", site, "--store", images, "--name", "Test Dental")
    assert done.code == 0, done
    _make_keys_cheap(site)
    text = more
    bucket = ""
    with ExitStack() as stack:
        mounted = {
            label: stack.enter_context(
                loop_file_system(folder, size_mib=size, mount_point=folder / "media" / label)
            )
            for label, size in (media or {}).items()
        }
        if media:
            text += site_copies.rotation(folder / "media")
        if server is not None:
            bucket = f"cli-{os.getpid()}-{next(_numbers)}"
            with s3(server, "admin") as client:
                client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
                policy = json.dumps(shipped_policy(server, bucket))
                client.put_bucket_policy(Bucket=bucket, Policy=policy)
            text += site_copies.vault(server.endpoint, bucket) + site_copies.SWEEPER
            if server.ca_file is not None:
                text = text.replace("lock_period", f'ca_file = "{server.ca_file}"\nlock_period')
            for role, user in (("VAULT", "writer"), ("SWEEP", "admin")):
                env[f"{role}_ACCESS_KEY"] = server.credentials[user]["access_key"]
                env[f"{role}_SECRET_KEY"] = server.credentials[user]["secret_key"]
        made = LabSite(folder, images, site / "site.toml", plain, mounted, bucket)
        if text:
            made.file.write_text(made.file.read_text() + text)
            assert plain.run("init", site).code == 0
        for label, loop in mounted.items():
            plain.ask("--as", "it", "medium", "add", "rotation", loop.mount_point, "--label", label)
        yield made


def _make_keys_cheap(site: Path) -> None:
    """Spare every start of restic half a second; see `cheap_key`."""
    keyring = Keyring.open(keyring_path(site / "state"), key_file_path(site / "state"))
    for entry in keyring.entries():
        if entry.purpose == "repository" and entry.repository_id is not None:
            repository = site / "copies/disk" / entry.name
            make_cheap(repository, keyring.password(entry.name).reveal())
            keys = [path.name for path in (repository / "keys").iterdir()]
            keyring.bind(entry.name, entry.repository_id, keys)
