"""What no program may do on its own: acts that the ledger must lay at a person's door."""

from __future__ import annotations

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
