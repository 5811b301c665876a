"""``daemon``: unattended work."""

from __future__ import annotations

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith, log_as_service
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@click.option("--once", is_flag=True, help="Run what is due and end: for cron.")
@pass_invocation
def daemon(invocation: Invocation, *, once: bool) -> None:
    """Run jobs when they are due; SIGTERM ends it cleanly, with exit status 0.

    With --once, exit status 1 if a job failed, 3 if one was partly done, 130 if it was told to
    stop, else 0.
    """
    from orchestrator.daemon import Daemon

    log_as_service()
    service = Daemon(invocation.find_site_file())
    if not once:
        service.serve()
        return
    results = service.run_due()
    if invocation.as_json:
        render.show_json(
            {
                "jobs": [
                    {
                        "job": result.job,
                        "slot": result.slot,
                        "outcome": result.outcome,
                        "message": result.message,
                    }
                    for result in results
                ]
            }
        )
    else:
        render.table(
            ["job", "slot", "outcome", "message"],
            [[r.job, r.slot, r.outcome, r.message or ""] for r in results],
        )
    codes = {result.exit_code for result in results}
    if codes - {0, 3}:
        raise ExitWith(1)
    if codes - {0}:
        raise ExitWith(3)
