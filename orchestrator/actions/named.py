"""What a site file names, found by its name.

Knows the configuration only.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.config.site import (
    Copy,
    FolderStore,
    ImmutableCopy,
    LocalCopy,
    OfflineCopy,
    SiteConfig,
)
from orchestrator.errors import NotFoundError, UsageError


class Named:
    """The part of `Site` that finds stores and copies by their names."""

    config: SiteConfig

    def store_config(self, name: str) -> FolderStore:
        """Return a store's configuration.

        Raises:
            NotFoundError: There is no store of this name.
        """
        try:
            return self.config.stores[name]
        except KeyError:
            known = ", ".join(self.config.stores)
            raise NotFoundError(
                f"there is no store named {name!r}; the site has: {known}",
                hint="orchestrator store list",
            ) from None

    def copy_config(self, name: str) -> Copy:
        """Return a copy's configuration.

        Raises:
            NotFoundError: There is no copy of this name.
        """
        try:
            return self.config.copies[name]
        except KeyError:
            known = ", ".join(self.config.copies)
            raise NotFoundError(
                f"there is no copy named {name!r}; the site has: {known}",
                hint="orchestrator status",
            ) from None

    def offline_config(self, name: str) -> OfflineCopy:
        """Return an offline copy's configuration.

        Raises:
            NotFoundError: There is no copy of this name.
            UsageError: The copy is not offline.
        """
        copy = self.copy_config(name)
        if not isinstance(copy, OfflineCopy):
            raise UsageError(f"copy {name} has the role {copy.role}, not offline")
        return copy

    def bucket_config(self, name: str) -> ImmutableCopy:
        """Return an immutable copy's configuration.

        Raises:
            NotFoundError: There is no copy of this name.
            UsageError: The copy is not immutable.
        """
        copy = self.copy_config(name)
        if not isinstance(copy, ImmutableCopy):
            raise UsageError(f"copy {name} has the role {copy.role}, not immutable")
        return copy

    def stores(self, names: Iterable[str] | None) -> list[str]:
        """Return the names of the stores asked for; all of them for None.

        Raises:
            NotFoundError: One of them does not exist.
        """
        return [self.store_config(name).name for name in (names or self.config.stores)]

    def local_copies(self) -> list[LocalCopy]:
        """Return the local copies; the first one is the primary."""
        return [copy for copy in self.config.copies.values() if isinstance(copy, LocalCopy)]
