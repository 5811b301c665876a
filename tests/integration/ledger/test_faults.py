"""Every system call of making and appending fails, or is the last before a kill -9, one by one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.ledger.log import Log
from orchestrator.ledger.note import SeedSigner, parse_vkey
from orchestrator.ledger.standalone.verify_ledger import Examination, Folder, Key
from orchestrator.ledger.verify import verify
from tests.integration.ledger.faults import Faults
from tests.support.ledger import NOW, SIGNER, VERIFIER, log_in

OLD = 250
"""So that the append below fills a bundle and outgrows partial files."""

ADDED = [b"added %d" % number for number in range(10)]
_DRIVER = Path(__file__).with_name("faults.py")


@pytest.fixture
def base(quick_folder: Path) -> Path:
    folder = quick_folder / "base"
    log_in(folder, [b"%d" % number for number in range(OLD - 2)]).append([b"last"])
    return folder


def demand_old_or_new(folder: Path, *, size: int, what: str) -> int:
    """Say which of its two sizes the log has; both verifiers find it whole."""
    found = verify(folder, [VERIFIER])
    assert found.problems == [], what
    assert found.size in (OLD, size), what
    examination = Examination(Folder(str(folder)), Key(VERIFIER.vkey))
    examination.run()
    assert examination.problems == [], what
    return found.size


def demand_it_goes_on(folder: Path, *, size: int, what: str) -> None:
    """The next process appends, and nothing is left over."""
    appended = Log.open(folder, SIGNER).append([b"after"])
    assert appended.first == size, what
    found = verify(folder, [VERIFIER])
    assert (found.problems, found.remarks, found.size) == ([], [], size + 1), what


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_system_call_that_fails_leaves_the_old_log_or_the_new(
    base: Path, quick_folder: Path, code: int
) -> None:
    sizes: list[int] = []
    at = 0
    while True:
        folder = quick_folder / f"{code}-{at}"
        shutil.copytree(base, folder)
        log = Log.open(folder, SIGNER)
        with Faults(at, lambda: OSError(code, os.strerror(code))) as faults:
            try:
                log.append(ADDED)
            except OrchestratorError:
                failed = True
            else:
                failed = False
        if not faults.has_struck:
            break
        what = f"call {at}, {faults.struck}"
        sizes.append(demand_old_or_new(folder, size=OLD + len(ADDED), what=what))
        if not failed:  # a folder that is there need not be made
            assert sizes.pop() == OLD + len(ADDED), what
        # The same process may go on too, once the disk is well again.
        first = log.append([b"same process"]).first
        assert first == (sizes[-1] if failed else OLD + len(ADDED)), what
        demand_it_goes_on(folder, size=first + 1, what=what)
        shutil.rmtree(folder)
        at += 1
    assert sizes == sorted(sizes)
    assert at >= 20
    assert {OLD, OLD + len(ADDED)} == set(sizes)


@pytest.mark.parametrize("how", ["before", "half"])
def test_a_kill_at_any_system_call_leaves_the_old_log_or_the_new(
    base: Path, quick_folder: Path, how: str
) -> None:
    command = [sys.executable, str(_DRIVER), str(base), str(quick_folder / how), how]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    killed = json.loads(ran.stdout)
    assert len(killed) >= (20 if how == "before" else 5)
    sizes = []
    for number, call in enumerate(killed):
        folder = quick_folder / how / str(number)
        what = f"killed at call {number}, {call}"
        sizes.append(demand_old_or_new(folder, size=OLD + len(ADDED), what=what))
        demand_it_goes_on(folder, size=sizes[-1], what=what)
    assert sizes == sorted(sizes)
    assert {OLD, OLD + len(ADDED)} >= set(sizes)


def test_a_log_appears_whole_or_not_at_all(quick_folder: Path) -> None:
    at = 0
    while True:
        folder = quick_folder / str(at) / "ledger"
        folder.parent.mkdir()
        failing = Faults(at, lambda: OSError(errno.EIO, "Input/output error"))
        with failing as faults, suppress(OrchestratorError):
            Log.create(folder, SIGNER, now=NOW)
        if not faults.has_struck:
            break
        if folder.exists():
            assert verify(folder, [VERIFIER]).is_whole, faults.struck
        else:
            Log.create(folder, SIGNER, now=NOW)
        demand_it_goes_on(folder, size=1, what=faults.struck)
        at += 1
    assert at >= 15


_WRITER = """
import sys
from pathlib import Path
from orchestrator.ledger.log import Log
from orchestrator.ledger.note import SeedSigner, parse_vkey
log = Log.open(Path(sys.argv[1]), SeedSigner(sys.argv[2], bytes.fromhex(sys.stdin.readline())))
number = 0
while True:
    appended = log.append([b"%d" % (number + k) for k in range(1 + number % 7)])
    number += 1 + number % 7
    print(appended.size, flush=True)
"""


def test_a_real_kill_loses_nothing_that_was_acknowledged(quick_folder: Path) -> None:
    folder, seed = quick_folder / "ledger", bytes(range(32))
    signer = SeedSigner(SIGNER.name, seed)
    log = Log.create(folder, signer, now=NOW)
    acknowledged = 1
    for round_ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(folder), signer.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(seed.hex().encode() + b"\n")
            writer.stdin.flush()
            for _ in range(20 + 13 * round_):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split(b"\n")
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1] if line)])
        found = verify(folder, [parse_vkey(log.vkey)])
        assert found.problems == []
        assert found.size is not None
        assert found.size >= acknowledged
    size = log.append([b"after"]).size
    found = verify(folder, [parse_vkey(log.vkey)])
    assert (found.is_whole, found.remarks, found.size) == (True, [], size)


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=True, timeout=30
    )
    try:
        log = log_in(folder / "ledger")
        size = 1
        with pytest.raises(OrchestratorError, match="no space left"):  # noqa: PT012
            for _ in range(1000):
                size = log.append([os.urandom(5000)]).size
        assert size > 5
        found = verify(folder / "ledger", [VERIFIER])
        assert (found.problems, found.size) == ([], size)
        subprocess.run(["mount", "-o", "remount,size=8m", str(folder)], check=True, timeout=30)
        assert log.append([b"more"]).first == size
        assert verify(folder / "ledger", [VERIFIER]).is_whole
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)
