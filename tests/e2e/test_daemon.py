"""The daemon as installed: what is due runs, once; a stop is clean and a kill costs nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.actions.lock import StoreLock
from orchestrator.config.presets import shipped_files
from orchestrator.daemon import Daemon
from tests.support.clock import ShiftedClock
from tests.support.site import PROGRAM, LabSite, MakeSite, kill_group, wait_for

BIG = 200 << 20
IDLE = {
    "cache-purge",
    "lock-extension",
    "offline-drill",
    "offline-rotation",
    "weekly-drill",
    "weekly-tamper-probe",
}
"""Shipped jobs that have nothing to do on a site with one local copy and no cache."""

VAULT = """
[copies.vault]
role = "immutable"
endpoint = "http://127.0.0.1:9"
region = "us-east-1"
bucket = "vault"
lock_period = "35d"
access_key = {{ command = ["{hang}"] }}
secret_key = {{ env = "NOT_SET" }}
"""


def only(site: LabSite, **jobs: str) -> None:
    """Leave these jobs only; each is named by its file and given as its text."""
    folder = site.folder / "jobs"
    folder.mkdir(exist_ok=True)
    for file in shipped_files("jobs"):
        (folder / file.name).write_text("enabled = false\n")
    for name, text in jobs.items():
        (folder / f"{name}.toml").write_text(text)


def nightly(hour: int | None = None, more: str = "") -> str:
    """Return a backup job; without an hour it falls due again in half a day, not in a test."""
    if hour is None:
        hour = (datetime.now(ZoneInfo("America/Chicago")).hour + 12) % 24
    return f'action = "backup"\nschedule = "0 {hour} * * *"\n{more}\n'


def make_big(site: LabSite) -> None:
    """Give the store enough bytes that a backup can be caught at work."""
    with (site.images / "big.bin").open("wb") as stream:
        for _ in range(BIG >> 20):
            stream.write(os.urandom(1 << 20))


def slots(site: LabSite, job: str | None = None) -> list[dict[str, object]]:
    rows = site.rows("SELECT * FROM job_slot ORDER BY job, slot")
    return [row for row in rows if job in (None, row["job"])]


def backups(site: LabSite) -> list[int]:
    """Return the restic processes that take a backup."""
    found = []
    for pid in site.restic_processes():
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            found += [pid] if b"backup" in words else []
    return found


def hold_up(site: LabSite, pause_s: float) -> None:
    """Let the first backup of restic stand still for a while: no machine is faster than that."""
    (pid, *_) = wait_for(lambda: backups(site), pause_s=0.002)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(pause_s)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def serve(site: LabSite) -> subprocess.Popen[str]:
    return site.start("daemon")


def test_once_runs_what_is_due_in_order_and_a_second_call_runs_nothing(make_site: MakeSite) -> None:
    site = make_site()
    first = site.run("daemon", "--once", expect=3)  # 3-2-1 is not met by one copy
    done = {job["job"]: job["outcome"] for job in first.document["jobs"]}
    first_run = set(done)
    listed = {job["name"]: job for job in site.ask("job", "list")["jobs"]}
    drills = {"monthly-drill", "kit-drill"}  # these wait for a slot after the first backup
    assert set(done) | drills == {name for name, job in listed.items() if job["idle"] is None}
    assert not set(done) & drills
    idle = {name for name, job in listed.items() if job["idle"] is not None}
    assert idle.issuperset(IDLE)
    assert done.pop("status") == "partial"
    assert set(done.values()) == {"succeeded"}
    order = [job["job"] for job in first.document["jobs"]]
    assert order[0] == "nightly-backup"
    assert order[-1] == "status"
    assert [(run["job"], run["attempt"]) for run in site.runs("backup")] == [("nightly-backup", 1)]
    assert site.runs("backup")[0]["slot"] == slots(site, "nightly-backup")[0]["slot"]
    assert str(site.images) not in first.err

    assert site.ask("daemon", "--once") == {"jobs": []}
    assert len(site.runs("backup")) == 1
    for name in first_run:
        job = listed[name]
        assert job["last_slot"] == slots(site, name)[0]["slot"]
        assert job["last_outcome"] in ("succeeded", "partial")
        assert job["missed"] == 0


def test_after_days_of_absence_each_job_runs_once(make_site: MakeSite) -> None:
    site = make_site()
    only(site, nightly=nightly(), hourly='action = "status"\nschedule = "30 * * * *"\n')
    clock = ShiftedClock()
    assert len(Daemon(site.file, clock=clock).run_due()) == 2
    clock.ahead = timedelta(days=5)
    before = datetime.now(UTC)
    ran = Daemon(site.file, clock=clock).run_due()
    assert [result.job for result in ran] == ["nightly", "hourly"]
    for result in ran:
        assert result.slot is not None
        age = before + clock.ahead - datetime.fromisoformat(result.slot)
        assert age < timedelta(hours=24 if result.job == "nightly" else 1, minutes=1)
    assert Daemon(site.file, clock=clock).run_due() == []
    assert len(site.runs("backup")) == 2
    with site.opened(clock) as opened:
        assert opened.clock.now() > before + timedelta(days=4)
    missed = [row for row in slots(site, "nightly") if row["outcome"] == "missed"]
    assert len(missed) == 4


def test_two_daemons_at_once_claim_each_slot_once(make_site: MakeSite) -> None:
    site = make_site()
    now = datetime.now(ZoneInfo("America/Chicago"))
    # None falls due again between the start of the first and the end of the last.
    minutes = [(now.minute - 10 - n) % 60 for n in range(6)]
    status = 'action = "status"\nschedule = "{} * * * *"\n'
    only(site, **{f"job-{n}": status.format(minute) for n, minute in enumerate(minutes)})
    (site.folder / "jobs/nightly.toml").write_text(nightly())
    both = [site.start("daemon", "--once", warm=True) for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=300)[0]) for process in both]
    ran = [job["job"] for answer in answers for job in answer["jobs"]]
    assert sorted(ran) == [*(f"job-{n}" for n in range(6)), "nightly"]
    assert len(site.runs("backup")) == 1
    assert all(row["ended_at"] is not None for row in slots(site))


def test_job_waits_for_the_lock_of_its_store(make_site: MakeSite) -> None:
    site = make_site()
    only(site, nightly=nightly())
    lock = StoreLock(site.state / "locks", "xrays")
    lock.acquire("somebody")
    started = time.monotonic()
    threading.Timer(4, lock.release).start()
    answer = site.ask("daemon", "--once")
    assert answer["jobs"][0]["outcome"] == "succeeded"
    assert time.monotonic() - started > 3


def test_stop_ends_the_wait_for_a_lock(make_site: MakeSite) -> None:
    site = make_site()
    only(site, nightly=nightly())
    lock = StoreLock(site.state / "locks", "xrays")
    lock.acquire("somebody")
    try:
        process = site.start("daemon", "--once")
        wait_for(lambda: slots(site))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    finally:
        lock.release()
    assert process.returncode == 130
    assert json.loads(err.splitlines()[-1])["error"] == "StoppedError"
    assert slots(site)[0]["ended_at"] is None


def test_job_that_takes_too_long_is_stopped_and_not_begun_again(make_site: MakeSite) -> None:
    site = make_site()
    make_big(site)
    only(site, nightly=nightly(more='max_duration = "1s"'))
    slower = threading.Thread(target=hold_up, args=(site, 2.0))
    slower.start()
    answer = site.ask("daemon", "--once", expect=1)
    slower.join()
    assert answer["jobs"][0]["outcome"] == "interrupted"
    assert "max_duration" in answer["jobs"][0]["message"]
    assert [run["outcome"] for run in site.runs("backup")] == ["interrupted"]
    assert slots(site)[0]["outcome"] == "interrupted"
    assert site.restic_processes() == []
    assert site.ask("daemon", "--once") == {"jobs": []}


def test_sigterm_ends_a_running_backup_cleanly_and_the_next_start_takes_it_up(
    make_site: MakeSite,
) -> None:
    site = make_site()
    make_big(site)
    only(site, nightly=nightly())
    process = serve(site)
    wait_for(lambda: backups(site), pause_s=0.002)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert site.restic_processes() == []
    (run,) = site.runs("backup")
    assert (run["outcome"], run["job"], run["attempt"]) == ("interrupted", "nightly", 1)
    assert site.ask("job", "list")["jobs"][0]["last_outcome"] == "interrupted"
    assert str(site.images) not in err
    assert "Traceback" not in err
    assert re.search(r"INFO .*serving 1 jobs", err)
    assert re.search(r"WARNING .*job nightly interrupted", err)

    assert site.ask("daemon", "--once")["jobs"][0]["outcome"] == "succeeded"
    again = site.runs("backup")[-1]
    assert (again["slot"], again["attempt"]) == (run["slot"], 2)
    assert site.ask("check", expect=0)["copies"][0]["damaged"] == []


def test_sigkill_costs_nothing(make_site: MakeSite) -> None:
    site = make_site()
    make_big(site)
    only(site, nightly=nightly())
    process = serve(site)
    wait_for(lambda: backups(site), pause_s=0.002)
    kill_group(process)
    assert site.runs("backup")[0]["outcome"] is None

    process = serve(site)
    wait_for(lambda: [r for r in site.runs("backup") if r["outcome"] == "succeeded"])
    wait_for(lambda: slots(site)[0]["ended_at"])
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    killed, caught_up = site.runs("backup")
    assert killed["outcome"] == "interrupted"
    assert (caught_up["slot"], caught_up["attempt"]) == (killed["slot"], 2)
    assert f"run {killed['id']} was cut off" in err
    assert [row["outcome"] for row in slots(site)] == ["succeeded"]
    assert site.restic_processes() == []
    assert site.ask("check", expect=0)["copies"][0]["damaged"] == []


def test_long_job_keeps_no_other_from_its_slot(make_site: MakeSite) -> None:
    """A check that waits is at work in the sweep; a backup that falls due runs beside it."""
    site = make_site()
    site.ask("backup")
    only(site, rotate='action = "rotate"\nschedule = "0 2 * * *"\n')
    lock = StoreLock(site.state / "locks", "xrays")
    lock.acquire("somebody")
    (site.folder / "jobs/status.toml").write_text('action = "status"\nschedule = "* * * * *"\n')
    process = serve(site)
    try:
        wait_for(lambda: slots(site, "rotate"))
        # The sweep's thread hangs in `rotate`; the next minute's `status` is not behind it.
        done = wait_for(
            lambda: [row for row in slots(site, "status") if row["outcome"] == "partial"],
            limit_s=300,
            pause_s=0.2,
        )
        assert done
        assert slots(site, "rotate")[0]["ended_at"] is None
    finally:
        lock.release()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 0


def test_job_files_of_the_site_replace_shipped_ones_and_all_faults_are_told(
    make_site: MakeSite,
) -> None:
    site = make_site()
    jobs = site.folder / "jobs"
    jobs.mkdir()
    (jobs / "nightly-backup.toml").write_text(nightly(hour=4))
    (jobs / "weekly-tamper-probe.toml").write_text("enabled = false\n")
    listed = site.ask("job", "list")
    mine = next(job for job in listed["jobs"] if job["name"] == "nightly-backup")
    assert (mine["origin"], mine["schedule"]) == ("site", "0 4 * * *")
    assert listed["disabled"] == ["weekly-tamper-probe"]

    (jobs / "status.toml").write_text('action = "dance"\nschedule = "0 7 * * *"\n')
    (jobs / "mine.toml").write_text('action = "backup"\nschedule = "61 2 * * *"\nstores = ["x"]\n')
    for words in (("daemon", "--once"), ("daemon",)):
        error = site.run(*words, expect=2).error
        assert error["exit_code"] == 2
        assert error["message"].count("\n") == 2
        for part in ("status.toml: action", "mine.toml: schedule", "mine.toml: stores"):
            assert part in error["message"]
    assert slots(site) == []


def test_journal_gets_levels_and_no_second_clock(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site()
    only(site, status='action = "status"\nschedule = "0 2 * * *"\n')
    with (tmp_path / "journal").open("wb") as journal:
        about = os.fstat(journal.fileno())
        done = subprocess.run(
            [str(PROGRAM), "daemon", "--once"],
            env={**site.env, "JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"},
            stdout=subprocess.DEVNULL,
            stderr=journal,
            check=False,
        )
    assert done.returncode == 3
    lines = (tmp_path / "journal").read_text().splitlines()
    assert any(re.fullmatch(r"<6>job status begins, slot .*", line) for line in lines)
    assert any(re.match(r"<4>job status partial: ", line) for line in lines)
    assert all(re.match(r"<[3-7]>", line) for line in lines)


def test_daemon_leaves_a_job_that_does_not_end(make_site: MakeSite, tmp_path: Path) -> None:
    site = make_site()
    started = tmp_path / "pid"
    hang = tmp_path / "hang"
    hang.write_text(f"#!/bin/sh\necho $$ > {started}\nexec sleep 300\n")
    hang.chmod(0o755)
    only(site, probe='action = "probe"\nschedule = "0 2 * * *"\ncopies = ["immutable"]\n')
    site.write(more=VAULT.format(hang=hang))
    program = (
        "import sys; from pathlib import Path; from orchestrator.daemon import Daemon; "
        "Daemon(Path(sys.argv[1]), stop_within_s=0.5).serve()"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(site.file)], env=site.env)
    pid = int(wait_for(lambda: started.exists() and started.read_text().strip()))
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 1
        assert site.runs("probe")[0]["outcome"] is None
    finally:
        os.kill(pid, signal.SIGKILL)
    site.write(more="")
    site.ask("backup")
    assert site.runs("probe")[0]["outcome"] == "interrupted"
