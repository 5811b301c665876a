"""``restore``: bring images back."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli import render
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@click.argument("store")
@click.option("--to", required=True, type=click.Path(path_type=Path), help="An empty folder.")
@click.option("--snapshot", metavar="ID", help="Data snapshot.  [default: the newest complete]")
@click.option("--copy", help="From this copy.  [default: the first that can serve it]")
@click.option("--study", metavar="KEY", help="Only this study, by its pseudonym.")
@pass_invocation
def restore(
    invocation: Invocation,
    store: str,
    to: Path,
    snapshot: str | None,
    copy: str | None,
    study: str | None,
) -> None:
    """Restore STORE, or one study of it, and verify every file against the manifest.

    Never overwrites: the folder must be new or empty. Exit status: 0 restored and verified,
    4 what came back is not what was backed up, 5 the folder is not empty, 10 no such thing.
    """
    from orchestrator.actions.restore import Wish
    from orchestrator.actions.restore import restore as bring_back

    site = invocation.open_site()
    site.demand_role("operator")
    site.store_config(store)
    if copy is not None:
        site.copy_config(copy)
    done = bring_back(site, Wish(store, to, snapshot, copy, study))
    if invocation.as_json:
        render.show_json(
            {
                "run": done.run,
                "store": done.store,
                "snapshot": done.snapshot,
                "copy": done.copy,
                "files": done.files,
                "bytes": done.bytes,
                "suppressed": done.suppressed,
                "not_good": done.not_good,
                "verified": done.verified,
            }
        )
        return
    render.say(
        f"{done.files} files, {render.size(done.bytes)}, restored from copy {done.copy}, snapshot "
        f"{done.snapshot[:8]}: every file has the size and SHA-256 of backup time"
    )
    if done.not_good:
        render.note(f"{done.not_good} files were not good when they were backed up")
