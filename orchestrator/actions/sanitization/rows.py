"""What all steps of a sanitization share: what a row says, and what the dead left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.actions.ledger.mirror import parsed
from orchestrator.actions.sanitization.evidence import CHILDREN
from orchestrator.actions.site import Site
from orchestrator.catalog import runs, sanitizations
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.catalog.sanitizations import EXECUTED, EXECUTING, INTERRUPTED
from orchestrator.engines.process import reap_recorded
from orchestrator.sanitization.facts import Facts

if TYPE_CHECKING:
    from sqlmodel import Session

RUN = "sanitization.run"
"""The act as it is announced in the ledger."""


def settle(site: Site) -> list[str]:
    """Close what a dead process left: of what has no outcome in the ledger nothing is claimed.

    To be called within a run, which has closed the runs of dead processes before.

    Returns:
        Ids of the sanitizations that were interrupted.
    """
    with site.catalog.reading() as session:
        executing = sanitizations.listing(session, state=EXECUTING)
        dead = [row.id for row in executing if not _is_running(session, row.run_id)]
    if dead:
        # The tool of a dead process may still be at work on the device.
        reap_recorded(site.engine_dir / CHILDREN)
    # One that had ended, and of which only the catalog does not say so yet, is concluded.
    cut_off = [name for name in dead if not conclude(site, name)]
    for name in cut_off:
        with site.catalog.transaction() as session:
            row = sanitizations.move(session, name, before=EXECUTING, after=INTERRUPTED)
            row.verification, row.method = "unverified", None
            row.reasons = ["it was cut off: what it has done is not known"]
            row.ended_at = site.clock.now()
            session.add(row)
    return cut_off


def conclude(site: Site, name: str) -> bool:
    """Take a sanitization whose outcome stands in the ledger to its end; False for any other.

    Args:
        site: The site.
        name: Id of a sanitization that is executing; what was judged is in its row.
    """
    with site.catalog.reading() as session:
        row = sanitizations.get(session, name)
    reader = site.ledger.reader()
    first = min(max(row.entries, default=-1) + 1, reader.checkpoint.size)
    about = {
        stored.index: entry.type
        for stored in reader.entries(first)
        if f'"{row.id}"'.encode() in stored.data
        and (entry := parsed(stored.index, stored.data)).body.get("sanitization") == row.id
    }
    if f"{RUN}.done" not in about.values():
        return False
    with site.catalog.transaction() as session:
        row = sanitizations.move(session, name, before=EXECUTING, after=EXECUTED)
        row.entries = [*row.entries, *about]
        session.add(row)
    return True


def _is_running(session: Session, run_id: str | None) -> bool:
    found = runs.get(session, run_id) if run_id is not None else None
    return found is not None and found.ended_at is None


def described(facts: Facts) -> dict[str, Any]:
    """Return the facts as JSON values, without the transcripts."""
    return {
        "kind": facts.kind,
        "size_bytes": facts.size_bytes,
        "block_bytes": facts.block_bytes,
        "vendor": facts.vendor,
        "model": facts.model,
        "serial": facts.serial,
        "serials": dict(facts.serials),
        "identity": facts.identity,
        "capabilities": dict(facts.capabilities),
        "native_bytes": facts.native_bytes,
        "hidden_areas": facts.hidden,
        "frozen": facts.frozen,
        "locked": facts.locked,
        "health": facts.health,
        "in_use": list(facts.in_use),
        "missing_tools": list(facts.missing_tools),
    }


def body_of(row: Sanitization) -> dict[str, Any]:
    """Return what the ledger says of a sanitization."""
    found = {
        "sanitization": row.id,
        "technique": row.technique,
        "kind": row.kind,
        "serial": row.serial,
        "model": row.model,
        "size_bytes": row.size_bytes,
        "medium": row.medium,
        "basis": row.basis,
    }
    return {key: value for key, value in found.items() if value is not None}
