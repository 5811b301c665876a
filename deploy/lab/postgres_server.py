"""Starts a throw-away PostgreSQL server for tests and demonstrations.

As a program it prints a database's URL and password, and runs until it is interrupted::

    python deploy/lab/postgres_server.py

The server is the one of Debian's packages (``postgresql``). It listens on a Unix socket in its
own temporary folder only, asks for a password, dies with the process that started it, and leaves
nothing behind. Not for production: it does not wait for the disk.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

SUPERUSER = "lab"
_START_TIMEOUT_S = 30.0


class PostgresServer:
    """One server in a temporary folder; a context manager.

    Attributes:
        folder: The temporary folder; the socket is in it.
        password: The superuser's password.
        pid: Process id of the running server; None when it is stopped.
    """

    def __init__(self) -> None:
        self.password = secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="pg-lab-"))
        self._binaries = find_binaries()
        self._user = server_user()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._create_cluster()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, without the password."""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.folder}"

    def start(self) -> PostgresServer:
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *self._as_user(pdeathsig=True),
                    str(self._binaries / "postgres"),
                    *("-D", str(self.folder / "data"), "-k", str(self.folder)),
                    *("-c", "listen_addresses="),
                    *("-c", "fsync=off", "-c", "full_page_writes=off"),
                    *("-c", "shared_buffers=32MB", "-c", "max_connections=50"),
                    *("-c", "log_min_messages=fatal"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in a terminal is for the tests, not for the server
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = log.read_text(errors="replace")[-2000:]
                self.stop()
                raise RuntimeError(f"the lab's PostgreSQL did not start:\n{text}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Stop the server at once, by its process id; does nothing if it is stopped."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # fast shutdown: drops the connections
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # immediate shutdown
                process.wait(10)

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self.run_sql(f'CREATE DATABASE "{_safe(name)}" TEMPLATE template0')
        return self.url(name)

    def replace_database(self, name: str, template: str) -> None:
        """Make a database a copy of another one that nobody is connected to."""
        self.drop_database(name)
        self.run_sql(f'CREATE DATABASE "{_safe(name)}" TEMPLATE "{_safe(template)}"')

    def drop_database(self, name: str) -> None:
        self.run_sql(f'DROP DATABASE IF EXISTS "{_safe(name)}" WITH (FORCE)')

    def run_sql(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            host=str(self.folder),
            user=SUPERUSER,
            password=self.password,
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> PostgresServer:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _create_cluster(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
            os.chown(password_file, self._user.pw_uid, self._user.pw_gid)
        done = subprocess.run(
            [
                *self._as_user(),
                str(self._binaries / "initdb"),
                *("-D", str(self.folder / "data"), "-U", SUPERUSER, "-A", "scram-sha-256"),
                *("--pwfile", str(password_file), "-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            capture_output=True,
            cwd=self.folder,
            env=_environment(),
            timeout=60,
            check=False,
        )
        password_file.unlink()
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')[-2000:]}")

    def _as_user(self, *, pdeathsig: bool = False) -> list[str]:
        """Return the prefix that drops root's rights and ties the child's life to ours."""
        prefix = ["setpriv"]
        if self._user is not None:
            prefix += [f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}"]
            prefix.append("--clear-groups")
        if pdeathsig:
            prefix += ["--pdeathsig", "QUIT"]
        return prefix if len(prefix) > 1 else []

    def _is_ready(self) -> bool:
        """Say whether the server takes connections: its lock file says so in line 8."""
        with contextlib.suppress(OSError):
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[7].strip() == "ready"
        return False


def find_binaries() -> Path:
    """Return the folder of the newest installed server.

    Raises:
        RuntimeError: No PostgreSQL server is installed.
    """
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if not found:
        raise RuntimeError("no PostgreSQL server is installed: apt install postgresql")
    return max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parent.name)])


def server_user() -> pwd.struct_passwd | None:
    """Return whom to run the server as: nobody special, unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("PostgreSQL refuses to run as root and there is no user to run it as")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _safe(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise ValueError("a lab database is named in lower case")
    return name


def main() -> None:
    with PostgresServer() as server:
        print(f"url {server.create_database('catalog')}\npassword {server.password}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
