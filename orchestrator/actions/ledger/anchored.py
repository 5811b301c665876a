"""What anchoring a checkpoint with somebody outside came to, and its record in the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import anchors
from orchestrator.catalog.ledger_tables import LedgerAnchor

if TYPE_CHECKING:
    from orchestrator.ledger.reader import Reader

BUCKET, TIMESTAMP, WITNESS = "bucket", "timestamp", "witness"
"""Kinds of anchors."""


@dataclass(slots=True)
class Anchored:
    """What anchoring with one target came to.

    Attributes:
        kind: `bucket`, `timestamp` or `witness`.
        target: The copy, the authority's address, or the witness's name.
        state: `anchored`, `failed`, or why not: `behind`, `forked`, `superseded`.
        files: Files that were put.
        extended: Files whose lock was lengthened.
        protected_until: The earliest end of a lock of what is needed; None if there is none.
        detail: Why it failed.
    """

    kind: str
    target: str
    state: str = "failed"
    files: int = 0
    extended: int = 0
    protected_until: datetime | None = None
    detail: str | None = None


def keep_anchor(
    site: Site, reader: Reader, kind: str, target: str, *, detail: dict[str, object]
) -> None:
    """Keep in the catalog that a checkpoint was anchored."""
    row = LedgerAnchor(
        ledger=site.ledger.number,
        kind=kind,
        target=target,
        size=reader.checkpoint.size,
        root=reader.checkpoint.root.hex(),
        at=site.clock.now(),
        detail=detail,
    )
    with site.catalog.transaction() as session:
        anchors.add(session, row)
