"""A complete site for end-to-end tests: images, local disk, loop medium, Object Lock bucket.

The parts are the real ones and the site is driven by the installed command line. To be quick, a
site is made once per session by ``orchestrator init`` and copied for each test, the key of its
repository is made cheap to derive (see `cheap_key`), and commands are run to their end by a
process that has imported them already (see `warm`). Import the fixtures into a ``conftest.py``,
together with `object_lock.object_lock_server`:

    site = make_site()                       # images and local disk only
    site = make_site(medium=True, vault=True)
    answer = site.ask("backup")              # exit code 0, its JSON document
    site.run("check", expect=4)
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploy.lab import sample_store
from deploy.lab.object_lock_server import ObjectLockServer
from orchestrator.actions.site import Site, key_file_path, keyring_path
from orchestrator.clock import Clock
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.keys.keyring import Keyring
from orchestrator.wiring import open_site
from tests.support import warm as warm_process
from tests.support.cheap_key import make_cheap
from tests.support.loop import LoopFileSystem, loop_file_system
from tests.support.object_lock import new_vault

PROGRAM = Path(sys.executable).with_name("orchestrator")
STORE = "xrays"
MEDIUM_MIB = 64


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        code: Its exit code; the negative signal number if a signal ended it.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error on standard error: ``error, message, hint, exit_code``."""
        return dict(json.loads(self.err.strip().splitlines()[-1]))


@dataclass
class Values:
    """What stands in the site file; change it and call `LabSite.write`.

    Attributes:
        disk: Path of the primary, absolute or from the site's folder.
        search: Where media are looked for; None for no offline copy.
        vault: The bucket; None for no immutable copy.
        endpoint: The bucket's server, if it is not the vault's own: a proxy.
        lock_period: Of the bucket.
        store: Lines for ``[stores.xrays]``.
        more: Further lines at the end of the file.
    """

    disk: str = "copies/disk"
    search: Path | None = None
    vault: BucketSettings | None = None
    endpoint: str | None = None
    lock_period: str = "35d"
    store: dict[str, Any] = field(default_factory=dict)
    more: str = ""

    def text(self) -> str:
        """Return the site file."""
        store = {"rpo": "24h", "rto": "4h", **self.store}
        lines = [
            "[site]",
            'name = "Test Dental"',
            'timezone = "America/Chicago"',
            'state_dir = "state"',
            'catalog = "sqlite"',
            "[actors.it]",
            'name = "I. T."',
            'title = "IT administrator"',
            'roles = ["operator", "custodian"]',
            "[actors.privacy]",
            'name = "P. Rivacy"',
            'title = "Compliance officer"',
            'roles = ["compliance"]',
            f"[stores.{STORE}]",
            'kind = "folder"',
            'path = "images"',
            'jurisdictions = ["US-TX"]',
            *(f"{name} = {json.dumps(value)}" for name, value in store.items()),
            "[copies.disk]",
            'role = "local"',
            f"path = {json.dumps(self.disk)}",
        ]
        if self.search is not None:
            lines += [
                "[copies.rotation]",
                'role = "offline"',
                f"search = [{json.dumps(str(self.search))}]",
                'due_every = "7d"',
            ]
        if self.vault is not None:
            lines += [
                "[copies.vault]",
                'role = "immutable"',
                f"endpoint = {json.dumps(self.endpoint or self.vault.endpoint)}",
                f"region = {json.dumps(self.vault.region)}",
                f"bucket = {json.dumps(self.vault.bucket)}",
                f"lock_period = {json.dumps(self.lock_period)}",
                'access_key = { env = "VAULT_ACCESS_KEY" }',
                'secret_key = { env = "VAULT_SECRET_KEY" }',
                "[copies.vault.sweeper]",
                'access_key = { env = "SWEEP_ACCESS_KEY" }',
                'secret_key = { env = "SWEEP_SECRET_KEY" }',
            ]
        return "\n".join([*lines, self.more, ""])


@dataclass
class LabSite:
    """A site in a folder of its own.

    Attributes:
        folder: Holds ``site.toml``, ``state``, ``copies/disk`` and ``images``.
        values: What stands in the site file.
        env: Environment of the commands.
        medium: The medium of copy ``rotation``, registered and mounted; None for none.
    """

    folder: Path
    values: Values
    env: dict[str, str]
    medium: LoopFileSystem | None = None

    @property
    def file(self) -> Path:
        """The site file."""
        return self.folder / "site.toml"

    @property
    def images(self) -> Path:
        """The folder of the store."""
        return self.folder / "images"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def primary(self) -> Path:
        """The repository in the primary."""
        return self.folder / self.values.disk / STORE

    @property
    def on_medium(self) -> Path:
        """The repository on the medium."""
        assert self.medium is not None
        return self.medium.mount_point / "imaging-orchestrator" / STORE

    def write(self, **changes: Any) -> None:
        """Write the site file, with changed values."""
        self.values = dataclasses.replace(self.values, **changes)
        self.file.write_text(self.values.text(), encoding="utf-8")

    def moved_in(self) -> None:
        """Let the register of places say that the site was always here, where it was copied to.

        By itself it says, rightly, that its disk was at another place before.
        """
        folder = os.path.realpath(self.folder)
        with closing(sqlite3.connect(self.state / "catalog.sqlite")) as connection:
            found = connection.execute("SELECT id, location FROM copy_place WHERE role = 'local'")
            for name, location in found.fetchall():
                here = f"{folder}/copies/{location.partition('/copies/')[2]}"
                connection.execute(
                    "UPDATE copy_place SET location = ?, address = ? WHERE id = ?",
                    (here, json.dumps({"path": here}), name),
                )
            connection.commit()

    def run(
        self, *words: str | Path, expect: int | tuple[int, ...] | None = 0, timeout_s: float = 300
    ) -> Ended:
        """Run a command with ``--json`` to its end and compare its exit code.

        Args:
            words: The command line without the program's name.
            expect: The exit code or codes it must have; None for any.
            timeout_s: Seconds after which the test fails.
        """
        process = self.start(*words, warm=True)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            kill_group(process)
            raise
        done = Ended(process.returncode, out, err)
        wanted = (expect,) if isinstance(expect, int) else expect
        assert wanted is None or done.code in wanted, (
            f"orchestrator {' '.join(map(str, words))}: exit code {done.code}, not {expect}\n"
            f"{done.out}\n{done.err}"
        )
        assert "Traceback" not in done.err, done.err
        return done

    def ask(self, *words: str | Path, expect: int | tuple[int, ...] = 0) -> Any:
        """Run a command and return its JSON document."""
        return self.run(*words, expect=expect).document

    def start(
        self, *words: str | Path, warm: bool = False
    ) -> subprocess.Popen[str] | warm_process.Running:
        """Start a command with ``--json``, in a process group of its own.

        Args:
            words: The command line without the program's name.
            warm: Start it where everything is imported already, not as the installed script.
        """
        typed = ["--json", *map(str, words)]
        if warm:
            return warm_process.shared().start(typed, self.env, Path.cwd())
        return subprocess.Popen(
            [str(PROGRAM), *typed],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Ask the catalog, past the product."""
        uri = f"file:{self.state / 'catalog.sqlite'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=60)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]

    def runs(self, action: str | None = None) -> list[dict[str, Any]]:
        """Return the recorded runs, oldest first."""
        found = self.rows("SELECT * FROM run ORDER BY started_at")
        return [row for row in found if action in (None, row["action"])]

    @contextmanager
    def opened(self, clock: Clock | None = None) -> Iterator[Site]:
        """Open the site in this process, for what no command can do; closed at the end."""
        before = {name: os.environ.get(name) for name in self.env if "_KEY" in name}
        os.environ.update({name: self.env[name] for name in before})
        site = open_site(self.file, clock=clock)
        try:
            yield site
        finally:
            if "catalog" in site.__dict__:
                site.catalog.dispose()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def restic_processes(self) -> list[int]:
        """Return the ids of living restic processes that work on this site."""
        found = []
        needle = os.fsencode(self.folder)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            with suppress(OSError):
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                is_restic = os.path.basename(argv[0]) == b"restic"
                if is_restic and any(needle in word for word in argv[1:]):
                    found.append(int(entry.name))
        return found

    def verdict(self) -> str:
        """Return the 3-2-1 verdict of the store."""
        return str(self.ask("status")["stores"][0]["verdict"])

    def copies(self) -> dict[str, dict[str, Any]]:
        """Return what ``status`` says of each copy, by name."""
        return {copy["copy"]: copy for copy in self.ask("status")["stores"][0]["copies"]}


MakeSite = Callable[..., LabSite]


def kill_group(process: subprocess.Popen[str] | warm_process.Running) -> None:
    """Kill a started command with SIGKILL and collect it.

    Its restic processes have sessions of their own: they live on, as after a real kill.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for(what: Callable[[], Any], *, limit_s: float = 120, pause_s: float = 0.01) -> Any:
    """Wait for something to become true and return it; the limit only guards against hanging."""
    until = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(pause_s)
    return found


_TEMPLATE = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def site_template(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """Return a folder with a new site, to be copied, never to be changed.

    The same for all: a fixture that several ``conftest.py`` import is several fixtures.
    """
    if _TEMPLATE not in pytestconfig.stash:
        pytestconfig.add_cleanup(warm_process.stop_shared)
        pytestconfig.stash[_TEMPLATE] = _new_site(tmp_path_factory.mktemp("site") / "template")
    return pytestconfig.stash[_TEMPLATE]


def _new_site(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    site = LabSite(folder, Values(), _environment(folder, None))
    sample_store.build(site.images, with_data_package=False)
    site.write()
    site.run("init", folder)
    keyring = Keyring.open(keyring_path(site.state), key_file_path(site.state))
    make_cheap(site.primary, keyring.password(STORE).reveal())
    (entry,) = (one for one in keyring.entries() if one.name == STORE)
    assert entry.repository_id is not None
    keyring.bind(
        STORE, entry.repository_id, [path.name for path in (site.primary / "keys").iterdir()]
    )
    return folder


@pytest.fixture
def make_site(
    site_template: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[MakeSite]:
    """Return a function that makes a site; everything is taken down after the test.

    ``make_site(medium=True, vault=True, medium_mib=64, **values)``: with a registered medium, with
    a bucket under the shipped policies, and with further `Values`.
    """
    with ExitStack() as stack:

        def make(
            *,
            medium: bool = False,
            vault: bool = False,
            medium_mib: int = MEDIUM_MIB,
            **values: Any,
        ) -> LabSite:
            folder = tmp_path / f"site{len(list(tmp_path.glob('site*')))}"
            shutil.copytree(site_template, folder, symlinks=True)
            server: ObjectLockServer | None = None
            wanted = Values(**values)
            if vault:
                server = request.getfixturevalue("object_lock_server")
                wanted.vault = new_vault(server)
            site = LabSite(folder, wanted, _environment(folder, server))
            if medium:
                media = folder / "media"
                media.mkdir()
                wanted.search = media
                site.medium = stack.enter_context(
                    loop_file_system(tmp_path, size_mib=medium_mib, mount_point=media / "red")
                )
            site.write()
            if site.medium is not None:
                where = site.medium.mount_point
                site.run("--as", "it", "medium", "add", "rotation", where, "--label", "red")
            return site

        yield make


def _environment(folder: Path, server: ObjectLockServer | None) -> dict[str, str]:
    kept = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "HOME")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env["ORCHESTRATOR_SITE"] = str(folder / "site.toml")
    if server is not None:
        for role, user in (("VAULT", "writer"), ("SWEEP", "admin")):
            env[f"{role}_ACCESS_KEY"] = server.credentials[user]["access_key"]
            env[f"{role}_SECRET_KEY"] = server.credentials[user]["secret_key"]
    return env
