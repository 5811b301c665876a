"""``rotate``: forget snapshots that no rule keeps."""

from __future__ import annotations

import click

from orchestrator.cli import render
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@click.argument("store", required=False)
@click.option("--execute", is_flag=True, help="Really forget and prune; without it only say so.")
@pass_invocation
def rotate(invocation: Invocation, store: str | None, *, execute: bool) -> None:
    """Say which snapshots of STORE (default: all) the site's rotation lets go; do it on --execute.

    Replicas follow at their next turn; a bucket's files go when their lock has ended. Exit
    status 5 if the clock is not to be trusted.
    """
    from orchestrator.actions.rotate import rotate as let_go

    site = invocation.open_site()
    site.demand_role("operator")
    results = let_go(site, site.stores([store] if store else None), dry_run=not execute)
    if invocation.as_json:
        render.show_json(
            {
                "stores": [
                    {
                        "store": result.store,
                        "run": result.run,
                        "keep": [
                            {"snapshot": one, "reasons": why} for one, why in result.keep.items()
                        ],
                        "remove": result.remove,
                        "leftovers": result.leftovers,
                        "executed": not result.dry_run,
                        "files_removed": result.files_removed,
                    }
                    for result in results
                ]
            }
        )
        return
    for result in results:
        verb = "would go" if result.dry_run else "are forgotten"
        render.say(
            f"store {result.store}: {len(result.keep)} snapshots stay, "
            f"{len(result.remove)} {verb}, {result.files_removed} files removed"
        )
        if result.leftovers:
            render.say(
                f"  {len(result.leftovers)} leftovers of runs that failed or were cut off {verb}"
            )
        render.table(
            ["snapshot", "why it stays"],
            [[one[:8], ", ".join(why)] for one, why in result.keep.items()],
        )
