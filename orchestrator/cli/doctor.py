"""``doctor``: is everything in order?"""

from __future__ import annotations

from dataclasses import asdict

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import ExitWith
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@pass_invocation
def doctor(invocation: Invocation) -> None:
    """Check everything that can be checked without changing anything.

    Exit status 1 if something fails; warnings and what could not be checked are only shown.
    """
    from orchestrator.actions.doctor import examine

    found = examine(invocation.open_site())
    if invocation.as_json:
        render.show_json({"checks": [asdict(finding) for finding in found]})
    else:
        render.table(
            ["what", "state", "finding", "what to do"],
            [[f.name, f.state, f.detail, f.hint or ""] for f in found],
        )
    if any(finding.state == "fail" for finding in found):
        raise ExitWith(1)
