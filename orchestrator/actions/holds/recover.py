"""Holds that the ledger knows and a catalog made anew does not: back in force, rather too wide.

The state beside the images is of the last backup; a hold placed since then stands in the ledger
only, and whom it names is only committed to there. Such a hold comes back on its whole store.
"""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.ledger import mirror
from orchestrator.actions.site import Site
from orchestrator.catalog import holds
from orchestrator.catalog.hold_tables import Hold as HoldRow
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

REASON = "found in the ledger when the catalog was made anew; what it was about is lost"

_log = logging.getLogger(__name__)


def recover(site: Site) -> list[str]:
    """Put back in force what the ledger says was placed, was not released, and is not known.

    Returns:
        Ids of those holds.
    """
    try:
        wanted = _in_ledger(site)
    except OrchestratorError as error:
        # A ledger that cannot be read lets no disposal begin, and doctor says so.
        _log.error("the ledger could not be asked for holds: %s", error.message)
        return []
    found = []
    with site.catalog.transaction() as session:
        holds.gate(session)
        known = {row.id for row in holds.listing(session, released=True)}
        for name, (body, at) in sorted(wanted.items()):
            if name not in known:
                _put_back(site, session, body, at)
                found.append(name)
    return found


def _in_ledger(site: Site) -> dict[str, tuple[dict[str, Any], datetime]]:
    placed: dict[str, tuple[dict[str, Any], datetime]] = {}
    for stored in site.ledger.reader().entries():
        entry = mirror.parsed(stored.index, stored.data)
        name = str(entry.body.get("hold", ""))
        if entry.type == "hold.placed":
            placed[name] = (dict(entry.body), entry.at)
        elif entry.type == "hold.released":
            placed.pop(name, None)
    return placed


def _put_back(site: Site, session: Session, body: dict[str, Any], at: datetime) -> None:
    name, kind = str(body["hold"]), str(body["kind"])
    row = HoldRow(
        id=name,
        kind=kind if kind == "dates" else "store",
        store=body.get("store"),
        dates_from=_date(body.get("from")),
        dates_to=_date(body.get("to")),
        matter=str(body["matter"]),
        reason_enc=site.catalog.keys.cipher.encrypt(REASON.encode(), f"hold.reason|{name}"),
        source=str(body["source"]),
        starts_at=at,
        placed_by=str(body["by"]),
        placed_at=at,
    )
    holds.add(session, row)


def _date(text: object) -> date | None:
    return None if text is None else date.fromisoformat(str(text))
