"""``key``: the keyring. Never prints a secret but where that is the very purpose."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli import render
from orchestrator.cli.boundary import PARTLY_DONE, ExitWith
from orchestrator.cli.key_destroy import destroy
from orchestrator.cli.options import Invocation, pass_invocation


@click.group()
def key() -> None:
    """List keys, check and change them, write the recovery kit, serve restic's password."""


key.add_command(destroy)


@key.command("list")
@pass_invocation
def list_keys(invocation: Invocation) -> None:
    """Show every key with what it opens; never the key."""
    site = invocation.open_site()
    rows = [
        {
            "name": entry.name,
            "purpose": entry.purpose,
            "repository": entry.repository_id,
            "restic_keys": list(entry.key_ids),
            "destroyed_at": entry.destroyed_at,
        }
        for entry in site.keyring.entries()
    ]
    if invocation.as_json:
        render.show_json({"keyring": site.keyring.id, "keys": rows})
        return
    render.table(
        ["key", "purpose", "repository", "destroyed"],
        [
            [r["name"], r["purpose"], str(r["repository"] or "–")[:8], _day(r["destroyed_at"])]
            for r in rows
        ],
    )


@key.command()
@pass_invocation
def check(invocation: Invocation) -> None:
    """Open every repository with its key, and look for key files nobody here has made.

    Exit status 4 if a repository has a key file the keyring does not know: an incident; 3 if a
    former repository, whose key is kept, is not in the primary any more and could not be tried.
    """
    from orchestrator.actions.keys import check_keys, note_unexpected

    site = invocation.open_site()
    found = check_keys(site)
    note_unexpected(site, found)
    if invocation.as_json:
        render.show_json(
            {
                "repositories": [
                    {
                        "repository": one.name,
                        "opens": one.opens,
                        "unexpected": one.unexpected,
                        "detail": one.detail,
                        "hint": one.hint,
                    }
                    for one in found
                ]
            }
        )
    else:
        render.table(
            ["repository", "opens", "unexpected key files"],
            [
                [
                    one.name,
                    "not tried" if one.opens is None else one.opens,
                    ", ".join(k[:8] for k in one.unexpected),
                ]
                for one in found
            ],
        )
        for one in found:
            if one.opens is None:
                render.say(f"repository {one.name}: {one.detail}")
                render.say(str(one.hint))
    if any(one.unexpected for one in found):
        raise ExitWith(4)
    if any(one.opens is None for one in found):
        raise ExitWith(PARTLY_DONE)


@key.command()
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="Folder for the kit.")
@pass_invocation
def kit(invocation: Invocation, to: Path | None) -> None:
    """Write the recovery kit anew: a text file and a page to print. It must leave this machine."""
    from orchestrator.actions.kit import refresh_kit

    site = invocation.open_site()
    site.demand_role("custodian")
    files = refresh_kit(site, to)
    if invocation.as_json:
        render.show_json({"recovery_kit": files.text, "recovery_kit_html": files.html})
    else:
        render.say(f"recovery kit: {files.text}")
        render.say(f"for printing: {files.html}")
    render.note(
        "It must leave this machine: lock it away elsewhere, with suppressed.json beside it if "
        "there is one\n(the list of disposed studies), and delete the files here."
    )


@key.command()
@pass_invocation
def rotate(invocation: Invocation) -> None:
    """Make a new site key and wrap every key anew; passwords and copies stay as they are.

    Stored states of before open with the old recovery kit only. Cut off, it ends when it is
    called again. A daemon that runs must be started anew.
    """
    from orchestrator.actions.rotate_key import rotate_key

    done = rotate_key(invocation.open_site())
    if invocation.as_json:
        render.show_json(
            {
                "key_file": done.key_file,
                "earlier": list(done.earlier),
                "recovery_kit": done.kit.text,
                "recovery_kit_html": done.kit.html,
            }
        )
    else:
        render.say(f"new recovery kit: {done.kit.text}")
    render.note(
        "Next: orchestrator backup, and bring every medium. Keep the old kit until orchestrator "
        "doctor\nsays nothing of it any more, then destroy it. Start the daemon anew."
    )


@key.command()
@click.option("--repository", required=True, help="Repository name.")
@pass_invocation
def unwrap(invocation: Invocation, repository: str) -> None:
    """Print a repository's password, for restic's --password-command."""
    site = invocation.open_site()
    site.demand_role("custodian", "operator")
    render.say(site.keyring.password(repository).reveal())


def _day(instant: object) -> str | None:
    return None if instant is None else str(instant)[:10]
