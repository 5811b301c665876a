"""kill -9 at random moments of backup, replicate, extend and rotate; then everything must hold.

``FAULT_ROUNDS`` (12) sets how many rounds there are, ``FAULT_SEED`` repeats a sequence. The seed
is printed; a moment is a share of the command's usual duration, so a seed repeats the choices, not
the microsecond.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions import check as checking
from orchestrator.actions import restore as restoring
from orchestrator.actions.backup import back_up
from orchestrator.actions.bucket import coverage
from orchestrator.actions.status import status
from orchestrator.engines.layout import is_temporary_name
from tests.support.restic import tree
from tests.support.seed import seed
from tests.support.site import STORE, LabSite, MakeSite, wait_for

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "12"))
COPIES = ["disk", "rotation", "vault"]
ROTATION = """
[rotation]
keep_last = 2
keep_daily = 1
keep_weekly = 1
keep_monthly = 1
keep_yearly = 1
minimum = 2
"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "backup": ("backup",),
    "replicate": ("replicate",),
    "extend": ("bucket", "extend", "vault"),
    "rotate": ("rotate", "--execute"),
}


@pytest.mark.slow
def test_kill_at_any_moment_costs_nothing(make_site: MakeSite, tmp_path: Path) -> None:
    drawn = seed("FAULT_SEED")
    print(f"FAULT_SEED={drawn} FAULT_ROUNDS={ROUNDS}")
    site = make_site(
        medium=True,
        vault=True,
        medium_mib=1024,
        more=ROTATION,
        lock_period="1d",
        store={"max_loss": 1.0},
    )
    rounds = _Rounds(site, random.Random(drawn), tmp_path)
    rounds.prepare()
    for number in range(ROUNDS):
        try:
            rounds.perform(number)
        except BaseException as error:
            error.add_note(f"FAULT_SEED={drawn}, round {number}: {rounds.last}")
            raise
    assert rounds.hits >= ROUNDS / 3, f"seed {drawn}: too many commands ended before the kill"


class _Rounds:
    def __init__(self, site: LabSite, choose: random.Random, tmp_path: Path) -> None:
        self.site = site
        self.choose = choose
        self.tmp_path = tmp_path
        self.usual_s: dict[str, float] = {}
        self.hits = 0
        self.last = ""
        self.lock_days = 1

    def prepare(self) -> None:
        self.site.ask("backup")
        for action, words in COMMANDS.items():
            self._make_work(action)
            started = time.monotonic()
            self.site.ask(*words)
            self.usual_s[action] = time.monotonic() - started

    def perform(self, number: int) -> None:
        action = (
            [*COMMANDS][number]  # each at least once
            if number < len(COMMANDS)
            else self.choose.choices([*COMMANDS], weights=[5, 2, 2, 4])[0]
        )
        victim = self.choose.choice(["orchestrator", "restic", "both", "orchestrator"])
        self._make_work(action)
        pid, killed_at, code = self._kill(action, victim)
        self.last += f", exit code {code}"
        if number % 2:
            self._look_at_replica()
        self._change_store()
        self.last += "; then the next run"
        done = self.site.run("backup", expect=(0, 11))
        if done.code == 11:  # killed before it could note its restic, which ends by itself
            self.last += " was locked out, and once more"
            wait_for(lambda: not self.site.restic_processes())
            done = self.site.run("backup")
        answer = done.document
        assert [one["state"] for one in answer["stores"][0]["copies"]] == ["proven"] * 3
        if action == "extend":
            self.site.ask("bucket", "extend", "vault")
        self._nothing_is_left()
        self._no_false_success(pid, killed_at, code)
        self._everything_is_proven(extended=action == "extend", restored=number % 3 == 2)
        print(f"round {number}: {self.last}: good", flush=True)

    # ---- what is done ----------------------------------------------------------------------

    def _make_work(self, action: str) -> None:
        self._change_store()
        if action == "replicate":
            with self.site.opened() as site:
                back_up(site, [STORE], copies=[])
        elif action == "extend":
            self.lock_days = self.lock_days * 2 + 1
            self.site.write(lock_period=f"{self.lock_days}d")
        elif action == "rotate":
            with self.site.opened() as site:
                back_up(site, [STORE], copies=["rotation"])

    def _change_store(self) -> None:
        folder = self.site.images / "incoming"
        folder.mkdir(exist_ok=True)
        there = sorted(folder.iterdir())
        if len(there) > 6:
            for path in self.choose.sample(there, 3):
                path.unlink()
        elif there:
            path = self.choose.choice(there)
            path.write_bytes(path.read_bytes() + self.choose.randbytes(1000))
        for _ in range(self.choose.randrange(1, 4)):
            name = f"im{self.choose.getrandbits(40):010x}.dcm"
            size = self.choose.choice([0, 900, 120_000, 3_000_000])
            (folder / name).write_bytes(self.choose.randbytes(size))

    def _kill(self, action: str, victim: str) -> tuple[int, dt.datetime, int]:
        """Kill at a moment of the command's usual duration; give pid, instant and exit code."""
        moment_s = self.choose.uniform(0.3, 1.0) * self.usual_s[action]
        self.last = f"{action}, kill {victim} after {moment_s:.2f} s"
        started = time.monotonic()
        process = self.site.start(*COMMANDS[action], warm=True)
        while process.poll() is None and time.monotonic() < started + moment_s:
            time.sleep(0.002)
        if process.poll() is not None:  # faster than it was when the machine was busier
            self.usual_s[action] = time.monotonic() - started
        if victim == "restic" and action != "extend":
            found: list[int] = []
            while process.poll() is None and not (found := self.site.restic_processes()):
                time.sleep(0.002)
            killed_at = dt.datetime.now(dt.UTC)
            for pid in found[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.hits += 1
        else:
            children = self.site.restic_processes()
            killed_at = dt.datetime.now(dt.UTC)
            if process.poll() is None:
                self.hits += 1
            process.kill()
            for pid in children if victim == "both" else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        assert process.returncode in (0, 1, 3, 4, -signal.SIGKILL), (out, err)
        return process.pid, killed_at, process.returncode

    # ---- what must be true -----------------------------------------------------------------

    def _look_at_replica(self) -> None:
        """A replica is a valid repository at every instant, not only after the next run."""
        name = self.choose.choice(["rotation", "vault"])
        with self.site.opened() as site:
            _, (found,) = checking.check(site, [STORE], names=[name])
        assert found.structure == "sound", (name, found)
        assert not found.damaged, (name, found)

    def _nothing_is_left(self) -> None:
        wait_for(lambda: not self.site.restic_processes())
        assert not list((self.site.primary / "locks").glob("*"))
        assert not [path for path in self.site.primary.rglob("*") if is_temporary_name(path.name)]
        assert not list(self.site.state.glob("engines/*/child-*"))
        assert not list(self.site.state.glob("scratch/*"))
        assert len(list(self.site.state.glob("manifests/*.sealed"))) == 1
        with (self.site.state / "locks" / f"{STORE}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _no_false_success(self, pid: int, killed_at: dt.datetime, code: int) -> None:
        rows = self.site.runs()
        assert all(row["ended_at"] and row["outcome"] for row in rows)
        killed = [row for row in rows if row["pid"] == pid and row["action"] in COMMANDS]
        self.last += f", recorded as {[row['outcome'] for row in killed]}"
        for row in killed:
            ended_at = dt.datetime.fromisoformat(row["ended_at"]).replace(tzinfo=dt.UTC)
            if code == -signal.SIGKILL and row["outcome"] in ("succeeded", "partial"):
                assert ended_at <= killed_at, f"{row} was killed at {killed_at}"
            elif code == 1:
                assert row["outcome"] == "failed", row

    def _everything_is_proven(self, *, extended: bool, restored: bool) -> None:
        with self.site.opened() as site:
            _, found = checking.check(site, [STORE], names=COPIES)
            for one in found:
                assert (one.state, one.structure, one.damaged) == ("proven", "sound", []), one
            (stand,) = status(site, [STORE])
            assert stand.verdict == "met", stand.reasons
            if extended:
                (cover,) = coverage(site, "vault", [STORE])
                half = dt.timedelta(days=self.lock_days) / 2
                assert cover.verdict == "covered", cover
                assert cover.protected_until is not None
                assert cover.protected_until > dt.datetime.now(dt.UTC) + half, cover
            if restored:
                self._restores(site, self.choose.choice(COPIES))

    def _restores(self, site: Any, copy: str) -> None:
        target = self.tmp_path / "restored"
        done = restoring.restore(site, restoring.Wish(STORE, target, copy=copy))
        assert done.verified
        assert tree(target) == tree(self.site.images)
        shutil.rmtree(target)
