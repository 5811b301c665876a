"""``init``: a new site, or what is still missing of one."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli import render
from orchestrator.cli.options import Invocation, pass_invocation


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--store", type=click.Path(path_type=Path), help="The folder with the images.")
@click.option("--name", default="My practice", show_default=True, help="The practice's name.")
@click.option("--timezone", default=None, help="Zone of the schedules.  [default: this machine's]")
@pass_invocation
def init(
    invocation: Invocation, directory: Path, store: Path | None, name: str, timezone: str | None
) -> None:
    """Make a site in DIRECTORY: site file, keyring, catalog, repositories, recovery kit.

    Run it again after a store or a local copy was added to the site file: what is there is left
    as it is, what is missing is made.
    """
    from orchestrator.actions.set_up import complete, write_site_file
    from orchestrator.wiring import open_site

    path, is_new = write_site_file(directory, store=store, name=name, timezone=timezone)
    site = open_site(path, actor=invocation.actor)
    site.demand_role("operator", "custodian")
    done = complete(site)
    if invocation.as_json:
        render.show_json(
            {
                "site": done.site,
                "state_dir": done.state_dir,
                "recovery_kit": done.recovery_kit,
                "recovery_kit_html": done.recovery_kit_html,
                "made": done.made,
            }
        )
    else:
        render.say(f"Site file:     {done.site}" + ("" if is_new else "  (was there already)"))
        render.say(f"State folder:  {done.state_dir}")
        render.say(f"Made:          {', '.join(done.made) or 'nothing new'}")
        render.say(f"Recovery kit:  {done.recovery_kit}")
        render.say(f"  for printing {done.recovery_kit_html}")
    render.note("")
    render.note(
        click.style(
            "THE RECOVERY KIT MUST LEAVE THIS MACHINE: print it or copy it to a stick, lock it "
            "away elsewhere,\nthen delete both files. Without it nobody can open the backups "
            "when this machine is gone;\nwhoever holds it can read every image.",
            fg="yellow",
            bold=True,
        )
    )
    if is_new and store is None and not invocation.as_json:
        render.say(f"\nNext: put the folder with the images into {done.site}, then")
        render.say(f"  orchestrator --site {done.site} doctor")
