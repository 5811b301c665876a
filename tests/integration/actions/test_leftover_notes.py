"""What a dead run's engines leave behind is forgotten by the next run of the store."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

from orchestrator.actions.lock import locked
from orchestrator.clock import SystemClock
from orchestrator.engines.orphans import reap_recorded, record_child


def test_note_of_an_engine_that_ended_by_itself_is_forgotten(tmp_path: Path) -> None:
    notes = tmp_path / "engines"
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    note = record_child(child.pid, notes)
    dead = subprocess.Popen(["true"])
    fields = json.loads(note.read_text())
    note.write_text(json.dumps(fields | {"parent": dead.pid}))  # its orchestrator was killed, too
    dead.wait()
    child.kill()
    child.wait()

    with locked(
        tmp_path / "locks",
        "xrays",
        "run",
        clock=SystemClock(),
        stop=threading.Event(),
        end_leftovers=lambda: reap_recorded(notes),
    ):
        assert list(notes.iterdir()) == []
