"""Taking up a disposal again whose studies somebody has put back into the store.

Nothing of this happens by itself: the patient may have come back. A person asks for it, and every
study is decided about once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.actions.disposal.returned import BACK
from orchestrator.actions.disposal.turn import turn
from orchestrator.actions.holds import guard
from orchestrator.actions.person import demand_person
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, disposed
from orchestrator.catalog.disposal_tables import LIVE
from orchestrator.catalog.disposals import EXECUTING, GOING, OPEN, PENDING, SUPPRESSED, CopyKey
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session


def reopen(site: Site, name: str) -> int:
    """Let the engine remove again what is in the stores again.

    Args:
        site: The site; its actor asks for it.
        name: The disposal; one that is not under way, or of which nothing came back, is left alone.

    Returns:
        How many studies came back.

    Raises:
        NotFoundError: There is no such disposal.
        RefusedError: No person acts, or one of these studies must be kept by what holds now.
        ConfigError: A schedule was changed under the version that was adopted.
        OrchestratorError: Patient list or catalog cannot be read.
    """
    with turn(site), guard.guarded(site) as session:
        if disposals.get(session, name).state not in OPEN:
            return 0
        back = _back(session, name)
        if not back:
            return 0
        demand_person(site, "compliance", "operator", "custodian")
        for store, studies in back.items():
            _demand_due(site, session, name, store, studies)
            keys = [(store, study) for study in studies]
            disposals.set_studies(session, name, keys, state=SUPPRESSED)
            for copy in (LIVE, site.config.primary.name):
                key = CopyKey(name, store, copy)
                if disposals.copy_row(session, key) is not None:
                    disposals.update_copy(session, key, state=PENDING, proved_at=None, detail=None)
        disposals.change(session, name, state=EXECUTING)
    return sum(len(studies) for studies in back.values())


def _back(session: Session, name: str) -> dict[str, list[str]]:
    studies = disposals.studies(session, name, states=GOING)
    found: dict[str, list[str]] = {}
    for store in sorted({one.store for one in studies}):
        keys = [one.study_key for one in studies if one.store == store]
        there = disposed.in_catalog(session, store, keys)
        if there:
            found[store] = sorted(there)
    return found


def _demand_due(site: Site, session: Session, name: str, store: str, studies: list[str]) -> None:
    from orchestrator.actions.retention.decisions import decisions, today_at

    now = site.clock.now()
    decided = {
        facts.study: decision
        for facts, decision in decisions(site, session, store=store, studies=studies, now=now)
    }
    for study in studies:
        decision = decided.get(study)
        other = set(decision.reasons) - {BACK} if decision is not None else {"not_in_catalog"}
        due = decision.due if decision is not None else None
        if other or due is None or due > today_at(site, now):
            why = ", ".join(sorted(other)).replace("_", " ") or "its period runs"
            raise RefusedError(
                f"disposal {name}: study {study} is in store {store} again and is kept now: {why}",
                hint=f"orchestrator retention explain {study}",
            )
