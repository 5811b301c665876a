#!/usr/bin/env python3
"""A throw-away S3 server with real Object Lock: Ceph RGW on a memory store, for tests and the demo.

Needs Debian's packages ``radosgw ceph-mon ceph-osd`` (and ``openssl`` for ``--tls``) and nothing
but Python's standard library. It listens on the loopback interface only, keeps everything in
memory and loses it when it stops. Cluster authentication is off: any process of this machine can
reach the data behind the S3 door, so it is for throw-away data only.

    object_lock_server.py start DIR [--tls] [--lifetime SECONDS] [--watch PID]
    object_lock_server.py stop DIR

``start`` prints one JSON line: endpoint, ca_file, credentials (user -> access_key, secret_key,
arn), pids. Three users exist: ``admin`` (owner and lock administrator), ``writer``, ``reader``.

A keeper process stands between the starter and the daemons. It ends them all, and removes DIR,
when it is told to, when the watched process dies, when one of them dies and when the lifetime is
over; when the keeper itself is killed, the kernel kills the daemons. Nothing is ever killed by
name.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KEEPER = Path(__file__).with_name("object_lock_keeper.py")
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")


class LabError(Exception):
    """The server could not be started; says why."""


def installed() -> bool:
    """Say whether the Ceph programs are on this machine."""
    return all(shutil.which(program) for program in PROGRAMS)


class ObjectLockServer:
    """Starts and stops one server; also a context manager.

    Args:
        folder: Where it lives; must not exist or be empty; removed at the stop.
        tls: Serve HTTPS with a certificate of an authority made for this server.
        lifetime_s: It ends by itself after this many seconds.
        watch: It ends when this process does; the calling process by default, 0 for none.

    After `start`: `endpoint`, `ca_file` (or None), `credentials`, `pids`.
    """

    def __init__(
        self, folder: Path, *, tls: bool = False, lifetime_s: float = 3600, watch: int | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.tls = tls
        self.lifetime_s = lifetime_s
        self.watch = os.getpid() if watch is None else watch
        self.info: dict[str, Any] = {}
        self._keeper: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        return str(self.info["endpoint"])

    @property
    def ca_file(self) -> Path | None:
        return Path(self.info["ca_file"]) if self.info["ca_file"] else None

    @property
    def credentials(self) -> dict[str, dict[str, str]]:
        return dict(self.info["credentials"])

    @property
    def pids(self) -> dict[str, int]:
        return dict(self.info["pids"])

    def start(self) -> ObjectLockServer:
        if not installed():
            raise LabError("Ceph is not installed: apt-get install radosgw ceph-mon ceph-osd")
        if self.folder.exists() and any(self.folder.iterdir()):
            raise LabError(f"{self.folder} is not empty")
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, str(KEEPER), str(self.folder), "--watch", str(self.watch)]
        argv += ["--lifetime", str(self.lifetime_s)] + ["--tls"] * self.tls
        # its own session: an interrupt typed at the starter's terminal must not reach it first
        with (self.folder / "keeper.log").open("w") as log:
            self._keeper = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._keeper.stdout is not None
        with self._keeper.stdout as stream:
            answer = json.loads(stream.readline() or '{"error": "the keeper died"}')
        if "error" in answer:
            self.stop()
            raise LabError(answer["error"])
        self.info = answer
        return self

    def stop(self) -> None:
        stop(self.folder)
        if self._keeper is not None:
            self._keeper.wait(timeout=30)
            self._keeper = None

    def __enter__(self) -> ObjectLockServer:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


def stop(folder: Path) -> None:
    """End the server that lives in `folder`, at once, and remove the folder."""
    folder = folder.absolute()
    keeper = _recorded(folder).get("keeper", 0)
    if _is_ours(keeper, folder):
        _signal(keeper, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while _is_ours(keeper, folder) and time.monotonic() < deadline:
            time.sleep(0.02)
    for pid in _recorded(folder).values():  # only where the keeper could not
        if _is_ours(pid, folder):
            _signal(pid, signal.SIGKILL)
    if (folder / "pids.json").exists() or (folder / "keeper.log").exists():
        shutil.rmtree(folder, ignore_errors=True)


def _recorded(folder: Path) -> dict[str, int]:
    try:
        return dict(json.loads((folder / "pids.json").read_text()))
    except (OSError, ValueError):
        return {}


def _is_ours(pid: int, folder: Path) -> bool:
    """A process id may have been given to somebody else since: its command line must name us."""
    if pid <= 0:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and os.fsencode(folder) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--tls", action="store_true", help="serve HTTPS with a certificate of its own"
    )
    parser.add_argument(
        "--lifetime", type=float, default=3600, help="seconds until it ends by itself"
    )
    parser.add_argument("--watch", type=int, default=0, help="end when this process does")
    given = parser.parse_args()
    folder = given.folder.absolute()
    if given.command == "stop":
        stop(folder)
        return 0
    server = ObjectLockServer(folder, tls=given.tls, lifetime_s=given.lifetime, watch=given.watch)
    try:
        print(json.dumps(server.start().info), flush=True)
    except LabError as error:
        print(f"object_lock_server: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
