"""``catalog``: the site's memory."""

from __future__ import annotations

import click

from orchestrator.cli import render
from orchestrator.cli.options import Invocation, pass_invocation


@click.group()
def catalog() -> None:
    """Rebuild the catalog from any copy."""


@catalog.command()
@click.option("--copy", required=True, help="The copy to read.")
@click.option("--store", help="The store whose repository is read.  [default: the first]")
@pass_invocation
def rebuild(invocation: Invocation, copy: str, store: str | None) -> None:
    """Make the catalog anew from the manifests and the state in COPY.

    The old catalog file, if there is one, is put aside and kept.
    """
    from orchestrator.actions.rebuild import rebuild as make_anew

    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    done = make_anew(site, site.copy_config(copy).name, site.stores([store] if store else None))
    if invocation.as_json:
        render.show_json(
            {
                "copy": done.copy,
                "rows": done.rows,
                "snapshots": done.snapshots,
                "files": done.files,
                "put_aside": done.put_aside,
            }
        )
        return
    render.say(
        f"catalog rebuilt from copy {done.copy}: {done.rows} rows of state, {done.snapshots} "
        f"snapshots, {done.files} files"
    )
    if done.put_aside is not None:
        render.say(f"the old one is kept at {done.put_aside}")
    render.say("next: orchestrator check, then orchestrator status")
