"""Taking a medium out of service, once everything on it is proven elsewhere."""

from __future__ import annotations

from orchestrator import canonical
from orchestrator.actions import custody
from orchestrator.actions.certificates.files import keep_evidence
from orchestrator.actions.holds import guard
from orchestrator.actions.ledger.record import Event, announced
from orchestrator.actions.media import MediumFacts, find, fresh
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, media, sanitizations
from orchestrator.catalog.copy_tables import MediumEvent
from orchestrator.catalog.media import RETIRED
from orchestrator.catalog.sanitization_tables import CustodyAct
from orchestrator.config.site import OfflineCopy
from orchestrator.errors import RefusedError


def retire(site: Site, name: str, *, note: str | None) -> MediumFacts:
    """Take a medium out of service; what it holds stays on it until it is sanitized.

    Args:
        site: The site.
        name: The medium's id, the beginning of it, or its label.
        note: Why.

    What it held is tied to it for the certificate of its sanitization.

    Raises:
        RefusedError: It is the only medium of its copy that holds a snapshot, or its last one,
            or holds one that no other copy is proven to hold, or one that is on hold.
    """
    medium = find(site, name)
    removal = guard.Removal(
        "medium.retire", f"medium {medium.label}", copy=medium.copy_, medium=medium.id
    )
    with run(site, "medium-retire"):
        with guard.guarded(site) as session:
            guard.demand_free(site, session, removal)
        with site.catalog.reading() as session:
            others = {row.id for row in media.of_copy(session, medium.copy_)} - {medium.id}
            states = copies.states(session, medium.copy_)
        holders = {row.medium for row in states if row.newest_snapshot is not None}
        # A copy that the site file no longer names needs no medium any more.
        is_in_use = isinstance(site.config.copies.get(medium.copy_), OfflineCopy)
        if is_in_use and medium.id in holders and others and not others & holders:
            raise RefusedError(
                f"copy {medium.copy_}: {medium.label} is the only medium that holds a snapshot",
                hint=f"connect another one, then: orchestrator replicate {medium.copy_}",
            )
        if is_in_use and not others:
            raise RefusedError(
                f"copy {medium.copy_}: {medium.label} is its last medium",
                hint="add another one first: orchestrator medium add COPY PATH",
            )
        holdings = custody.demand_elsewhere(site, medium)
        about = {
            "medium": medium.id,
            "copy": medium.copy_,
            "serial": medium.serial,
            "repositories": sorted({one.repository for one in holdings}),
            "snapshots": len(holdings),
            "elsewhere": sorted({one.elsewhere for one in holdings}),
        }
        content = canonical.encode(
            {"holdings": [custody.holding_document(one) for one in holdings]}
        )
        intent = Event(
            "medium.retire",
            about,
            evidence={"holdings": keep_evidence(site, content)},
            note=note,
        )
        with announced(site, intent) as outcome:
            now = site.clock.now()
            act = CustodyAct(medium=medium.id, at=now, given_by=site.actor)
            event = MediumEvent(
                medium=medium.id, at=now, actor=site.actor, event="retired", note=note
            )
            with guard.guarded(site) as session:
                guard.demand_free(site, session, removal)
                media.record(session, event, state=RETIRED)
                sanitizations.keep_custody(session, act)
                sanitizations.keep_holdings(session, holdings)
            outcome.update(about)
    return fresh(site, medium.id, None)
