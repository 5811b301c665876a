"""A new site key: what the old one opened in stored states, this site opens no more.

Passwords stay as they are, and so do the copies. Until every copy has a state of after it, only
the old recovery kit brings the site itself back from the others; the kit's standing says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.actions.kit import ROTATED, refresh_kit
from orchestrator.actions.ledger.record import Event, announced
from orchestrator.actions.person import demand_person
from orchestrator.actions.run import run
from orchestrator.actions.site import Site, key_file_path, keyring_path
from orchestrator.catalog import facts
from orchestrator.keys.kit import KitFiles
from orchestrator.keys.rewrap import rewrap


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """What was done.

    Attributes:
        key_file: Public id of the site key.
        earlier: Public ids of those that opened the keyring before.
        kit: The recovery kit, written anew.
    """

    key_file: str
    earlier: tuple[str, ...]
    kit: KitFiles


def rotate_key(site: Site) -> KeyRotation:
    """Make a new site key, wrap every key anew, and write a new recovery kit.

    Args:
        site: The site; its actor is a custodian. Its keyring is opened anew.

    Raises:
        RefusedError: Nobody is named, or the role is missing.
        CredentialError, DamageError: Keyring or key file is not what it must be.
        OrchestratorError: Ledger or disk fail; calling it again takes it to its end.
    """
    demand_person(site, "custodian")
    with (
        run(site, "key-rotate"),
        announced(site, Event("key.rotate", {"before": site.keyring.key_file})) as outcome,
    ):
        done = rewrap(keyring_path(site.state_dir), key_file_path(site.state_dir))
        del site.keyring
        outcome.update(key_file=done.key_file, earlier=list(done.earlier))
        with site.catalog.transaction() as session:
            facts.put(session, ROTATED, value=done.key_file, now=site.clock.now())
        kit = refresh_kit(site)
    return KeyRotation(done.key_file, done.earlier, kit)
