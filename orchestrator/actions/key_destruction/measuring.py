"""What was proved once a key was destroyed: every known way to it was tried.

The verdict follows from the attempts; nothing is typed.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.key_destruction import left, ways
from orchestrator.actions.key_destruction.conditions import entry_of
from orchestrator.actions.key_destruction.record import Destruction, kept
from orchestrator.actions.key_destruction.ways import OPENED, SHUT, UNTRIED, Attempt
from orchestrator.actions.site import Site
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from orchestrator.actions.key_destruction.left import Stored
    from orchestrator.catalog.tables import Repository as RepositoryRow


def measured(site: Site, one: Destruction, row: RepositoryRow, before: str) -> dict[str, Any]:
    """Try every way that is known to a password that was destroyed, and say what that proves.

    Args:
        site: The site.
        one: The destruction.
        row: The repository.
        before: SHA-256 of what was measured before.

    Raises:
        DamageError: That is missing.
        StoppedError: The work was told to stop.
    """
    copies = [str(name) for name in kept(site, before)["copies"]]
    attempts = ways.try_after(site, row, copies)
    with site.catalog.reading() as session:
        stored = left.stored_wraps(site, session, row, before=destroyed_at(site, row.name))
    tried = list(left.try_states(site, row, stored))
    rewrapped = bool(one.key_files) and site.keyring.key_file not in one.key_files
    return {
        "attempts": [asdict(each) for each in attempts],
        "states": [asdict(each) for each in tried],
        "stored": [
            {
                "copy": place.copy,
                "medium": place.label,
                "repository": place.repository,
                "states": len(place.states),
                "unknown": place.unknown,
                "until": place.until.isoformat() if place.until is not None else None,
            }
            for place in stored
        ],
        "rewrapped": rewrapped,
        "verification": verdict(attempts, tried, stored, rewrapped=rewrapped),
    }


def verdict(
    attempts: Sequence[Attempt],
    tried: Sequence[Attempt],
    stored: Sequence[Stored],
    *,
    rewrapped: bool,
) -> str:
    """Say whether every known way is shut. Pure.

    Args:
        attempts: What was tried of what opened before.
        tried: Stored states that were tried.
        stored: Where stored states are.
        rewrapped: The key file that opens what they hold is not this site's any more.

    Returns:
        ``not_verified`` if the password can be had here, ``unverified`` if something could not be
        tried or a stored keyring still holds a wrap that our key file opens, else ``verified``.
    """
    if any(one.result == OPENED for one in attempts):
        return "not_verified"
    in_copies = [one for one in attempts if one.where.startswith("copy ")]
    if not in_copies or any(one.result == UNTRIED for one in in_copies):
        return "unverified"
    if any(one.result != SHUT for one in tried) or (stored and not rewrapped):
        return "unverified"
    return "verified"


def destroyed_at(site: Site, repository: str) -> datetime:
    """Return when a repository's password was destroyed.

    Raises:
        RefusedError: It was not.
    """
    said = entry_of(site, repository).destroyed_at
    if said is None:
        raise RefusedError(
            f"the key of repository {repository} is still in the keyring",
            hint="orchestrator key list",
        )
    return datetime.fromisoformat(said)
