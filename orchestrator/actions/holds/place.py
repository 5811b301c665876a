"""Placing a legal hold: in force with the transaction that records it, whatever follows.

Then the ledger is told, running disposals are paused, and locks in the buckets are lengthened; if
one of these last steps fails, the hold stands and the next run goes on with it.

Source: FRCP 37(e): reasonable steps to preserve what litigation will need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from orchestrator.actions.holds import coverage, effects
from orchestrator.actions.holds.events import placed
from orchestrator.actions.holds.listing import HoldFacts, facts_of
from orchestrator.actions.ledger import note as ledger_note
from orchestrator.actions.person import demand_person
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import holds, repositories
from orchestrator.catalog.hold_tables import Hold as HoldRow
from orchestrator.errors import NotFoundError, OrchestratorError, UsageError
from orchestrator.retention.hold import HoldKind

if TYPE_CHECKING:
    from sqlmodel import Session

LONGEST_MATTER = 80
LONGEST_REASON = 2000
"""Characters."""

PERSON, PATIENT_LIST = "person", "patient_list"
"""Who asked for a hold: somebody of the site, or the practice's own records."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A hold that somebody wants.

    Attributes:
        kind: By what it selects studies.
        matter: Number of the case or the like; stands in clear in catalog and ledger.
        reason: Why; kept as ciphertext.
        store: Only studies of this store; None for all.
        study: Pseudonym, for ``study``.
        patients: Pseudonyms of one patient, the one to be shown first, for ``patient``; see
            `coverage.patient_names`.
        dates_from: First day, for ``dates``.
        dates_to: Last day, for ``dates``.
        starts_at: From when on the duty to preserve runs; None for now. It holds at once.
        source: `PERSON` or `PATIENT_LIST`.
    """

    kind: HoldKind
    matter: str
    reason: str
    store: str | None = None
    study: str | None = None
    patients: tuple[str, ...] = ()
    dates_from: date | None = None
    dates_to: date | None = None
    starts_at: datetime | None = None
    source: str = PERSON


@dataclass(frozen=True, slots=True)
class Placed:
    """A hold that was placed, and what followed.

    Attributes:
        hold: The hold.
        snapshots: Snapshots that are kept by it.
        paused: Disposals that were under way and stand still now.
        problems: What could not be done at once; the hold is in force all the same.
    """

    hold: HoldFacts
    snapshots: int
    paused: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def place(site: Site, wish: Wish) -> Placed:
    """Place one hold, for a person of compliance.

    Raises:
        RefusedError: Nobody of compliance is named, or the matter names somebody.
        UsageError: The wish makes no sense.
        NotFoundError: Nobody knows such a store, study or patient.
        OrchestratorError: The catalog fails; then nothing is on hold.
    """
    demand_person(site, "compliance")
    check(site, wish)
    ledger_note.demand_nobody(site, [wish.matter])
    with run(site, "hold-place") as current:
        with site.catalog.transaction() as session:
            holds.gate(session)
            _demand_known(session, wish)
            (name,) = add(site, session, [wish])
            paused = effects.paused_by(session, name)
        problems = follow_up(current, [name])
        with site.catalog.reading() as session:
            facts = facts_of(site, session, holds.get(session, name))
            kept = effects.kept_snapshots(site, session, name)
        current.metrics.update(hold=name, studies=facts.studies, snapshots=kept)
    return Placed(facts, kept, paused, tuple(problems))


def check(site: Site, wish: Wish) -> None:
    """Refuse a wish that makes no sense.

    Raises:
        UsageError: It does not.
        NotFoundError: The site has no such store, and never backed one up.
    """
    if not wish.matter.strip() or not wish.matter.isprintable():
        raise UsageError("a hold needs its matter: the number of the case or the like")
    if len(wish.matter) > LONGEST_MATTER or len(wish.reason) > LONGEST_REASON:
        raise UsageError(
            f"a matter has at most {LONGEST_MATTER} characters, a reason {LONGEST_REASON}"
        )
    if not wish.reason.strip():
        raise UsageError("a hold needs a reason")
    if wish.store is not None and not _has_repository(site, wish.store):
        site.store_config(wish.store)
    is_whole = {
        "study": wish.study is not None,
        "patient": bool(wish.patients),
        "dates": wish.dates_from is not None or wish.dates_to is not None,
        "store": wish.store is not None,
    }
    if not is_whole[wish.kind]:
        raise UsageError(f"a hold on {wish.kind} must say which")
    if wish.dates_from and wish.dates_to and wish.dates_from > wish.dates_to:
        raise UsageError("the first day of a hold lies after its last day")


def _has_repository(site: Site, store: str) -> bool:
    """Say whether copies may hold a store: also one that has left the site file."""
    with site.catalog.reading() as session:
        return bool(repositories.of_store(session, store))


def add(site: Site, session: Session, wishes: Sequence[Wish]) -> list[str]:
    """Put holds in force within somebody's transaction; `follow_up` comes after it.

    A patient whom the practice's records hold already, by a hold in force, gets no second one.

    Args:
        site: The site.
        session: A writing session, its gate shut.
        wishes: Checked by `check`.

    Returns:
        Id of each wish's hold, an older one where that is in force.
    """
    now = site.clock.now()
    number = holds.next_number(session, now.year)
    listed = {
        row.patient_key: row.id
        for row in holds.listing(session)
        if row.source == PATIENT_LIST and row.kind == "patient" and row.store is None
    }
    ids = []
    for wish in wishes:
        patient = wish.patients[0] if wish.patients else None
        if wish.source == PATIENT_LIST and patient in listed:
            ids.append(listed[patient])
            continue
        name = f"H-{now.year}-{number:04}"
        number += 1
        row = HoldRow(
            id=name,
            kind=wish.kind,
            store=wish.store,
            study_key=wish.study,
            patient_key=patient,
            dates_from=wish.dates_from,
            dates_to=wish.dates_to,
            matter=wish.matter.strip(),
            reason_enc=site.catalog.keys.cipher.encrypt(
                wish.reason.encode("utf-8", "replace"), f"hold.reason|{name}"
            ),
            source=wish.source,
            starts_at=wish.starts_at or now,
            placed_by=site.actor,
            placed_at=now,
        )
        holds.add(session, row)
        if wish.kind == "patient":
            keep = coverage.all_names(site, session, wish.patients)
            coverage.keep_aliases(site, session, name, keep)
        if wish.source == PATIENT_LIST:
            listed[patient] = name
        effects.pause(site, session, name)
        ids.append(name)
    return ids


def follow_up(current: Run, ids: Sequence[str]) -> list[str]:
    """Tell the ledger of new holds, and lengthen the locks of what they keep.

    Args:
        current: The run they were placed in.
        ids: Their ids.

    Returns:
        What could not be done now; the run is `partial` then, and later runs go on with it.
    """
    from orchestrator.actions.ledger.record import record_new

    site = current.site
    problems = []
    with site.catalog.reading() as session:
        made = [placed(holds.get(session, name)) for name in ids]
    try:
        record_new(site, made)
    except OrchestratorError as error:
        problems.append(f"the ledger does not say yet that a hold was placed: {error.message}")
    problems += effects.extend_locks(site)
    for problem in problems:
        current.fell_short(problem)
    return problems


def _demand_known(session: Session, wish: Wish) -> None:
    """Refuse a hold that would keep nothing because its name is mistyped.

    Raises:
        NotFoundError: Nobody knows the study or the patient.
    """
    if wish.kind == "study" and not holds.knows_study(session, wish.study or "", wish.store):
        raise NotFoundError("no store has such a study", hint="orchestrator study list")
    if wish.kind == "patient" and not holds.knows_patient(session, wish.patients):
        raise NotFoundError(
            "neither an image nor the patient list names such a patient",
            hint="the patients by pseudonym: orchestrator study list",
        )
