"""Media and their custody: every medium that the ledger names is in the register again.

What people typed (label, holder, place) is only committed to in the ledger. So a medium may come
back known by its id alone; it counts in full all the same: whatever may lie on it is not gone.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions import custody
from orchestrator.actions.rebuilding.told import Brought, Told, document, instant
from orchestrator.actions.site import Site
from orchestrator.catalog import media, sanitizations
from orchestrator.catalog.copy_tables import Medium, MediumEvent
from orchestrator.catalog.media import AWAY, IN_USE, RETIRED
from orchestrator.config.site import OfflineCopy
from orchestrator.engines import medium_search
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.engines.medium_identity import Identity

NOTE = "found in the ledger when the catalog was made anew"

_STATES = {
    "medium.registered": IN_USE,
    "medium.released": AWAY,
    "medium.received": IN_USE,
    "medium.retired": RETIRED,
}


def bring_back(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back media and acts of custody that the register does not have.

    Raises:
        OrchestratorError: The catalog fails.
    """
    connected = _connected(site)
    nameless: set[str] = set()
    found: set[str] = set()
    with site.catalog.transaction() as session:
        known = {row.id for row in media.of_copy(session, None, retired=True)}
        acts = {
            (one, event.event, instant(event.at))
            for one in known
            for event in media.events(session, one)
        }
        for one in told:
            state = _STATES.get(one.type)
            if state is None:
                continue
            name, event = str(one.body["medium"]), one.type.partition(".")[2]
            if (name, event, one.body["event_at"]) in acts:
                continue
            if name not in known:
                row = _row(site, one, connected.get(name))
                session.add(row)
                session.flush()
                known.add(name)
                if not row.fs_uuid:
                    nameless.add(name)
            _act(session, one, event, state)
            found.add(name)
        if found:
            _holdings(site, session, told, brought)
    brought.counts["media"] += len(found)
    for name in sorted(nameless):
        brought.lost.append(
            f"medium {name[:8]} is known by its id only, and counts as a place where records may "
            "lie: connect it, then orchestrator medium add COPY PATH, which enters its label again"
        )


def _row(site: Site, one: Told, identity: Identity | None) -> Medium:
    body, at = one.body, _at(one)
    copy = site.config.copies.get(str(body["copy"]))
    due = at + copy.due_every if isinstance(copy, OfflineCopy) else None
    return Medium(
        id=str(body["medium"]),
        copy_=str(body["copy"]),
        label=str(body["medium"])[:8] if identity is None else identity.label,
        serial=body.get("serial"),
        fs_uuid=(body.get("fs_uuid") or "") if identity is None else identity.fs_uuid or "",
        state=IN_USE,
        registered_at=at,
        last_seen=at,
        due_at=due,
    )


def _act(session: Session, one: Told, event: str, state: str) -> None:
    act = MediumEvent(
        medium=str(one.body["medium"]),
        at=_at(one),
        actor=str(one.body.get("by") or one.entry.actor),
        event=event,
        note=NOTE,
    )
    row = media.record(session, act, state=state)
    # A sanitization counts only if it ended after the medium was last here, by whole seconds.
    seen = act.at.replace(microsecond=0)
    if row.last_seen is None or row.last_seen < seen:
        row.last_seen = seen
        session.add(row)
        session.flush()


def _holdings(site: Site, session: Session, told: list[Told], brought: Brought) -> None:
    """Bring back what a medium held when it was retired."""
    for one in told:
        if one.type != "medium.retire":
            continue
        name = str(one.body["medium"])
        row = session.get(Medium, name)
        if row is None or row.retired_at is None or sanitizations.holdings(session, name):
            continue
        found = document(site, one, "holdings")
        if found is not None:
            sanitizations.keep_holdings(
                session, [custody.holding_of(row, values) for values in found["holdings"]]
            )
        elif one.body.get("snapshots"):
            brought.lost.append(
                f"which {one.body['snapshots']} snapshots medium {row.label} held when it was "
                "retired is not known any more: a certificate of its sanitization cannot name them"
            )


def _at(one: Told) -> datetime:
    return datetime.fromisoformat(one.body["event_at"])


def _connected(site: Site) -> dict[str, Identity]:
    """Return what media say of themselves that are connected now, by id."""
    found: dict[str, Identity] = {}
    for copy in site.config.copies.values():
        if not isinstance(copy, OfflineCopy):
            continue
        try:
            mounted = medium_search.find(copy.search, copy.name)
        except OrchestratorError:
            continue  # it tells no label; what the ledger says counts
        found |= {
            one.identity.medium: one.identity
            for one in mounted
            if one.identity.site == site.keyring.id
        }
    return found
