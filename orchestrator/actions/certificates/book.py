"""What issuing a certificate asks of the ledger: to record, to find, to prove.

A small port, so that the steps of issuing can be proved against any log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.site import Site

if TYPE_CHECKING:
    from orchestrator.ledger.reader import Reader


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

    def find(self, event: Event, *, since: int) -> int | None:
        """Return the index of an entry that says this already; None if there is none.

        Args:
            event: Of the same type, with these values in its body and this evidence.
            since: Index of the first entry that is looked at.
        """
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

    def find(self, event: Event, *, since: int) -> int | None:
        """Return the index of an entry that says this already; None if there is none."""
        reader = self.site.ledger.reader()
        return None if since >= reader.checkpoint.size else find(reader, event, since=since)

    def entry(self, index: int) -> bytes:
        """Return an entry's bytes."""
        return self.site.ledger.reader().entry(index)

    def proof(self, index: int) -> bytes:
        """Return an entry's ``.tlog-proof``."""
        return self.site.ledger.reader().proof_text(index)


def find(reader: Reader, event: Event, *, since: int) -> int | None:
    """Return the index of an entry of a log that says what an event says; None if none does."""
    from orchestrator.ledger import entry

    mark = f'"{event.type}"'.encode()
    wanted = {name: f"sha256:{value}" for name, value in event.evidence.items()}
    for stored in reader.entries(since):
        if mark not in stored.data:  # most entries are of other types: parsing them takes long
            continue
        found = entry.parse(stored.data)
        same_body = all(found.body.get(name) == value for name, value in event.body.items())
        same_evidence = all(found.evidence.get(name) == value for name, value in wanted.items())
        if found.type == event.type and same_body and same_evidence:
            return stored.index
    return None
