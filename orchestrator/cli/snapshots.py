"""``snapshots``: what can be restored, and from where."""

from __future__ import annotations

import click

from orchestrator.cli import render
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@click.argument("store", required=False)
@pass_invocation
def snapshots(invocation: Invocation, store: str | None) -> None:
    """List the snapshots of STORE (default: all) and the copies that hold each."""
    from orchestrator.actions.listing import snapshot_list

    site = invocation.open_site()
    found = snapshot_list(site, site.stores([store] if store else None))
    if invocation.as_json:
        render.show_json({"snapshots": [one.document() for one in found]})
        return
    render.table(
        ["snapshot", "store", "taken", "files", "bytes", "complete", "copies"],
        [
            [
                one.snapshot[:8],
                one.store,
                one.at,
                one.files,
                render.size(one.size_bytes),
                one.complete,
                ", ".join(one.copies) or "none",
            ]
            for one in found
        ],
    )
