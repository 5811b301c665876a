"""Taking studies back out of a disposal that has begun: they are kept, and restored again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.actions.disposal import suppression
from orchestrator.actions.holds.effects import unpause_where_free
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals

if TYPE_CHECKING:
    from sqlmodel import Session

ON_HOLD = "on_hold"
CHANGED = "changed_since_backup"
"""Why a study was withheld after its disposal had begun."""


def withdraw(
    site: Site, session: Session, disposal: str, store: str, reasons: Mapping[str, str]
) -> None:
    """Keep studies after all, within a transaction; `tell` MUST follow it.

    Args:
        site: The site.
        session: A writing session, its gate shut.
        disposal: Id of the disposal.
        store: Store name.
        reasons: Why, by study.
    """
    if not reasons:
        return
    suppression.withdraw(site, session, store, reasons)
    for study, reason in reasons.items():
        disposals.set_studies(
            session, disposal, [(store, study)], state=disposals.WITHHELD, withheld=reason
        )
    unpause_where_free(site, session, disposal)


def tell(site: Site, disposal: str, store: str, reasons: Mapping[str, str]) -> None:
    """Record in the ledger that studies are kept after all, and let go of the older list.

    Raises:
        OrchestratorError: The ledger refuses.
    """
    from orchestrator.actions.disposal.begun import LIST, STUDIES, keep_withdrawn, list_number
    from orchestrator.actions.ledger.record import Event, record

    if not reasons:
        return
    suppression.publish(site)
    body = {
        "disposal": disposal,
        "store": store,
        "withheld": len(reasons),
        "reasons": dict(sorted(Counter(reasons.values()).items())),
        LIST: list_number(site),
    }
    event = Event(
        "disposal.partial",
        body,
        subjects={"study": sorted(reasons)},
        evidence={STUDIES: keep_withdrawn(site, disposal, store, reasons)},
    )
    made = record(site, [event])
    with site.catalog.transaction() as session:
        for one in made:
            disposals.note_entry(session, disposal, one.index)
