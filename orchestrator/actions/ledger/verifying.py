"""The ledger's verification on a schedule, and what `doctor` and `status` say of the last one.

A ledger that nobody verifies is believed unread: that it was not verified for long is told too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator import schedule
from orchestrator.actions.finding import Finding
from orchestrator.actions.run import BY_HAND, Occasion, run
from orchestrator.actions.site import Site
from orchestrator.catalog import ledger as rows
from orchestrator.catalog import runs
from orchestrator.config.jobs import Job, load_jobs
from orchestrator.errors import ConfigError, DamageError

if TYPE_CHECKING:
    from orchestrator.actions.ledger.check import LedgerCheck

ACTION = "ledger-verify"

PERIODS = 2
"""After so many periods of the job without a verification `doctor` says so."""

_NAME = "ledger verification"
_AGAIN = "orchestrator job run ledger-verify"


def verify_on_schedule(site: Site, *, occasion: Occasion = BY_HAND) -> LedgerCheck:
    """Verify the ledger as `ledger verify` does, and record what came of it.

    Args:
        site: The site.
        occasion: Why it happens.

    Raises:
        DamageError: Something is wrong with it.
        RefusedError: The site has no ledger, or it was lost.
    """
    from orchestrator.actions.ledger import check

    with run(site, ACTION, exclusive=False, occasion=occasion) as current:
        with current.step("verify"):
            found = check.verify(site)
        problems = found.problems
        current.metrics.update(entries=found.size, problems=len(problems))
        if problems or found.size is None:
            first = problems[0] if problems else "could not be verified"
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise DamageError(f"ledger: {first}{more}", hint="orchestrator ledger verify")
    return found


def look_at_verification(site: Site) -> Iterator[Finding]:
    """Say what the last verification by schedule came to, and when that was."""
    now = site.clock.now()
    with site.catalog.reading() as session:
        opened = rows.current(session)
        known = [row for row in runs.recent(session, action=ACTION) if row.started_at <= now]
    since = opened.opened_at if opened is not None else now
    known = [row for row in known if row.ended_at is not None and row.started_at >= since]
    judged = next((row for row in known if "problems" in row.metrics), None)  # came to a verdict
    if judged is not None and judged.outcome != "succeeded":
        yield Finding(_NAME, "fail", str(judged.reason), "orchestrator ledger verify")
        return
    last = next((row.started_at for row in known if row.outcome == "succeeded"), None)
    try:
        job = next((one for one in load_jobs(site.config).active.values() if _is_it(one)), None)
    except ConfigError as error:
        yield Finding(_NAME, "unknown", error.message, error.hint)
        return
    if job is None:
        hint = "a file in jobs/ beside site.toml switches the job off, or replaces it"
        yield Finding(_NAME, "warn", "no job verifies the ledger", hint)
        return
    words = "was never made" if last is None else f"last made {last:%Y-%m-%d %H:%M} UTC"
    if now - (last or since) > PERIODS * _period(site, job, now):
        detail = f"{words}: the job {job.name} did not run when it was due"
        yield Finding(_NAME, "warn", detail, _AGAIN)
    else:
        yield Finding(_NAME, "ok", words if last is not None else "is not due yet")


def _is_it(job: Job) -> bool:
    return job.action == ACTION and job.schedule is not None


def _period(site: Site, job: Job, now: datetime) -> timedelta:
    """Return how long it is from one turn of a job to the next."""
    zone = site.config.timezone
    first = schedule.next_due(job.schedule or "", zone, now)
    return schedule.next_due(job.schedule or "", zone, first) - first
