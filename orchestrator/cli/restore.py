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
@click.option("--as-of", metavar="TIME", help="As the copy was then: a date or an instant.")
@pass_invocation
def restore(
    invocation: Invocation,
    store: str,
    to: Path,
    snapshot: str | None,
    copy: str | None,
    study: str | None,
    as_of: str | None,
) -> None:
    """Restore STORE, or one study of it, and verify every file against the manifest.

    Never overwrites: the folder must be new or empty. With --as-of, the newest complete snapshot
    of that time is taken; from a bucket also what was hidden or overwritten since, for each file
    is recognised by its hash. A date means the end of that day at the site.

    Exit status: 0 restored and verified, 4 what came back is not what was backed up, 5 the folder
    is not empty, 10 no such thing.
    """
    from orchestrator.actions.as_of import instant
    from orchestrator.actions.restore import Wish
    from orchestrator.actions.restore import restore as bring_back

    site = invocation.open_site()
    site.demand_role("operator")
    site.store_config(store)
    if copy is not None:
        site.copy_config(copy)
    zone, now = site.config.timezone, site.clock.now()
    at = instant(as_of, zone, now=now) if as_of is not None else None
    done = bring_back(site, Wish(store, to, snapshot, copy, study, at))
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
                "as_of": done.as_of,
                "bad_files": done.bad_files,
            }
        )
        return
    render.say(
        f"{done.files} files, {render.size(done.bytes)}, restored from copy {done.copy}, snapshot "
        f"{done.snapshot[:8]}: every file has the size and SHA-256 of backup time"
    )
    if done.suppressed:
        render.say(f"{done.suppressed} files of disposed studies were left out")
    if done.not_good:
        render.note(f"{done.not_good} files were not good when they were backed up")
    if done.bad_files:
        render.note(
            f"{done.bad_files} files of copy {done.copy} have wrong bytes, though not where these "
            f"images are: orchestrator check {done.copy}"
        )
