"""A site that knows nothing but its recovery kit, and from the site file where the copies are."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrator.actions.site import Site
from orchestrator.errors import CredentialError, NotFoundError
from orchestrator.keys.keyring import Keyring
from orchestrator.keys.kit_contents import KitContents

if TYPE_CHECKING:
    from orchestrator.catalog.database import Catalog
    from orchestrator.keys.secret import Secret


class KitKeyring:
    """What stands in for the keyring: what the kit says, and nothing else.

    Args:
        contents: The kit.
    """

    def __init__(self, contents: KitContents) -> None:
        self._contents = contents
        self._stored: Keyring | None = None

    @property
    def id(self) -> str:
        """Id of the keyring that the kit's site key opens."""
        return self._contents.keyring_id

    def password(self, name: str) -> Secret:
        """Return a repository's password.

        Raises:
            NotFoundError: The kit knows no such repository.
        """
        for one in self._contents.repositories:
            if one.name == name:
                return one.password
        raise NotFoundError(
            f"the recovery kit knows no repository {name}",
            hint="make a new one: orchestrator key kit",
        )

    def pseudonym_key(self) -> bytes:
        """Return the key of the pseudonyms, from the keyring stored beside the images.

        Raises:
            CredentialError: That keyring was not opened yet.
        """
        if self._stored is None:
            raise CredentialError("the keyring stored beside the images was not opened")
        return self._stored.pseudonym_key()

    def open_stored(self, path: Path) -> None:
        """Open the keyring that was stored beside the images with the kit's site key.

        Raises:
            CredentialError: The site key does not open it.
            DamageError: It is damaged.
        """
        self._stored = Keyring.open_with_site_key(path, self._contents.site_key)


class KitSite(Site):
    """A site that knows nothing but the kit, and from the site file where the copies are."""

    kit: KitContents

    @cached_property
    def keyring(self) -> Keyring:
        """What the kit says."""
        return cast("Keyring", KitKeyring(self.kit))

    @cached_property
    def catalog(self) -> Catalog:
        """There is none.

        Raises:
            NotFoundError: Always.
        """
        raise NotFoundError("a drill from the recovery kit uses no catalog")
