"""What the ledger tells of things that a catalog made anew may not know, and the answer to that.

The ledger leads: an entry is durable before a row names it. So the whole ledger is read and not
only what is younger than the state: a state that was taken between an entry and its row lacks the
row all the same.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.certificates import files as places
from orchestrator.actions.ledger import mirror
from orchestrator.actions.site import Site
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.ledger.entry import Entry

NOUNS = ("certificate", "disposal", "drill", "medium", "missed", "retention", "sanitization")
"""What is brought back, by the first word of an entry's type."""

_WANTED = re.compile(rb'"type":"(?:' + "|".join(NOUNS).encode() + rb')[."]')


@dataclass(frozen=True, slots=True)
class Told:
    """One entry of the ledger.

    Attributes:
        index: Its place.
        entry: What it says.
    """

    index: int
    entry: Entry

    @property
    def type(self) -> str:
        """Its type."""
        return self.entry.type

    @property
    def body(self) -> Any:
        """Its type's own fields."""
        return self.entry.body

    @property
    def at(self) -> datetime:
        """When it was written."""
        return self.entry.at

    def hash_of(self, name: str) -> str | None:
        """Return the SHA-256 in hex of what lies beside the ledger under a name; None for none."""
        found = self.entry.evidence.get(name)
        return None if found is None else found.removeprefix("sha256:")


@dataclass(slots=True)
class Brought:
    """What was brought back into a catalog.

    Attributes:
        counts: How many, by noun in the plural.
        lost: What could not be brought back whole, in sentences that say what to do.
    """

    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)


def told(site: Site) -> dict[str, list[Told]]:
    """Return what the ledger that is written tells, by noun, oldest first.

    Raises:
        RefusedError: There is no ledger, or it was lost.
        DamageError: It cannot be read.
        EngineError: The disk refuses.
    """
    found: dict[str, list[Told]] = {noun: [] for noun in NOUNS}
    for stored in site.ledger.reader().entries():
        if _WANTED.search(stored.data) is None:  # most are of other types: parsing takes long
            continue
        entry = mirror.parsed(stored.index, stored.data)
        noun = entry.type.partition(".")[0]
        if noun in found:
            found[noun].append(Told(stored.index, entry))
    return found


def beside(site: Site, one: Told, name: str) -> bytes | None:
    """Return what lies beside the ledger; None if it is not there, or other than recorded."""
    sha256 = one.hash_of(name)
    if sha256 is None:
        return None
    try:
        return places.read_as(places.evidence_path(site, sha256), sha256, "evidence")
    except OrchestratorError:
        return None


def document(site: Site, one: Told, name: str) -> dict[str, Any] | None:
    """Return the JSON document that lies beside the ledger; None as `beside`."""
    data = beside(site, one, name)
    if data is None:
        return None
    found = json.loads(data)
    return found if isinstance(found, dict) else None


def instant(at: datetime) -> str:
    """Return an instant as entries write it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
