"""The rows of a disposal, made from what was kept beside the ledger: plan and proofs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.certificates import files as places
from orchestrator.actions.rebuilding.told import Told, document
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates
from orchestrator.catalog.disposal_tables import LIVE, Disposal, DisposalCopy, DisposalStudy
from orchestrator.catalog.disposals import ABSENT, DUE, PROPOSED
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

LOST = "lost with the catalog before anything was removed"

NOBODY = "not-known"
"""Stands for the studies of a disposal that began and of which no study is known."""

_NOT_KNOWN = "not known since the catalog was made anew"


def from_proposal(
    site: Site, session: Session, name: str, proposed: Sequence[Told]
) -> Disposal | None:
    """Make the rows of a batch as it was proposed; None if no entry proposes it.

    Without its plan it has no studies.
    """
    if not proposed:
        return None
    first = proposed[0]
    content = document(site, first, "plan")
    actor = site.config.actors.get(first.entry.actor)
    plan = dict(_bare_plan(first) if content is None else content["plan"])
    row = Disposal(
        id=name,
        state=PROPOSED,
        plan_digest=first.hash_of("plan") or "",
        plan=plan
        | {
            "proposed_in": [one.entry.id for one in proposed],
            "proposed_by_name": None if actor is None else actor.name,
        },
        proposed_by=first.entry.actor,
        proposed_at=first.at,
    )
    session.add(row)
    session.flush()
    if content is not None:
        session.add_all(_studies(name, content))
        session.flush()
    return row


def bare_study(disposal: str, store: str, study: str, due: date) -> DisposalStudy:
    """Return the row of a study of which nothing but its pseudonym is known."""
    return DisposalStudy(
        disposal=disposal,
        store=store,
        study_key=study,
        state=DUE,
        due=due,
        schedule_id=_NOT_KNOWN,
        schedule_version="",
        rule=_NOT_KNOWN,
        citation=_NOT_KNOWN,
        record_class="not_known",
    )


def proved(site: Site, session: Session, row: Disposal) -> list[DisposalCopy]:
    """Return every place as it stands on a disposal's certificate; none if that is not here."""
    there = certificates.of_subject(session, f"disposal/{row.id}")
    if there is None:
        return []
    act = json.loads(there.record)["act"]
    sha256 = act["evidence"].get("proofs", "")
    try:
        raw = places.read_as(places.evidence_path(site, sha256), sha256, "the proofs")
    except OrchestratorError:
        return []
    return [
        DisposalCopy(
            disposal=row.id,
            store=proof["store"],
            copy_=LIVE if proof["copy"] == "live" else proof["copy"],
            medium=proof["medium"] or "",
            role=shown["role"],
            state=ABSENT,
            proved_at=_at(proof["proved_at"]),
            evidence=proof["evidence"],
        )
        for proof, shown in zip(json.loads(raw)["proofs"], act["copies"], strict=True)
    ]


def _bare_plan(first: Told) -> dict[str, Any]:
    stores = list(first.body["stores"])
    share = {name: int(first.body[name]) for name in ("studies", "files", "bytes")}
    nothing = dict.fromkeys(share, 0)
    return {
        "today": first.at.date().isoformat(),
        "stores": {one: share if len(stores) == 1 else nothing for one in stores},
        "schedules": dict(first.body["schedules"]),
        "notices": [],
        "passed_over": {},
    }


def _studies(name: str, content: dict[str, Any]) -> list[DisposalStudy]:
    rules = {tuple(one[:4]): one[4:] for one in content.get("rules", ())}
    found = []
    for store, study, due, *rest in content["studies"]:
        schedule, version, rule, part, *known = rest
        row = bare_study(name, store, study, date.fromisoformat(due))
        row.schedule_id, row.schedule_version, row.rule = schedule, version, rule
        if (schedule, version, rule, part) in rules:
            row.record_class, row.citation = rules[schedule, version, rule, part]
        if known:
            row.patient_key, row.files, row.size_bytes, oldest, newest = known
            row.dates_from = None if oldest is None else date.fromisoformat(oldest)
            row.dates_to = None if newest is None else date.fromisoformat(newest)
        found.append(row)
    return found


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
