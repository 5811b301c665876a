"""Holds as they are shown: by matter and pseudonym, with how many studies each covers now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.actions.holds import coverage
from orchestrator.actions.person import demand_person
from orchestrator.actions.site import Site
from orchestrator.catalog import hold_cover, holds, repositories

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.hold_tables import Hold as HoldRow

HoldState = Literal["in_force", "release_asked", "released"]
"""`release_asked` is in force still: one of two people wants it to end."""


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """One hold.

    Attributes:
        hold: Its id.
        state: What it is.
        kind: By what it selects studies.
        matter: The case.
        source: ``person`` or ``patient_list``.
        store: Only this store; None for all.
        study: Pseudonym, for ``study``.
        patient: Pseudonym, for ``patient``.
        dates_from: First day, for ``dates``.
        dates_to: Last day, for ``dates``.
        starts_at: From when on the duty to preserve runs.
        placed_by: Who placed it.
        placed_at: When.
        release_asked_by: Who wants it released; None for nobody.
        release_asked_at: Since when.
        released_by: The second person.
        released_at: When it ended.
        studies: Studies in the stores and their snapshots that it covers now; 0 once released.
        reason: Why, in clear; None unless it was asked for.
    """

    hold: str
    state: HoldState
    kind: str
    matter: str
    source: str
    store: str | None
    study: str | None
    patient: str | None
    dates_from: date | None
    dates_to: date | None
    starts_at: datetime
    placed_by: str
    placed_at: datetime
    release_asked_by: str | None
    release_asked_at: datetime | None
    released_by: str | None
    released_at: datetime | None
    studies: int
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        body = {name: getattr(self, name) for name in self.__dataclass_fields__}
        body["from"], body["to"] = body.pop("dates_from"), body.pop("dates_to")
        if self.reason is None:
            del body["reason"]
        return body


def hold_list(site: Site, *, released: bool = False, reasons: bool = False) -> list[HoldFacts]:
    """Return the holds in force, oldest first.

    Args:
        site: The site.
        released: Also those that were released.
        reasons: Show why, for a person of compliance: a reason may name somebody.

    Raises:
        RefusedError: Reasons are for compliance only.
        DamageError: A reason was changed in the database.
    """
    if reasons:
        demand_person(site, "compliance")
    with site.catalog.reading() as session:
        rows = holds.listing(session, released=released)
        return [facts_of(site, session, row, reason=reasons) for row in rows]


def facts_of(site: Site, session: Session, row: HoldRow, *, reason: bool = False) -> HoldFacts:
    """Return what there is to show of a hold.

    Raises:
        DamageError: Its reason was changed in the database.
    """
    return HoldFacts(
        hold=row.id,
        state=state_of(row),
        kind=row.kind,
        matter=row.matter,
        source=row.source,
        store=row.store,
        study=row.study_key,
        patient=row.patient_key,
        dates_from=row.dates_from,
        dates_to=row.dates_to,
        starts_at=row.starts_at,
        placed_by=row.placed_by,
        placed_at=row.placed_at,
        release_asked_by=row.release_asked_by,
        release_asked_at=row.release_asked_at,
        released_by=row.released_by,
        released_at=row.released_at,
        studies=_studies(site, session, row),
        reason=_reason(site, row) if reason else None,
    )


def state_of(row: HoldRow) -> HoldState:
    """Say what a hold is."""
    if row.released_at is not None:
        return "released"
    return "in_force" if row.release_asked_by is None else "release_asked"


def _studies(site: Site, session: Session, row: HoldRow) -> int:
    if row.released_at is not None:
        return 0
    hold = next(one for one in coverage.in_force(session, site) if one.id == row.id)
    stores = {one.store for one in repositories.of_store(session)}
    return sum(
        hold_cover.count_studies(session, store, selected)
        for store in sorted(stores)
        if (selected := coverage.cover(site, session, store, hold)) is not None
    )


def _reason(site: Site, row: HoldRow) -> str:
    plain = site.catalog.keys.cipher.decrypt(row.reason_enc, f"hold.reason|{row.id}")
    return plain.decode("utf-8", "replace")
