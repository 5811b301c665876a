"""Runs that meet, runs that are told to stop, runs that were never finished."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.site import STORE, Ended, LabSite, MakeSite, wait_for


def _ended(process: Any) -> Ended:
    out, err = process.communicate(timeout=240)
    return Ended(process.returncode, out, err)


def _first_restic(site: LabSite) -> int:
    return int(wait_for(site.restic_processes, pause_s=0.002)[0])


def _stopped_restic(site: LabSite) -> int:
    """Stop the first restic that does not end before it stands still."""
    while True:
        restic = _first_restic(site)
        with suppress(ProcessLookupError):
            os.kill(restic, signal.SIGSTOP)
        if wait_for(lambda: (state := _state(restic)) in "TZX" and state) == "T":  # noqa: B023
            return restic


def _state(pid: int) -> str:
    """Return the letter that the kernel has for what a process does; X if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def test_second_run_exits_11_and_names_the_first(make_site: MakeSite) -> None:
    site = make_site()
    first = site.start("backup", warm=True)
    restic = _stopped_restic(site)
    try:
        (row,) = site.runs("backup")
        others = [
            site.start(*words, warm=True)
            for words in (("backup",), ("replicate",), ("rotate", "--execute"), ("backup", STORE))
        ]
        for other in others:
            done = _ended(other)
            assert done.code == 11, (done.out, done.err)
            assert done.error["error"] == "LockedError"
            assert row["id"] in done.error["message"]
        assert site.verdict() == "not_met"  # looking is always allowed
        assert len(site.runs("backup")) == 1, "a run that was locked out is no run"
    finally:
        os.kill(restic, signal.SIGCONT)
    done = _ended(first)
    assert (done.code, done.document["run"]) == (0, row["id"])
    assert site.ask("backup")["outcome"] == "succeeded"


def test_unfinished_run_is_closed_as_interrupted(make_site: MakeSite) -> None:
    site = make_site()
    first = site.start("backup", warm=True)
    restic = _stopped_restic(site)  # an engine that outlives its orchestrator, and hangs
    wait_for(lambda: list(site.state.glob(f"engines/{STORE}/child-{restic}.json")), pause_s=0.001)
    first.kill()
    assert _ended(first).code == -signal.SIGKILL
    (row,) = site.runs("backup")
    assert (row["ended_at"], row["outcome"]) == (None, None)
    before = site.ask("status")["stores"][0]
    assert (before["verdict"], before["last_run"]["outcome"]) == ("not_met", None)

    assert site.ask("backup")["outcome"] == "succeeded"

    first_row, second_row = site.runs("backup")
    assert (first_row["id"], first_row["outcome"]) == (row["id"], "interrupted")
    assert first_row["ended_at"] is not None
    assert second_row["outcome"] == "succeeded"
    assert site.restic_processes() == []
    steps = site.rows("SELECT * FROM run_step WHERE run_id = ?", row["id"])
    assert {step["outcome"] for step in steps} <= {"succeeded", "interrupted"}
    site.run("check")


def test_half_written_lock_of_a_killed_engine_is_cleared_away(make_site: MakeSite) -> None:
    site = make_site()
    left = site.primary / "locks" / f"{'ab' * 32}-tmp-123456"
    process = site.start("backup", warm=True)
    _first_restic(site)
    process.kill()
    process.communicate()
    wait_for(lambda: not site.restic_processes())
    left.write_bytes(b"")

    assert site.ask("backup")["outcome"] == "succeeded"

    assert not list(left.parent.iterdir())


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "look"),
        (signal.SIGTERM, "store"),
        (signal.SIGINT, "store"),
        (signal.SIGTERM, "commit"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_stop_signal_ends_a_backup_cleanly(
    make_site: MakeSite, number: signal.Signals, moment: str
) -> None:
    site = make_site()
    (site.images / "new.dcm").write_bytes(os.urandom(30_000_000))
    begun = (
        "SELECT * FROM run_step JOIN run ON run.id = run_id WHERE name = ? AND action = 'backup'"
    )
    for attempt in range(1, 6):
        process = site.start("backup")
        wait_for(lambda: len(site.rows(begun, moment)) == attempt, pause_s=0.002)  # noqa: B023
        process.send_signal(number)
        done = _ended(process)
        if done.code != 0 or moment == "commit":
            break
        # It was done before the signal came: once more, with something to do.
        (site.images / "new.dcm").write_bytes(os.urandom(30_000_000))

    row = site.runs("backup")[-1]
    assert site.restic_processes() == []
    if done.code == 0:
        assert moment == "commit"
        assert row["outcome"] == "succeeded"
    else:
        assert done.code == 130, (done.out, done.err)
        assert done.error["exit_code"] == 130
        assert done.error["hint"]
        assert done.out == ""
        assert row["outcome"] == "interrupted"
    again = site.ask("backup")
    assert again["outcome"] == "succeeded"
    assert not list((site.primary / "locks").glob("*"))
    assert not list(site.state.glob("scratch/*"))
    (found,) = site.ask("check")["copies"]
    assert (found["state"], found["structure"], found["damaged"]) == ("proven", "sound", [])
