#!/usr/bin/env python3
"""The keeper of one throw-away Object Lock server; started by ``object_lock_server.py``.

It starts the three Ceph daemons as its own children, prints one JSON line, and ends them all and
removes the folder when it is told to (SIGTERM), when the watched process dies, when a daemon
dies and when the lifetime is over. When it is killed itself, the kernel kills the daemons.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import secrets
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

USERS = ("admin", "writer", "reader")
START_TIMEOUT_S = 60.0
ATTEMPTS = 3  # a free port can be taken by somebody else before the daemon has it
PR_SET_PDEATHSIG = 1

CONFIG = Path(__file__).with_name("object_lock_ceph.conf.in")


class LabError(Exception):
    """The server could not be started; says why."""


class Keeper:
    """Starts the daemons as its own children, and outlives none of them."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        self.folder = folder
        self.tls = tls
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.credentials: dict[str, dict[str, str]] = {}
        self.port = 0
        self.deadline = time.monotonic() + START_TIMEOUT_S
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.pid = os.getpid()

    def start(self) -> dict[str, Any]:
        """Bring everything up and say where it is."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._bring_up()
                break
            except LabError:
                self.kill()
                if attempt == ATTEMPTS or time.monotonic() > self.deadline:
                    raise
        return {
            "endpoint": f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}",
            "region": "us-east-1",
            "ca_file": str(self.folder / "ca.pem") if self.tls else None,
            "credentials": self.credentials,
            "folder": str(self.folder),
            "pids": {"keeper": self.pid} | {n: d.pid for n, d in self.daemons.items()},
        }

    def kill(self) -> None:
        """End the daemons without asking; there is nothing to save."""
        for daemon in self.daemons.values():
            daemon.kill()
        for daemon in self.daemons.values():
            daemon.wait()
        self.daemons.clear()
        self.record()

    def _bring_up(self) -> None:
        for name in ("mon", "osd", "run", "log"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        mon_port, self.port = _free_ports(2)
        fsid = str(uuid.uuid4())
        if self.tls:
            for name, argv in certificate_commands(self.folder).items():
                self._run(name, argv, bare=True)
        self._configure(fsid, mon_port)
        monmap = str(self.folder / "monmap")
        address = f"[v2:127.0.0.1:{mon_port}]"
        make_map = ["monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", address]
        self._run("monmap", [*make_map, monmap], bare=True)
        self._run("mon-mkfs", ["ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap])
        self._daemon("mon", ["ceph-mon", "-i", "a", "-f"])
        osd = str(uuid.uuid4())
        self._run("osd-new", ["ceph", "--connect-timeout", "20", "osd", "new", osd])
        self._run("osd-mkfs", ["ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd])
        self._daemon("osd", ["ceph-osd", "-i", "0", "-f"])
        self._daemon("rgw", ["radosgw", "-n", "client.rgw.a", "-f"])
        self._wait_until_ready()
        self._make_users()

    def _configure(self, fsid: str, mon_port: int) -> None:
        frontend = f"endpoint=127.0.0.1:{self.port} tcp_nodelay=1"
        if self.tls:
            pem, key = self.folder / "server.pem", self.folder / "server.key"
            frontend = f"ssl_{frontend} ssl_certificate={pem} ssl_private_key={key}"
        classes = sorted(Path("/usr/lib").glob("*/rados-classes")) or [
            Path("/usr/lib/rados-classes")
        ]
        (self.folder / "ceph.conf").write_text(
            CONFIG.read_text().format(
                fsid=fsid,
                mon_port=mon_port,
                folder=self.folder,
                memory_bytes=8 << 30,
                class_dir=classes[0],
                frontend=frontend,
                lifecycle_day_s=3,
            )
        )

    def _make_users(self) -> None:
        running = []
        for user in USERS:
            access, secret = secrets.token_hex(10).upper(), secrets.token_hex(20)
            arn = f"arn:aws:iam:::user/{user}"
            self.credentials[user] = {"access_key": access, "secret_key": secret, "arn": arn}
            argv = ["radosgw-admin", "-n", "client.rgw.a", "user", "create", f"--uid={user}"]
            argv += [f"--display-name={user}", f"--access-key={access}", f"--secret-key={secret}"]
            running.append((user, self._spawn(f"user-{user}", argv)))
        for user, process in running:
            self._finish(f"user-{user}", process)

    def _wait_until_ready(self) -> None:
        scheme = "https" if self.tls else "http"
        context = ssl.create_default_context(cafile=self.folder / "ca.pem") if self.tls else None
        while time.monotonic() < self.deadline:
            self.check_alive()
            # on a taken port another server might answer in our place: it must be our own socket
            if _listens(self.daemons["rgw"].pid, self.port):
                url = f"{scheme}://127.0.0.1:{self.port}/"
                try:
                    with urllib.request.urlopen(url, timeout=5, context=context):
                        return
                except urllib.error.HTTPError as answer:
                    with answer:
                        return
                except OSError:
                    pass
            time.sleep(0.02)
        raise LabError(
            f"radosgw did not answer within {START_TIMEOUT_S:.0f} s{self._last_words('rgw')}"
        )

    def check_alive(self) -> None:
        for name, daemon in self.daemons.items():
            if daemon.poll() is not None:
                raise LabError(f"{name} ended with {daemon.returncode}{self._last_words(name)}")

    def _run(self, name: str, argv: list[str], *, bare: bool = False) -> None:
        self._finish(name, self._spawn(name, argv, bare=bare))

    def _finish(self, name: str, process: subprocess.Popen[bytes]) -> None:
        try:
            code = process.wait(timeout=max(1.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != 0:
            raise LabError(f"{name} ended with {code}{self._last_words(name)}")

    def _daemon(self, name: str, argv: list[str]) -> None:
        self.daemons[name] = self._spawn(name, argv)
        self.record()

    def _spawn(self, name: str, argv: list[str], *, bare: bool = False) -> subprocess.Popen[bytes]:
        if not bare:
            argv = [argv[0], "-c", str(self.folder / "ceph.conf"), *argv[1:]]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder)}
        with (self.folder / "log" / f"{name}.out").open("wb") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                # safe: the keeper has one thread
                preexec_fn=self._die_with_the_keeper,  # noqa: PLW1509
            )

    def _die_with_the_keeper(self) -> None:
        self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self.pid:
            os._exit(1)

    def record(self) -> None:
        pids = {"keeper": self.pid} | {name: daemon.pid for name, daemon in self.daemons.items()}
        part = self.folder / "pids.json.part"
        part.write_text(json.dumps(pids))
        part.replace(self.folder / "pids.json")

    def _last_words(self, name: str) -> str:
        try:
            text = (self.folder / "log" / f"{name}.out").read_text(errors="replace").strip()
        except OSError:
            return ""
        return f": {text[-400:]}" if text else ""


def certificate_commands(folder: Path) -> dict[str, list[str]]:
    """Return what makes an authority, then a server certificate that strict verifiers accept."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    new += ["-nodes", "-days", "2", "-subj"]
    authority = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
    leaf = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
    leaf += ["extendedKeyUsage=serverAuth", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    signed = ["-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key"]
    commands = {"ca": (authority, []), "server": (leaf, signed)}
    return {
        name: [
            *new,
            f"/CN=throw-away {name}",
            *signing,
            "-keyout",
            f"{folder}/{name}.key",
            "-out",
            f"{folder}/{name}.pem",
        ]
        + [word for extension in extensions for word in ("-addext", extension)]
        for name, (extensions, signing) in commands.items()
    }


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def _listens(pid: int, port: int) -> bool:
    """Say whether this very process has the port open for listening on the loopback."""
    wanted = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}" and fields[3] == "0A":
            wanted.add(f"socket:[{fields[9]}]")
    try:
        opened = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for one in opened:
        try:
            if str(one.readlink()) in wanted:
                return True
        except OSError:
            continue
    return False


def keep(folder: Path, *, tls: bool, lifetime_s: float, watch: int) -> int:
    """Run the server until it is time to end it."""
    wake, alarm = os.pipe()
    os.set_blocking(alarm, False)
    signal.set_wakeup_fd(alarm)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the select when a daemon dies
    ended = False

    def asked_to_stop(*_: object) -> None:
        nonlocal ended
        ended = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, asked_to_stop)
    end_at = time.monotonic() + lifetime_s
    keeper = Keeper(folder, tls=tls)
    keeper.record()
    try:
        watched = [wake] + ([os.pidfd_open(watch)] if watch else [])
        info = keeper.start()
        _say(info)
        while not ended and time.monotonic() < end_at:
            ready, _, _ = select.select(watched, [], [], min(end_at - time.monotonic(), 3600))
            if any(one != wake for one in ready):
                break  # the starter is gone
            if wake in ready:
                os.read(wake, 4096)
                keeper.check_alive()
        return 0
    except (LabError, OSError) as error:
        _say({"error": str(error)})
        return 1
    finally:
        keeper.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _say(answer: dict[str, Any]) -> None:
    """Print the one line, and let go of the pipe."""
    try:
        print(json.dumps(answer), flush=True)
    except (BrokenPipeError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--lifetime", type=float, required=True)
    parser.add_argument("--watch", type=int, required=True)
    given = parser.parse_args()
    return keep(given.folder, tls=given.tls, lifetime_s=given.lifetime, watch=given.watch)


if __name__ == "__main__":
    sys.exit(main())
