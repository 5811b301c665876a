"""What a killed orchestrator leaves behind is found and ended, and nothing else is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.engines import orphans
from orchestrator.engines.process import reap_recorded, run, stream

ENV = {"PATH": "/usr/bin:/bin"}
ORCHESTRATOR = """
import sys
from pathlib import Path
from orchestrator.engines.process import run
run(["sh", "-c", "echo ready; sleep 60 & wait"], env={"PATH": "/usr/bin:/bin"},
    on_stdout=lambda line: print(line.decode(), flush=True), record=Path(sys.argv[1]))
"""


def orphaned(records: Path) -> int:
    """Start an orchestrator with a child, kill it with SIGKILL, return the child's pid."""
    with subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, str(records)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        (record,) = records.glob("child-*.json")
        pid = json.loads(record.read_text())["pid"]
        parent.kill()
        parent.wait()
    assert isinstance(pid, int)
    return pid


def group_lives(pid: int) -> bool:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[2] == str(pid) and fields[0] not in "ZX":
            return True
    return False


def group_gone(pid: int) -> bool:
    until = time.monotonic() + 60
    while group_lives(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not group_lives(pid)


def test_a_record_exists_only_while_the_child_lives(tmp_path: Path) -> None:
    records = tmp_path / "records"
    pieces = stream(["sh", "-c", "echo x; exec sleep 60"], env=ENV, record=records)
    next(pieces)
    (record,) = records.iterdir()
    assert json.loads(record.read_text()).keys() >= {"pid", "start_ticks", "boot"}
    pieces.close()
    assert list(records.iterdir()) == []
    run(["true"], env=ENV, record=records)
    assert list(records.iterdir()) == []


def test_the_orphan_of_a_killed_orchestrator_is_ended_with_its_group(tmp_path: Path) -> None:
    pid = orphaned(tmp_path)
    assert group_lives(pid)
    assert reap_recorded(tmp_path) == 1
    assert group_gone(pid)
    assert list(tmp_path.iterdir()) == []
    assert reap_recorded(tmp_path) == 0


def test_a_program_that_has_ended_is_no_fault_however_late_that_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process may stand still for longer than it has patience, just after the signal."""
    orphaned(tmp_path)
    kill = os.killpg

    def and_stand_still(pid: int, number: int) -> None:
        kill(pid, number)
        assert group_gone(pid)

    monkeypatch.setattr(os, "killpg", and_stand_still)
    monkeypatch.setattr(orphans, "_KILL_PATIENCE_S", 0.0)
    assert reap_recorded(tmp_path, grace_s=0.0) == 1


def test_a_process_id_used_again_is_never_hit(tmp_path: Path) -> None:
    pid = orphaned(tmp_path)
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"start_ticks": record["start_ticks"] - 1}))
    assert reap_recorded(tmp_path) == 0
    assert group_lives(pid)
    assert list(tmp_path.iterdir()) == []
    os.killpg(pid, signal.SIGKILL)
    assert group_gone(pid)


def test_a_record_of_an_earlier_boot_is_only_forgotten(tmp_path: Path) -> None:
    pid = orphaned(tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "another"}))
    assert reap_recorded(tmp_path) == 0
    assert group_lives(pid)
    os.killpg(pid, signal.SIGKILL)
    assert group_gone(pid)


def test_the_children_of_a_living_orchestrator_are_left_alone(tmp_path: Path) -> None:
    pieces = stream(["sh", "-c", "echo x; exec sleep 60"], env=ENV, record=tmp_path)
    next(pieces)
    assert reap_recorded(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 1
    pieces.close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_record_is_forgotten(tmp_path: Path, content: str) -> None:
    (tmp_path / "child-1.json").write_text(content)
    assert reap_recorded(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_no_records_means_nothing_to_do(tmp_path: Path) -> None:
    assert reap_recorded(tmp_path / "never made") == 0
