"""Places that the ledger knows and a catalog made anew does not.

The state beside the images is of the last backup. A place that was left since then stands in the
ledger only, which does not say where it is: it comes back as a former place that somebody must
close. Where even that is missing, each copy of the site file gets the place where it is now.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.ledger import mirror
from orchestrator.actions.place_register import events, noting
from orchestrator.actions.place_register.spots import UNKNOWN_LOCATION
from orchestrator.actions.site import Site
from orchestrator.catalog import places
from orchestrator.catalog.place_tables import CopyPlace
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.ledger.entry import Entry

_log = logging.getLogger(__name__)


def recover(site: Site) -> int:
    """Bring back what the ledger says of places, and add one for each copy that has none.

    Returns:
        How many places came back from the ledger.

    Raises:
        OrchestratorError: The catalog fails.
    """
    try:
        told = list(_told(site))
    except OrchestratorError as error:
        # A ledger that cannot be read lets no disposal end, and doctor says so.
        _log.error("the ledger could not be asked for places: %s", error.message)
        told = []
    with site.catalog.transaction() as session:
        known = {row.id for row in places.listing(session)}
        for entry in told:
            _apply(site, session, entry)
        noting.derive(site, session, every=True)
        return len({str(entry.body["place"]) for entry in told} - known)


def _told(site: Site) -> list[Entry]:
    wanted = (events.LEFT, events.CLOSE_ASKED, events.CLOSE_WITHDRAWN, events.CLOSED)
    found = (mirror.parsed(stored.index, stored.data) for stored in site.ledger.reader().entries())
    return [entry for entry in found if entry.type in wanted]


def _apply(site: Site, session: Session, entry: Entry) -> None:
    body = entry.body
    row = places.find(session, str(body["place"]))
    if row is None and entry.type == events.LEFT:
        places.save(
            session,
            CopyPlace(
                id=str(body["place"]),
                copy_=str(body["copy"]),
                role=str(body["role"]),
                location=UNKNOWN_LOCATION,
                first_seen=datetime.fromisoformat(str(body["first_seen"])),
                last_seen=datetime.fromisoformat(str(body["last_seen"])),
                left_at=datetime.fromisoformat(str(body["left_at"])),
            ),
        )
    if row is None or row.closed_at is not None:
        return
    if entry.type == events.LEFT:
        row.left_at = row.left_at or datetime.fromisoformat(str(body["left_at"]))
    elif entry.type == events.CLOSE_WITHDRAWN:
        row.asked_by = row.asked_name = row.asked_at = row.asked_note = None
        row.how = row.sanitization = None
    elif entry.type == events.CLOSE_ASKED and entry.at <= row.last_seen:
        return  # the copy was there again since: what was said is no more
    else:
        row.how = str(body["how"])
        row.sanitization = str(body["sanitization"]) if "sanitization" in body else None
        if entry.type == events.CLOSE_ASKED:
            row.asked_by, row.asked_at, row.asked_note = str(body["by"]), entry.at, entry.note
            known = site.config.actors.get(row.asked_by)
            row.asked_name = None if known is None else known.name
        else:
            row.asked_by = str(body["asked_by"])
            row.closed_by, row.closed_note = str(body["by"]), entry.note
            row.closed_at = datetime.fromisoformat(str(body["closed_at"]))
            row.looked = str(body.get("looked"))
    places.save(session, row)
