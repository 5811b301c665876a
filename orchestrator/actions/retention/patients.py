"""The patient list that drives retention: taking one in, and what is wrong with the one in force.

A list is taken whole or not at all; patients it contradicts itself about are blocked one by one.
Its holds come into force in the same transaction as the list.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.person import demand_person
from orchestrator.actions.retention.patient_checks import (
    answers,
    is_fresh,
    is_later,
    named,
    refusals,
)
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import patients as rows
from orchestrator.catalog.retention_tables import PatientList
from orchestrator.errors import RefusedError
from orchestrator.retention.study import ReviewReason

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.actions.holds.place import Wish
    from orchestrator.actions.retention.patient_file import PatientFile

MATTER = "patient list"
"""Matter of the holds that a list asks for."""

_BLOCKING: tuple[ReviewReason, ...] = (
    "not_in_patient_list",
    "birth_date_contradicts",
    "merge_contradicts",
    "patient_id_ambiguous",
)
"""Doubts about a study that another patient list might settle."""

_LONGEST_REASON = 2000


@dataclass(frozen=True, slots=True)
class Blocking:
    """Something that keeps studies from being decided, or rows from being taken.

    Attributes:
        reason: From the closed sets.
        count: How often.
        unit: ``rows`` of the list or ``studies`` of the catalog.
    """

    reason: str
    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A patient list that is in force now.

    Attributes:
        row: The list's own row.
        blocking: What it leaves blocked, rows first.
        rejected_rows: By line number, with every reason.
        holds: Ids of the holds it asked for, older ones too.
        outcome: ``succeeded``, or ``partial`` if rows were rejected or something is left to do.
        problems: What is left to do.
    """

    row: PatientList
    blocking: tuple[Blocking, ...]
    rejected_rows: tuple[tuple[int, tuple[str, ...]], ...]
    holds: tuple[str, ...]
    outcome: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """The list in force and how far it can be relied on.

    Attributes:
        row: The list; None if there is none.
        doubts: Why no study at all may be decided by it.
        age: Since it was exported; None if there is none.
        merged: Patients who were merged into others.
        blocked: Patients it says nothing reliable of, by reason.
        refused: A list that was refused after it was taken; None if there is none.
    """

    row: PatientList | None
    doubts: frozenset[ReviewReason]
    age: timedelta | None
    merged: int
    blocked: Mapping[str, int]
    refused: PatientList | None


def list_doubts(site: Site, session: Session) -> frozenset[ReviewReason]:
    """Return why no study at all may be decided by the list in force; empty if it is usable.

    Args:
        site: The site.
        session: The transaction in which the decision is made.
    """
    row = rows.in_force(session)
    if row is None:
        return frozenset({"patient_list_missing"})
    found: set[ReviewReason] = set()
    if not is_fresh(site, row.exported_at, site.clock.now()):
        found.add("patient_list_stale")
    if _in_the_way(site, session, row):
        found.add("patient_list_refused")
    return frozenset(found)


def _in_the_way(site: Site, session: Session, row: PatientList) -> list[PatientList]:
    """Return the refused lists of which it is not known what, or which hold, they would bring."""
    return [one for one in rows.refused(session) if not answers(site, row, one)]


def standing(site: Site) -> Standing:
    """Return the state of the list in force, without anybody's identity."""
    with site.catalog.reading() as session:
        row, newest = rows.in_force(session), rows.newest(session)
        merged, blocked = 0, Counter[str]()
        for _, one in rows.every(session, site.catalog.keys.cipher):
            merged += one.merged_into is not None
            if one.blocked is not None:
                blocked[one.blocked] += 1
        exported = None if row is None else row.exported_at
        refused = newest if newest is not None and newest.state == rows.REFUSED else None
        if row is not None and (found := _in_the_way(site, session, row)):
            refused = max(found, key=lambda one: one.imported_at)
        return Standing(
            row=row,
            doubts=list_doubts(site, session),
            age=None if exported is None else site.clock.now() - exported,
            merged=merged,
            blocked=dict(blocked),
            refused=refused,
        )


def import_patients(
    site: Site, file: Path, *, accept_shrink: bool = False, issuer: str | None = None
) -> Imported:
    """Take in a patient list in the place of the one before.

    Args:
        site: The site; its actor acts.
        file: The list (CSV).
        accept_shrink: Take it although it is much shorter than the one before.
        issuer: Issuer of ids without one; None for the one that all stores name, if they do.

    Raises:
        RefusedError: Nobody of compliance or operation is named; or the list is stale, shrunken,
            or has no good row. Nothing of it is kept then.
        UsageError: The file cannot be read.
        ConfigError: The file is no patient list.
        OrchestratorError: The catalog fails; then the list before is still in force.
    """
    from orchestrator.actions.retention.patient_file import read_file

    demand_person(site, "compliance", *(() if accept_shrink else ("operator",)))
    with run(site, "patients-import", exclusive=False) as current:
        with current.step("read"):
            found = read_file(site, file, issuer=issuer)
        with current.step("take"):
            row, holds = _take(site, found, accept_shrink=accept_shrink)
        problems = _record(current, row, holds)
        if row.rejected:
            current.fell_short(f"{row.rejected} of {row.rows} rows were rejected")
        current.metrics.update(list=row.id, rows=row.rows, rejected=row.rejected)
    return Imported(
        row=row,
        blocking=(
            *(Blocking(reason, count, "rows") for reason, count in found.faults().most_common()),
            *_blocked_studies(site),
        ),
        rejected_rows=tuple((one.line, tuple(sorted(one.faults))) for one in found.rejected),
        holds=tuple(holds),
        outcome=current.outcome,
        problems=tuple(problems),
    )


def _take(site: Site, found: PatientFile, *, accept_shrink: bool) -> tuple[PatientList, list[str]]:
    """Put a list in force, with its holds, or refuse it."""
    from orchestrator.actions.holds import coverage, place
    from orchestrator.catalog.holds import gate

    now = site.clock.now()
    cipher = site.catalog.keys.cipher
    with site.catalog.transaction() as session:
        # Nobody decides, holds or imports until this is over.
        gate(session)
        before = rows.in_force(session)
        known = dict(rows.every(session, cipher))
        exported = found.oldest_export
        confirms = before is None or is_later(exported, before.exported_at)
        found.compare(known, confirms=confirms)
        row = _row(site, found, now)
        faults = refusals(site, found, row, before, accept_shrink=accept_shrink)
        if faults:
            row.refusal, row.exported_at = "; ".join(faults), found.newest_export
            rows.add_refused(session, row)
        else:
            covered = coverage.in_force(session, site)
            rows.replace(session, row, found.listed(known), cipher=cipher)
            # A hold never covers less because a list says no more of a merge.
            for hold in covered:
                if hold.kind == "patient" and len(hold.patients) > 1:
                    coverage.keep_aliases(site, session, hold.id, hold.patients)
            holds = place.add(site, session, _wishes(site, found))
    if faults:
        raise RefusedError(
            f"the patient list was refused: {row.refusal}{named(found)}",
            hint="orchestrator patients show",
        )
    return row, holds


def _row(site: Site, found: PatientFile, now: datetime) -> PatientList:
    rejected = len(found.rejected)
    return PatientList(
        id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        state=rows.REFUSED,
        sha256=found.sha256,
        exported_at=found.oldest_export,
        imported_at=now,
        imported_by=site.actor,
        rows=len(found.rows),
        accepted=len(found.rows) - rejected,
        rejected=rejected,
    )


def _wishes(site: Site, found: PatientFile) -> list[Wish]:
    from orchestrator.actions.holds import place
    from orchestrator.retention.people import held

    wishes = [
        place.Wish(
            kind="patient",
            matter=MATTER,
            reason=reason[:_LONGEST_REASON] or "the patient list says so",
            patients=(found.keys[key],),
            source=place.PATIENT_LIST,
        )
        for key, reason in held(found.people)
    ]
    for wish in wishes:
        place.check(site, wish)
    return wishes


def _record(current: Run, row: PatientList, holds: Sequence[str]) -> list[str]:
    """Tell the ledger; what fails now is made up for by a later run."""
    from orchestrator.actions.holds import place
    from orchestrator.actions.ledger.record import record_new
    from orchestrator.actions.retention.patient_events import imported
    from orchestrator.errors import OrchestratorError

    problems = []
    try:
        record_new(current.site, [imported(row)])
    except OrchestratorError as error:
        problem = f"the ledger does not say yet that a patient list was imported: {error.message}"
        current.fell_short(problem)
        problems.append(problem)
    if holds:
        problems += place.follow_up(current, holds)
    return problems


def _blocked_studies(site: Site) -> list[Blocking]:
    from orchestrator.actions.retention.facts import study_facts

    counts: Counter[str] = Counter()
    with site.catalog.reading() as session:
        for facts in study_facts(site, session):
            counts.update(facts.doubts)
            if facts.born is None:
                counts["birth_date_unknown"] += 1
    return [
        Blocking(reason, counts[reason], "studies")
        for reason in (*_BLOCKING, "birth_date_unknown")
        if counts[reason]
    ]
