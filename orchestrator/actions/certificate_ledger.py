"""What issuing a certificate asks of the ledger: to record, to find, to prove.

A small port, so that the steps of issuing can be proved against any log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.actions.record import Event, record
from orchestrator.actions.site import Site


class Book(Protocol):
    """The ledger as certificates need it."""

    @property
    def origin(self) -> str:
        """Its name."""
        ...

    @property
    def vkey(self) -> str:
        """Its public key as text."""
        ...

    def size(self) -> int:
        """Return how many entries it has."""
        ...

    def record(self, event: Event) -> int:
        """Append an entry, durably, and return its index."""
        ...

    def find(self, kind: str, body: Mapping[str, Any], *, since: int) -> int | None:
        """Return the index of an entry whose body has these values; None if there is none."""
        ...

    def entry(self, index: int) -> bytes:
        """Return an entry's bytes."""
        ...

    def proof(self, index: int) -> bytes:
        """Return an entry's ``.tlog-proof``."""
        ...


@dataclass(frozen=True, slots=True)
class SiteBook:
    """The site's own ledger."""

    site: Site

    @property
    def origin(self) -> str:
        """Its name."""
        return self.site.ledger.origin

    @property
    def vkey(self) -> str:
        """Its public key as text."""
        return self.site.ledger.verifier.vkey

    def size(self) -> int:
        """Return how many entries it has."""
        return self.site.ledger.reader().checkpoint.size

    def record(self, event: Event) -> int:
        """Append an entry, durably, and return its index."""
        return record(self.site, [event])[0].index

    def find(self, kind: str, body: Mapping[str, Any], *, since: int) -> int | None:
        """Return the index of an entry whose body has these values; None if there is none."""
        from orchestrator.ledger import entry

        reader = self.site.ledger.reader()
        if since >= reader.checkpoint.size:
            return None
        for stored in reader.entries(since):
            found = entry.parse(stored.data)
            if found.type == kind and all(found.body.get(k) == v for k, v in body.items()):
                return stored.index
        return None

    def entry(self, index: int) -> bytes:
        """Return an entry's bytes."""
        return self.site.ledger.reader().entry(index)

    def proof(self, index: int) -> bytes:
        """Return an entry's ``.tlog-proof``."""
        return self.site.ledger.reader().proof_text(index)
