"""What executing a disposal came to, by store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class StoreExecution:
    """What a disposal came to in one store.

    Attributes:
        store: Name.
        going: Studies that go: that would go by a dry run, else those that this run took up and
            that were not kept after all.
        files: Their files, as of the last backup.
        bytes: Their length together.
        files_removed: Files that left the store in this run.
        removed_live: Studies whose files left the store in this run.
        removed_primary: Studies that are proved to be gone from the primary in this run.
        snapshots: Data snapshots that were stored anew.
        kept: How many studies are kept after all, by reason.
        problems: What is not done yet, in words.
    """

    store: str
    going: int = 0
    files: int = 0
    bytes: int = 0
    files_removed: int = 0
    removed_live: int = 0
    removed_primary: int = 0
    snapshots: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def count(self, files: int, size_bytes: int) -> None:
        """Count a study that goes."""
        self.going += 1
        self.files += files
        self.bytes += size_bytes


@dataclass(slots=True)
class Execution:
    """What an execution came to.

    Attributes:
        disposal: Id.
        dry_run: Nothing was changed.
        stores: One for each store with studies in the batch.
        problems: What fell short, in words; waiting for media or locks is not among it.
    """

    disposal: str
    dry_run: bool
    stores: list[StoreExecution] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def of(self, store: str) -> StoreExecution:
        """Return what it came to in a store."""
        for one in self.stores:
            if one.store == store:
                return one
        self.stores.append(StoreExecution(store))
        return self.stores[-1]

    def summary(self) -> dict[str, Any]:
        """Return it as the ledger takes it."""
        return {
            "disposal": self.disposal,
            "stores": [
                {
                    "store": one.store,
                    "removed_live": one.removed_live,
                    "removed_primary": one.removed_primary,
                    "snapshots": one.snapshots,
                    "kept": dict(sorted(one.kept.items())),
                }
                for one in self.stores
            ],
        }
