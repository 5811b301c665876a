"""What a disposal has begun with, in the ledger before the first file is removed.

The catalog is as old as the last backup once it was lost and made anew. Which studies of a batch
went and which were kept lies beside the ledger, by its hash: so the list of disposed studies and
the disposal itself come back as they were.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator import canonical
from orchestrator.actions.certificates.files import keep_evidence
from orchestrator.actions.disposal import suppression
from orchestrator.actions.ledger.record import Event, record_new
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, facts
from orchestrator.catalog import ledger as ledger_rows
from orchestrator.catalog.disposals import GOING, WITHHELD

EVENT = "disposal.begun"

STUDIES = "studies"
"""Name of the evidence that says which studies an entry is about."""

LIST = "list"
"""Field of an entry: the number of the list of disposed studies as of then."""


def record_begun(site: Site, disposal: str) -> None:
    """Record which studies a disposal takes away, once.

    Raises:
        OrchestratorError: The ledger, the catalog or the disk refuses: nothing may be removed.
    """
    with site.catalog.reading() as session:
        if ledger_rows.seen(session, {f"{EVENT}|{disposal}"}):
            return
        going = [
            [one.store, one.study_key] for one in disposals.studies(session, disposal, states=GOING)
        ]
        withheld: dict[str, dict[str, str]] = {}
        for one in disposals.studies(session, disposal, states=[WITHHELD]):
            withheld.setdefault(one.store, {})[one.study_key] = one.withheld or ""
    kept = sum(len(share) for share in withheld.values())
    content = canonical.encode({"disposal": disposal, "going": going, "withheld": withheld})
    body = {
        "disposal": disposal,
        "studies": len(going),
        "withheld": kept,
        LIST: list_number(site),
    }
    event = Event(EVENT, body, evidence={STUDIES: keep_evidence(site, content)})
    for made in record_new(site, [event]):
        with site.catalog.transaction() as session:
            disposals.note_entry(session, disposal, made.index)


def keep_withdrawn(site: Site, disposal: str, store: str, reasons: Mapping[str, str]) -> str:
    """Keep beside the ledger which studies are kept after all, and return the SHA-256 in hex.

    Raises:
        EngineError: The disk refuses.
    """
    found = {"disposal": disposal, "store": store, "withheld": dict(reasons)}
    return keep_evidence(site, canonical.encode(found))


def list_number(site: Site) -> int:
    """Return the number of the list of disposed studies as the catalog has it."""
    with site.catalog.reading() as session:
        fact = facts.get(session, suppression.NUMBER)
    return 0 if fact is None else int(fact.value)
