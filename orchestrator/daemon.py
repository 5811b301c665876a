"""The scheduler: APScheduler in memory, slots in the catalog.

Slots are computed by `schedule` (Debian cron's daylight-saving rules); APScheduler only wakes us
up. Nothing is pickled, nothing is lost by a kill: what was missed or cut off is found again from
the catalog at start and every few minutes.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from orchestrator import schedule
from orchestrator.actions.due import due_slot
from orchestrator.actions.jobs import ORDER, JobResult, missed, run_slot
from orchestrator.actions.missed import notice
from orchestrator.actions.site import Site
from orchestrator.clock import Clock, SystemClock
from orchestrator.config.jobs import Job, load_jobs
from orchestrator.errors import OrchestratorError, StoppedError
from orchestrator.wiring import open_site

_log = logging.getLogger(__name__)

SWEEP_S = 300
"""How often the catalog is asked for slots that nobody has run."""

NOTICE_S = 3600
"""How often the catalog is asked for what was due and did not happen."""

STOP_WITHIN_S = 60.0
"""How long running jobs may take to end after SIGTERM before the process leaves them."""

_LEFT_BEHIND = 1
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)


class SlotTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at the slots of a cron expression in a time zone.

    APScheduler's own cron trigger skips days around daylight-saving changes for local times
    between 00:00 and 03:59, which is when backups run (measured with 3.11.3).

    Args:
        expression: Five cron fields.
        zone: The time zone they are meant in.
    """

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        self._expression = expression
        self._zone = zone

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the first slot after the last one, or after now."""
        return schedule.next_due(self._expression, self._zone, previous_fire_time or now)


class Daemon:
    """Runs the jobs of one site.

    Args:
        site_file: The site file; read anew for every job, so that a change needs no restart.
        clock: Reads the time; None for the machine's.
        stop_within_s: How long running jobs may take to end when the daemon is told to stop.
    """

    def __init__(
        self, site_file: Path, *, clock: Clock | None = None, stop_within_s: float = STOP_WITHIN_S
    ) -> None:
        self._site_file = site_file
        self._clock = clock or SystemClock()
        self._stop_within_s = stop_within_s
        self._stop = threading.Event()
        self._running: list[Site] = []
        self._queued: set[str] = set()
        self._guard = threading.Lock()
        self._noticed_at: float | None = None

    def run_due(self) -> list[JobResult]:
        """Run every job with a slot that is due, one after the other.

        Raises:
            ConfigError: The site file or a job file is wrong.
            StoppedError: SIGTERM or SIGINT came; what was running is closed, its slot still due.
        """
        with self._listening():
            results = []
            for job in self._look():
                result = self._run(job)
                if result is not None:
                    results.append(result)
            if self._stop.is_set():
                raise StoppedError("stopped", hint="the next call goes on from here")
        return results

    def serve(self) -> None:
        """Run until SIGTERM or SIGINT, then stop running jobs and leave within a set time.

        If a job does not end in time the process is ended at once with exit code 1; the next
        start closes what it left, as after a crash.

        Raises:
            ConfigError: The site file or a job file is wrong.
        """
        site = self._open()
        jobs = load_jobs(site.config).active
        scheduler = BackgroundScheduler(
            # One thread for each job: none waits behind a long one. Idle ones cost nothing.
            executors={"default": ThreadPoolExecutor(len(jobs) + 1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=site.config.timezone,
        )
        for job in jobs.values():
            if job.schedule is None:
                continue  # the sweep sees when it is due
            trigger = SlotTrigger(job.schedule, site.config.timezone)
            scheduler.add_job(self._fire, trigger, args=[job.name], id=f"job {job.name}")
        at_once = SystemClock().now()
        scheduler.add_job(
            self._sweep, "interval", seconds=SWEEP_S, id="sweep", next_run_time=at_once
        )
        with self._listening():
            scheduler.start()
            _log.info("serving %d jobs of site %s", len(jobs), site.config.name)
            self._stop.wait()
            scheduler.shutdown(wait=False)
            if not self._has_ended():
                _log.error("a job did not end within %g seconds: leaving", self._stop_within_s)
                logging.shutdown()
                # Threads at work would keep the interpreter from ending for as long as they like.
                os._exit(_LEFT_BEHIND)
        _log.info("stopped")

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Turn SIGTERM and SIGINT into the end of the work, told by a thread of its own.

        A handler runs in the midst of whatever the main thread does, and must not take a lock.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        thread = threading.Thread(target=self._listen, args=[reader], name="signals", daemon=True)
        thread.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(writer)
            thread.join()
            os.close(reader)

    def _listen(self, reader: int) -> None:
        while got := os.read(reader, 1):
            if got[0] in _SIGNALS:
                self._end()

    def _end(self) -> None:
        with self._guard:
            self._stop.set()
            for site in self._running:
                site.stop.set()

    def _has_ended(self) -> bool:
        deadline = self._clock.monotonic() + self._stop_within_s
        pause = threading.Event()
        while self._running and self._clock.monotonic() < deadline:
            pause.wait(0.05)
        return not self._running

    def _look(self) -> list[Job]:
        """Close what a crash left open, and return the jobs that are due, in order."""
        site = self._open()
        try:
            for run in missed(site):
                _log.warning("run %s was cut off; the next one goes on from there", run.id)
            active = load_jobs(site.config).active
            self._notice(site, active)
            jobs = sorted(active.values(), key=_order)
            return [job for job in jobs if due_slot(site, job) is not None]
        finally:
            site.catalog.dispose()

    def _notice(self, site: Site, jobs: dict[str, Job]) -> None:
        """Record what was missed: at the start, before it is made up for, and each hour."""
        at = self._clock.monotonic()
        if self._noticed_at is None or at - self._noticed_at >= NOTICE_S:
            notice(site, jobs)
            self._noticed_at = at

    def _sweep(self) -> None:
        """Find what is due and was missed, and run it in order in a thread of its own.

        A long job in one sweep delays nothing that a later sweep finds.
        """
        try:
            due = self._look()
        except OrchestratorError as error:
            _log.error("the jobs cannot be looked at: %s", error.message)
            return
        with self._guard:
            due = [job for job in due if job.name not in self._queued]
            self._queued.update(job.name for job in due)
        if due:
            threading.Thread(target=self._catch_up, args=[due], name="catch-up").start()

    def _catch_up(self, due: list[Job]) -> None:
        for job in due:
            self._guarded(job)
            with self._guard:
                self._queued.discard(job.name)

    def _fire(self, name: str) -> None:
        try:
            job = load_jobs(self._open().config).active.get(name)
        except OrchestratorError as error:
            _log.error("job %s cannot be read: %s", name, error.message)
            return
        if job is not None:
            self._guarded(job)

    def _guarded(self, job: Job) -> None:
        try:
            self._run(job)
        except OrchestratorError as error:
            _log.error("job %s cannot be run: %s", job.name, error.message)
        except Exception as error:  # noqa: BLE001
            # The daemon outlives whatever one job does; the run's own record has the failure. Its
            # text may hold a path, and goes nowhere but to who debugs.
            _log.error("job %s failed: unexpected %s", job.name, type(error).__name__)
            _log.debug("job %s failed", job.name, exc_info=True)

    def _run(self, job: Job) -> JobResult | None:
        """Run a job's due slot with a site of its own, so that one job's stop stops no other."""
        with self._guard:
            if self._stop.is_set():
                return None
            site = self._open()
            self._running.append(site)
        try:
            slot = due_slot(site, job)
            if slot is None:
                return None
            _log.info("job %s begins, slot %s", job.name, slot)
            result = run_slot(site, job, slot)
        finally:
            if "catalog" in site.__dict__:
                site.catalog.dispose()
            with self._guard:
                self._running.remove(site)
        if result is not None:
            level = logging.INFO if result.outcome == "succeeded" else logging.WARNING
            why = f": {result.message}" if result.message else ""
            _log.log(level, "job %s %s%s", job.name, result.outcome, why)
        return result

    def _open(self) -> Site:
        return open_site(self._site_file, clock=self._clock)


def _order(job: Job) -> int:
    return ORDER.index(job.action)
