"""What no program may do on its own: acts that the ledger must lay at a person's door."""

from __future__ import annotations

import unicodedata

from orchestrator.actions.site import SYSTEM, Site
from orchestrator.errors import RefusedError


def demand_person(site: Site, *roles: str) -> None:
    """Refuse unattended work, and persons who have none of the roles.

    Args:
        site: The site; its actor acts.
        roles: One of these is needed; none for any person.

    Raises:
        RefusedError: Nobody is named, or the role is missing.
    """
    if site.actor == SYSTEM:
        needed = f" with the role {' or '.join(roles)}" if roles else ": the ledger names who acts"
        raise RefusedError(f"this takes a person{needed}", hint="use --as ACTOR")
    if roles:
        site.demand_role(*roles)


def are_one_person(site: Site, one: str, other: str) -> bool:
    """Say whether two actors are one human, who may stand in the site file twice.

    Args:
        site: The site.
        one: An actor of the site file, or one that was in it.
        other: Another one.
    """
    if one == other:
        return True
    names = [
        plain_name(known.name)
        for known in map(site.config.actors.get, (one, other))
        if known is not None
    ]
    return len(names) == 2 and names[0] == names[1] != ""


def plain_name(name: str) -> str:
    """Return a name without case, accents, signs, order and doubled spaces."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(
        one if one.isalnum() else " " for one in decomposed if not unicodedata.combining(one)
    )
    return " ".join(sorted(letters.split()))
