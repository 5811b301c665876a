"""Determinations as they are shown: which doubt of which study, by whom, and whether it counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.actions.ledger import mirror
from orchestrator.actions.person import demand_person
from orchestrator.actions.retention.determined import ASKED, WITHDRAWN, Determined, in_force
from orchestrator.actions.site import Site
from orchestrator.catalog import determinations as rows
from orchestrator.catalog import disposals

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.determination_tables import Determination

FindingState = Literal["asked", "in_force", "lapsed", "unrecorded", "withdrawn", "lost"]
"""`asked`: one person has found it. `lapsed`: what raised the doubt has changed since, or is gone.
`unrecorded`: the ledger does not know that it was made, so it does not count. `lost`: the ledger
knows it, and the catalog, made anew from an older state, does not; it does not count."""


@dataclass(frozen=True, slots=True)
class Found:
    """One determination.

    Attributes:
        determination: Its id.
        state: What it is.
        study: Pseudonym of the study; None if it is lost.
        doubt: The doubt; None if it is lost.
        asked_by: Who found it first; None if it is lost.
        asked_at: When.
        made_by: Who confirmed it; None for nobody yet.
        made_at: When.
        withdrawn_by: Who took it back; None for nobody.
        withdrawn_at: When.
        disposals: Disposals that have begun to take the study away.
        findings: What was found, in clear, the first person's first; None unless asked for.
    """

    determination: str
    state: FindingState
    study: str | None = None
    doubt: str | None = None
    asked_by: str | None = None
    asked_at: datetime | None = None
    made_by: str | None = None
    made_at: datetime | None = None
    withdrawn_by: str | None = None
    withdrawn_at: datetime | None = None
    disposals: tuple[str, ...] = ()
    findings: tuple[str, ...] | None = None

    def document(self) -> dict[str, Any]:
        """Return it as plain values."""
        body = {name: getattr(self, name) for name in self.__dataclass_fields__}
        body["disposals"] = list(self.disposals)
        body["findings"] = list(self.findings or ())
        if self.findings is None:
            del body["findings"]
        return body


def listing(site: Site, *, study: str | None = None, findings: bool = False) -> list[Found]:
    """Return every determination, withdrawn ones too, oldest first.

    Args:
        site: The site.
        study: Only about this study, by pseudonym.
        findings: Show what was found, for a person of compliance: it may name somebody.

    Raises:
        RefusedError: Findings are for compliance only; or there is no ledger to compare with.
        DamageError: A finding was changed in the database, or the ledger cannot be read.
    """
    if findings:
        demand_person(site, "compliance")
    with site.catalog.reading() as session:
        known = rows.listing(session, study=study)
        found = found_of(site, session, known, findings=findings)
        if study is None:
            found += _lost(site, session, {row.id for row in known})
    return found


def found_of(
    site: Site, session: Session, known: Sequence[Determination], *, findings: bool = False
) -> list[Found]:
    """Return determinations as they are shown.

    Raises:
        RefusedError: There is no ledger to compare with.
        DamageError: A finding was changed in the database, or the ledger cannot be read.
    """
    open_ones = [row for row in known if row.withdrawn_at is None]
    current = Determined(site, session, open_ones)
    recorded = {row.id for row in in_force(site, session, [row.study_key for row in open_ones])}
    taken_back = {one.split("|")[1] for one in mirror.recorded(site, session, WITHDRAWN)}
    return [
        Found(
            determination=row.id,
            state=_state(
                row,
                counts=row.withdrawn_at is None and current.counts(row),
                is_recorded=row.id in recorded,
                is_withdrawn=row.withdrawn_at is not None or row.id in taken_back,
            ),
            study=row.study_key,
            doubt=row.doubt,
            asked_by=row.asked_by,
            asked_at=row.asked_at,
            made_by=row.made_by,
            made_at=row.made_at,
            withdrawn_by=row.withdrawn_by,
            withdrawn_at=row.withdrawn_at,
            disposals=_under_way(session, row.study_key),
            findings=tuple(_plain(site, row)) if findings else None,
        )
        for row in known
    ]


def _state(
    row: Determination, *, counts: bool, is_recorded: bool, is_withdrawn: bool
) -> FindingState:
    if is_withdrawn:
        return "withdrawn"
    if not counts:
        return "lapsed"
    if row.made_at is None:
        return "asked"
    return "in_force" if is_recorded else "unrecorded"


def _lost(site: Site, session: Session, known: set[str]) -> list[Found]:
    asked = {one.split("|")[1] for one in mirror.recorded(site, session, ASKED)}
    return [Found(name, "lost") for name in sorted(asked - known)]


def _under_way(session: Session, study: str) -> tuple[str, ...]:
    begun = {row.id for row in disposals.open_batches(session)}
    taken = disposals.of_study(session, study) if begun else ()
    return tuple(
        row.disposal for row in taken if row.disposal in begun and row.state in disposals.GOING
    )


def sealed(site: Site, name: str, which: Literal["first", "second"], finding: str) -> bytes:
    """Return a finding as it is kept."""
    plain = finding.strip().encode("utf-8", "replace")
    return site.catalog.keys.cipher.encrypt(plain, f"determination.finding|{name}|{which}")


def _plain(site: Site, row: Determination) -> Iterator[str]:
    for which, field in (("first", row.finding_enc), ("second", row.second_finding_enc)):
        if field is not None:
            context = f"determination.finding|{row.id}|{which}"
            yield site.catalog.keys.cipher.decrypt(field, context).decode("utf-8", "replace")
