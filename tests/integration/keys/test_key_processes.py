"""Several processes, and processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import LockedError
from orchestrator.keys.keyring import Keyring
from orchestrator.keys.sealed import SealedReader, SealedWriter

KEY = b"k" * 32

ADD = """
import sys
from pathlib import Path
from orchestrator.keys.keyring import Keyring
folder, who = Path(sys.argv[1]), sys.argv[2]
keyring = Keyring.open(folder / "keyring.json", folder / "site.key")
for number in range(15):
    keyring.add_repository(f"{who}-{number}")
"""

WRITE = """
import sys, time
from pathlib import Path
from orchestrator.keys.sealed import SealedWriter
with SealedWriter(Path(sys.argv[1]), b"k" * 32, "test") as out:
    out.write(b"x" * 3_000_000)
    print("writing", flush=True)
    time.sleep(60)
"""

IMPORTS = """
import sys
import orchestrator.keys.keyring, orchestrator.keys.sealed, orchestrator.keys.kit
heavy = {"cryptography", "segno", "pydantic", "boto3", "sqlmodel", "pydicom", "numpy"}
print(sorted(heavy & set(sys.modules)))
"""


def start(program: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, args)], stdout=subprocess.PIPE, text=True
    )


def test_processes_that_add_at_once_lose_nothing(tmp_path):
    keyring = Keyring.create(tmp_path / "keyring.json", tmp_path / "site.key")
    children = [start(ADD, tmp_path, who) for who in "abc"]
    for child in children:
        with child:
            assert child.wait(300) == 0
    names = {f"{who}-{number}" for who in "abc" for number in range(15)}
    opened = Keyring.open(tmp_path / "keyring.json", tmp_path / "site.key")
    assert {one.name for one in opened.entries() if one.purpose == "repository"} == names
    assert len({keyring.password(name).reveal() for name in names}) == 45
    assert not list(tmp_path.glob("*.partial"))


@pytest.fixture
def writing(tmp_path):
    """A sealed file that another process is in the middle of writing."""
    path = tmp_path / "a.sealed"
    with SealedWriter(path, KEY, "test") as out:
        out.write(b"old")
    with start(WRITE, path) as child:
        assert child.stdout.readline() == "writing\n"
        yield path, child
        child.kill()


def content(path: Path) -> bytes:
    return b"".join(SealedReader(path, KEY, "test").chunks())


def test_a_second_process_is_turned_away(writing):
    path, _ = writing
    with pytest.raises(LockedError), SealedWriter(path, KEY, "test"):
        pass
    assert content(path) == b"old"


def test_a_killed_writer_costs_nothing_and_its_remains_are_taken_over(writing):
    path, child = writing
    os.kill(child.pid, signal.SIGKILL)
    child.wait(60)
    assert content(path) == b"old"
    with SealedWriter(path, KEY, "test") as out:
        out.write(b"new")
    assert content(path) == b"new"
    assert [one.name for one in path.parent.iterdir()] == ["a.sealed"]


def test_keys_are_imported_without_heavy_modules():
    with start(IMPORTS) as child:
        assert child.stdout.read() == "[]\n"
    assert child.returncode == 0
