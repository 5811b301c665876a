"""``place``: where copies are, where they were before, and what has become of those places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli import render
from orchestrator.cli.options import Invocation, pass_invocation
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.actions.place_register.standing import PlaceFacts


@click.group()
def place() -> None:
    """Show where copies are and were, and close a place where none is any more."""


@place.command("list")
@pass_invocation
def list_places(invocation: Invocation) -> None:
    """Show every place at which a copy was ever seen.

    A former place is one that the site file does not name any more. What was written there is
    there until somebody has removed it: no disposal ends before the place is closed.
    """
    from orchestrator.actions.place_register.standing import listing

    found = listing(invocation.open_site())
    if invocation.as_json:
        render.show_json({"places": [one.document() for one in found]})
        return
    render.table(
        ["place", "copy", "state", "where", "first seen", "last seen", "left", "said", "by"],
        [_row(one) for one in found],
    )


@place.command()
@click.argument("name", metavar="ID")
@click.option(
    "--how",
    type=click.Choice(["moved", "emptied", "destroyed", "sanitized"]),
    help="What has become of it.",
)
@click.option("--sanitization", metavar="ID", help="The sanitization of its carrier.")
@click.option("--note", help="What was done, by whom; in the ledger for good, names no patient.")
@click.option("--withdraw", is_flag=True, help="Take back what you, or who has left, have said.")
@pass_invocation
def close(
    invocation: Invocation,
    name: str,
    how: str | None,
    sanitization: str | None,
    note: str | None,
    *,
    withdraw: bool,
) -> None:
    """Say what has become of former place ID, or confirm what another person has said.

    Two people are needed, the second one of compliance, and both say the same. It is refused while
    something of a repository is still found there, and while a legal hold covers what may be there.
    """
    from orchestrator.actions.place_register import closing

    if withdraw == (how is not None):
        raise UsageError("say --how with what has become of it, or --withdraw")
    site = invocation.open_site()
    if how is None:
        found = closing.withdraw(site, name)
    else:
        found = closing.close(site, name, closing.Said(how, note, sanitization))
    if invocation.as_json:
        render.show_json(found.document())
        return
    words = {
        "former": "is open; nobody says any more what has become of it",
        "close_asked": "is open until another person, of compliance, says the same",
        "closed": f"is closed: {found.how}",
    }
    render.say(f"place {found.place} of copy {found.copy} {words[found.state]}")


def _row(one: PlaceFacts) -> list[Any]:
    return [
        one.place,
        one.copy,
        one.state.replace("_", " "),
        one.location,
        one.first_seen,
        one.last_seen,
        one.left_at,
        one.how,
        one.closed_by or one.asked_by,
    ]
