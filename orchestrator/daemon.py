"""The scheduler: APScheduler in memory, slots in the catalog.

Slots are computed by `schedule` (Debian cron's daylight-saving rules); APScheduler only wakes us
up. Nothing is pickled, nothing is lost by a kill: what was missed is found again from the catalog
at start and every few minutes.
"""

from __future__ import annotations

import logging
import signal
import threading
from datetime import datetime
from pathlib import Path
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from orchestrator import schedule
from orchestrator.actions.jobs import ORDER, JobResult, due_slot, missed, run_slot
from orchestrator.actions.site import Site
from orchestrator.clock import Clock, SystemClock
from orchestrator.config.jobs import Job, load_jobs
from orchestrator.errors import OrchestratorError
from orchestrator.wiring import open_site

_log = logging.getLogger(__name__)

SWEEP_S = 300
"""How often the catalog is asked for slots that nobody has run."""

STOP_WITHIN_S = 60.0
"""How long running jobs may take to end after SIGTERM before the process leaves them."""

WORKERS = 4


class SlotTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at the slots of a cron expression in a time zone.

    APScheduler's own cron trigger skips days around daylight-saving changes for local times
    between 00:00 and 03:59, which is when backups run (measured with 3.11.3).

    Args:
        expression: Five cron fields.
        zone: Name of the time zone.
    """

    def __init__(self, job: Job, site: Site) -> None:
        self._expression = job.schedule
        self._zone = site.config.timezone

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
    """

    def __init__(self, site_file: Path, *, clock: Clock | None = None) -> None:
        self._site_file = site_file
        self._clock = clock or SystemClock()
        self._stop = threading.Event()
        self._running: dict[str, Site] = {}
        self._guard = threading.Lock()

    def run_due(self) -> list[JobResult]:
        """Run every job with an unclaimed slot, one after the other."""
        site = self._open()
        missed(site)
        jobs = sorted(load_jobs(site.config).active.values(), key=_order)
        site.catalog.dispose()
        results = []
        for job in jobs:
            result = self._run(job)
            if result is not None:
                results.append(result)
        return results

    def serve(self) -> None:
        """Run until SIGTERM or SIGINT, then stop running jobs and leave within a set time."""
        site = self._open()
        for run in missed(site):
            _log.warning("run %s was interrupted; the next one goes on from there", run.id)
        jobs = load_jobs(site.config).active
        site.catalog.dispose()
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(WORKERS)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=site.config.timezone,
        )
        for job in jobs.values():
            scheduler.add_job(self._fire, SlotTrigger(job, site), args=[job.name], id=job.name)
        scheduler.add_job(self._sweep, "interval", seconds=SWEEP_S, id="sweep")
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        scheduler.start()
        first = threading.Thread(target=self._sweep, name="catch-up", daemon=True)
        first.start()
        _log.info("serving %d jobs", len(jobs))
        self._stop.wait()
        scheduler.shutdown(wait=False)
        self._end_running()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _end_running(self) -> None:
        deadline = self._clock.monotonic() + STOP_WITHIN_S
        with self._guard:
            for site in self._running.values():
                site.stop.set()
        pause = threading.Event()
        while self._running and self._clock.monotonic() < deadline:
            pause.wait(0.1)

    def _sweep(self) -> None:
        """Run what is due and was missed, in order; claimed slots are left alone."""
        try:
            site = self._open()
            missed(site)
            jobs = sorted(load_jobs(site.config).active.values(), key=_order)
            site.catalog.dispose()
        except OrchestratorError as error:
            _log.error("the jobs cannot be read: %s", error.message)
            return
        for job in jobs:
            if not self._stop.is_set():
                self._guarded(job)

    def _fire(self, name: str) -> None:
        try:
            site = self._open()
            job = load_jobs(site.config).active.get(name)
            site.catalog.dispose()
        except OrchestratorError as error:
            _log.error("job %s cannot be read: %s", name, error.message)
            return
        if job is not None:
            self._guarded(job)

    def _guarded(self, job: Job) -> None:
        try:
            self._run(job)
        except Exception:  # noqa: BLE001
            # The daemon outlives whatever one job does; the run's own record has the failure.
            _log.exception("job %s failed", job.name)

    def _run(self, job: Job) -> JobResult | None:
        """Run a job's due slot with a site of its own, so that one job's stop stops no other."""
        site = self._open()
        try:
            slot = due_slot(site, job)
            if slot is None or self._stop.is_set():
                return None
            with self._guard:
                self._running[job.name] = site
            try:
                result = run_slot(site, job, slot)
            finally:
                with self._guard:
                    self._running.pop(job.name, None)
        finally:
            site.catalog.dispose()
        if result is not None:
            _log.info(
                "job %s: %s%s",
                job.name,
                result.outcome,
                f": {result.message}" if result.message else "",
            )
        return result

    def _open(self) -> Site:
        return open_site(self._site_file, clock=self._clock)


def _order(job: Job) -> int:
    return ORDER.index(job.action)
