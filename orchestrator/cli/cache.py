"""``cache``: emptying caches of viewers and acquisition software by age."""

from __future__ import annotations

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import PARTLY_DONE, ExitWith
from orchestrator.cli.options import Invocation, pass_invocation


@click.group()
def cache() -> None:
    """Empty caches of viewers and acquisition software."""


@cache.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--execute", is_flag=True, help="Remove the files; otherwise only say what would go.")
@pass_invocation
def purge(invocation: Invocation, names: tuple[str, ...], *, execute: bool) -> None:
    """Remove old files of the caches named in the site file; no sanitization is claimed."""
    from orchestrator.actions import purge_cache

    site = invocation.open_site()
    if execute:
        site.demand_role("operator", "custodian")
    done = [purge_cache.purge(site, name, execute=execute) for name in names or site.config.caches]
    if invocation.as_json:
        render.show_json(
            {
                "executed": execute,
                "caches": [{"cache": one.cache, **purge_cache.counts(one.swept)} for one in done],
            }
        )
    elif not done:
        render.say("the site file names no cache: add [caches.NAME] to it")
    else:
        render.table(
            ["cache", "old files", "size", "removed", "too young", "other", "links", "failed"],
            [
                [
                    one.cache,
                    one.swept.files,
                    render.size(one.swept.size_bytes),
                    one.swept.removed,
                    one.swept.young,
                    one.swept.other,
                    one.swept.linked,
                    one.swept.failed,
                ]
                for one in done
            ],
        )
        if not execute:
            render.say("nothing was removed; with --execute it will be")
    if any(one.problem for one in done):
        raise ExitWith(PARTLY_DONE)
