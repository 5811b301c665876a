"""Sanitizations: a method stands again only where every step to it stands in the ledger.

What a device is and what was seen of it lies in the row alone. So one that the catalog does not
know is interrupted: it claims nothing and frees no medium, unless its certificate says the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.rebuilding.told import Brought, Told, document
from orchestrator.actions.sanitization.rows import RUN
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates, sanitizations
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.catalog.sanitizations import (
    ACCEPTED,
    APPROVED,
    EXECUTED,
    EXECUTING,
    INTERRUPTED,
    PENDING,
    PROPOSED,
    RECORDED,
    REFUSED,
    REJECTED,
)

if TYPE_CHECKING:
    from sqlmodel import Session

LOST = "what was known of it is lost with the catalog: it claims nothing, do it again"


@dataclass(slots=True)
class _Story:
    name: str
    of: dict[str, Told] = field(default_factory=dict)
    entries: list[int] = field(default_factory=list)


def bring_back(site: Site, told: list[Told], brought: Brought) -> None:
    """Bring back sanitizations; certificates and media must be there already.

    Raises:
        OrchestratorError: The catalog fails.
    """
    found: dict[str, _Story] = {}
    for one in told:
        name = one.body.get("sanitization")
        if name is not None:
            story = found.setdefault(str(name), _Story(str(name)))
            story.of[one.type] = one
            story.entries.append(one.index)
    for story in found.values():
        with site.catalog.transaction() as session:
            row = session.get(Sanitization, story.name)
            before = None if row is None else (row.state, row.validation, list(row.entries))
            if row is None:
                row = _row(session, story, brought)
            else:
                _forward(site, row, story, brought)
            there = certificates.of_subject(session, f"sanitization/{row.id}")
            if there is not None:
                row.certificate = there.number
            row.entries = sorted({*row.entries, *story.entries})
            sanitizations.save(session, row)
        brought.counts["sanitizations"] += before != (row.state, row.validation, row.entries)


def _row(session: Session, story: _Story, brought: Brought) -> Sanitization:
    """Return a row of one that the catalog does not know."""
    first = next(iter(story.of.values()))
    body = first.body
    row = Sanitization(
        id=story.name,
        state=INTERRUPTED,
        basis=str(body.get("basis") or "measured"),
        technique=str(body.get("technique") or "not known"),
        kind=str(body.get("kind") or "unknown"),
        model=body.get("model"),
        serial=body.get("serial"),
        size_bytes=body.get("size_bytes"),
        medium=body.get("medium"),
        proposed_by=first.entry.actor,
        proposed_at=first.at,
        verification="unverified",
        reasons=[LOST],
        validation=PENDING,
        ended_at=first.at,
    )
    there = certificates.of_subject(session, f"sanitization/{row.id}")
    validated = story.of.get("sanitization.validated")
    refused = story.of.get("sanitization.refused")
    if there is not None and there.state == certificates.ISSUED and validated is not None:
        _certified(row, validated, json.loads(there.record)["act"], story)
    elif refused is not None:
        row.state, row.decided_by, row.decided_at = REFUSED, refused.entry.actor, refused.at
        row.reasons, row.verification, row.ended_at = [], None, None
    else:
        brought.lost.append(
            f"sanitization {row.id}: what was known of it is lost, so that it claims nothing: "
            "propose or record it again"
        )
    return row


def _certified(row: Sanitization, validated: Told, act: dict[str, Any], story: _Story) -> None:
    """Take from a certificate what it certifies."""
    row.state = RECORDED if "sanitization.recorded" in story.of else EXECUTED
    row.basis = act["basis"]
    row.method = act["method"]
    row.verification = "attested" if row.basis == "attested" else str(act["verification"]["result"])
    row.reasons = list(act["method_reasons"])
    row.started_at = _at(act.get("started_at"))
    row.ended_at = _at(act["ended_at"])
    row.evidence = dict(act["evidence"])
    row.destination = act["medium"].get("destination")
    row.property_number = act["medium"].get("property_number")
    _validate(row, validated)


def _forward(site: Site, row: Sanitization, story: _Story, brought: Brought) -> None:
    """Take a row that the catalog knows as far as the ledger says."""
    approved, refused = story.of.get("sanitization.approved"), story.of.get("sanitization.refused")
    if row.state == PROPOSED and approved is not None:
        row.state, row.decided_by, row.decided_at = APPROVED, approved.entry.actor, approved.at
    if row.state == PROPOSED and refused is not None:
        row.state, row.decided_by, row.decided_at = REFUSED, refused.entry.actor, refused.at
        row.decision_reason = refused.entry.note
    run, done = story.of.get(RUN), story.of.get(f"{RUN}.done")
    if run is not None and row.state in (APPROVED, EXECUTING):
        row.performed_by, row.started_at = run.entry.actor, row.started_at or run.at
        seen = None if done is None else document(site, done, "measured")
        if done is not None and seen is not None:
            _outcome(row, done, seen)
        else:
            row.state, row.verification, row.method = INTERRUPTED, "unverified", None
            row.reasons, row.ended_at = [LOST], run.at
            brought.lost.append(
                f"sanitization {row.id} was begun, and what came of it is not known: do it again"
            )
    validated = story.of.get("sanitization.validated")
    if validated is not None and row.validation == PENDING and row.state in (EXECUTED, RECORDED):
        _validate(row, validated)


def _outcome(row: Sanitization, done: Told, seen: dict[str, Any]) -> None:
    row.state, row.ended_at = EXECUTED, done.at
    row.verification, row.method = done.body.get("verification"), done.body.get("method")
    row.reasons = list(done.body.get("reasons") or ())
    row.flags = list(done.body.get("flags") or ())
    row.tool, row.tool_version = done.body.get("tool"), done.body.get("tool_version")
    row.measured = seen
    row.evidence = {name: done.hash_of(name) or "" for name in done.entry.evidence}


def _validate(row: Sanitization, one: Told) -> None:
    accepted = one.body.get("decision") == ACCEPTED
    row.validation = ACCEPTED if accepted else REJECTED
    row.validated_by, row.validated_at = one.entry.actor, one.at
    row.validation_reasons = [one.entry.note] if one.entry.note else []
    row.method = one.body.get("method") if accepted else None


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
