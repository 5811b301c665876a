"""``job``: definitions of unattended work."""

from __future__ import annotations

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import NotFoundError


@click.group()
def job() -> None:
    """List and run jobs."""


@job.command("list")
@pass_invocation
def list_jobs(invocation: Invocation) -> None:
    """Show every job with its origin, its last and its next run."""
    from orchestrator.actions.due import listing
    from orchestrator.config.jobs import MEDIUM_RETURNS, load_jobs

    site = invocation.open_site()
    jobs = load_jobs(site.config)
    found = listing(site, jobs.active)
    if invocation.as_json:
        render.show_json(
            {
                "jobs": [
                    {
                        "name": one.job.name,
                        "action": one.job.action,
                        "schedule": one.job.schedule,
                        "when": None if one.job.schedule else MEDIUM_RETURNS,
                        "stores": one.job.stores or "all",
                        "copies": one.job.copies or "all",
                        "max_duration_s": one.job.max_duration.total_seconds(),
                        "origin": one.job.origin,
                        "last_slot": one.last_slot,
                        "last_outcome": one.last_outcome,
                        "missed": one.missed,
                        "next_at": one.next_at,
                        "idle": one.idle,
                    }
                    for one in found
                ],
                "disabled": list(jobs.disabled),
            }
        )
        return
    render.table(
        ["job", "action", "schedule", "origin", "last slot", "outcome", "missed", "next"],
        [
            [
                one.job.name,
                one.job.action,
                one.job.schedule or MEDIUM_RETURNS,
                one.job.origin,
                one.last_slot,
                one.last_outcome,
                one.missed or None,
                one.next_at,
            ]
            for one in found
        ],
    )
    for one in found:
        if one.idle:
            render.say(f"{one.job.name}: {one.idle}")


@job.command("run")
@click.argument("name")
@pass_invocation
def run_one(invocation: Invocation, name: str) -> None:
    """Run job NAME now, whatever its schedule says. Exits as the action it runs."""
    from orchestrator.actions.jobs import run_job
    from orchestrator.config.jobs import load_jobs

    site = invocation.open_site()
    site.demand_role("operator")
    jobs = load_jobs(site.config)
    if name not in jobs.active:
        raise NotFoundError(
            f"there is no active job named {name!r}; there are: {', '.join(jobs.active)}",
            hint="orchestrator job list",
        )
    result = run_job(site, jobs.active[name])
    if invocation.as_json:
        render.show_json(
            {
                "job": result.job,
                "run": result.runs[0] if result.runs else None,
                "runs": result.runs,
                "outcome": result.outcome,
                "message": result.message,
            }
        )
    else:
        render.say(f"job {result.job}: {render.colour(result.outcome)}")
        if result.message:
            render.say(f"  {result.message}")
    if result.exit_code:
        raise ExitWith(result.exit_code)
