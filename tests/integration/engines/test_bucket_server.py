"""The throw-away Object Lock server: quick to start, and it always ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.lab import object_lock_server
from deploy.lab.object_lock_server import LabError, ObjectLockServer
from tests.support.object_lock import s3, wait_until

SCRIPT = Path(object_lock_server.__file__)
STARTER = f"""
import sys, time
sys.path.insert(0, {str(SCRIPT.parent)!r})
from pathlib import Path
from object_lock_server import ObjectLockServer
import json
server = ObjectLockServer(Path(sys.argv[1])).start()
print(json.dumps(server.pids), flush=True)
time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_is_installed() -> None:
    assert object_lock_server.installed()


def test_it_runs_from_the_command_line_and_stops_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    line = subprocess.check_output([sys.executable, SCRIPT, "start", folder], text=True)
    info = json.loads(line)
    assert set(info["credentials"]) == {"admin", "writer", "reader"}
    assert info["ca_file"] is None
    pids = info["pids"].values()
    assert all(map(alive, pids))
    subprocess.run([sys.executable, SCRIPT, "stop", folder], check=True)
    assert not any(map(alive, pids))
    assert not folder.exists()


def test_it_ends_when_its_starter_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, folder], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pids = json.loads(starter.stdout.readline()).values()
        assert all(map(alive, pids))
        starter.kill()
    wait_until(lambda: not any(map(alive, pids)))
    wait_until(lambda: not folder.exists())


def test_it_ends_when_its_keeper_is_killed(tmp_path: Path) -> None:
    with ObjectLockServer(tmp_path / "lab") as server:
        pids = server.pids
        os.kill(pids["keeper"], signal.SIGKILL)
        wait_until(lambda: not any(map(alive, pids.values())))
    assert not (tmp_path / "lab").exists()


def test_it_ends_when_a_daemon_dies(tmp_path: Path) -> None:
    with ObjectLockServer(tmp_path / "lab") as server:
        pids = server.pids
        os.kill(pids["osd"], signal.SIGKILL)
        wait_until(lambda: not any(alive(pid) for name, pid in pids.items() if name != "keeper"))


def test_it_ends_by_itself_after_its_lifetime(tmp_path: Path) -> None:
    with ObjectLockServer(tmp_path / "lab", lifetime_s=4) as server:
        pids = server.pids
        wait_until(lambda: not any(alive(pid) for name, pid in pids.items() if name != "keeper"))
        wait_until(lambda: not (tmp_path / "lab").exists())


def test_it_does_not_take_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(LabError, match="not empty"):
        ObjectLockServer(tmp_path).start()
    object_lock_server.stop(tmp_path)
    assert (tmp_path / "precious").exists()


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    with ObjectLockServer(tmp_path / "a") as one, ObjectLockServer(tmp_path / "b") as two:
        with s3(one, "writer") as client:
            client.create_bucket(Bucket="only-in-one")
        with s3(two, "writer") as client:
            assert client.list_buckets()["Buckets"] == []


def test_it_listens_on_the_loopback_only(object_lock_server: ObjectLockServer) -> None:
    pids = set(object_lock_server.pids.values())
    inodes = set()
    for one in (one for pid in pids for one in Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(FileNotFoundError):  # closed by now
            inodes.add(os.readlink(one))
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                addresses.add(fields[1].split(":")[0])
    assert addresses == {"0100007F"}
