"""What has waited too long: reviews of rules, the patient list, disposals, studies in review.

Nothing here lets anything go or keeps it: it is for the people who must do something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from orchestrator.actions.retention.decisions import decisions, today_at
from orchestrator.actions.retention.listing import Listing, ScheduleFacts, listing
from orchestrator.actions.retention.policy import lost_list
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.disposal_tables import Disposal

Kind = Literal["schedule", "patient_list", "disposal", "study"]

SOON = timedelta(days=60)
"""A review that is due within this time is mentioned."""

LIST_SOON = timedelta(days=7)
"""A patient list that is too old within this time is mentioned."""

UNDECIDED_FOR = timedelta(days=30)
"""A proposed disposal that nobody has decided about for longer is overdue."""

UNDONE_FOR = timedelta(days=7)
"""A disposal that may go on and did not for longer is overdue."""

STUDIES_FOR = timedelta(days=90)
"""A study whose period ended longer ago should have been disposed of, or looked at."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that a person must do.

    Attributes:
        kind: What it is about.
        subject: Which one: a schedule, a disposal, a verdict of studies.
        since: From when on it was overdue, or will be; None if nobody can say.
        is_overdue: It is; else it soon will be.
        words: What is the matter, in words.
        hint: The command to go on with.
    """

    kind: Kind
    subject: str
    since: date | None
    is_overdue: bool
    words: str
    hint: str


def waiting(site: Site) -> list[Waiting]:
    """Return everything that has waited too long, or soon will have.

    Raises:
        ConfigError: A schedule was changed under the version that was adopted.
        DamageError: What was adopted, or a field of the catalog, was changed.
        StoppedError: The work was told to stop.
    """
    now = site.clock.now()
    found = [*of_schedules(listing(site)), *of_patient_list(site)]
    with site.catalog.reading() as session:
        found += of_disposals(site, session, now)
        found += _of_studies(site, session, now)
    return found


def of_schedules(standing: Listing) -> Iterator[Waiting]:
    """Yield the schedules in force with a rule whose review is due or soon will be."""
    for one in standing.schedules:
        if one.adopted is None:
            continue
        found = _of_schedule(one)
        if found is not None:
            yield found


def _of_schedule(one: ScheduleFacts) -> Waiting | None:
    limits = [rule.review_by for rule in one.schedule.rules if rule.review_by is not None]
    first = min(limits, default=None)
    if first is None or first > one.today + SOON:
        return None
    is_overdue = first < one.today
    count = sum(limit <= one.today + SOON for limit in limits)
    what = "was to be" if is_overdue else "is to be"
    hint = f"orchestrator retention show {one.schedule.id}"
    if one.newer is not None:
        hint = f"orchestrator --as ACTOR retention adopt {one.schedule.id}"
    return Waiting(
        "schedule",
        one.schedule.id,
        first,
        is_overdue,
        f"schedule {one.schedule.id}: the review of {count} rules {what} done by {first}"
        + ("; meanwhile it lets nothing go" if is_overdue else ""),
        hint,
    )


def of_patient_list(site: Site) -> Iterator[Waiting]:
    """Yield the patient list if nothing can be decided by it, or soon cannot."""
    from orchestrator.actions.retention.patients import list_doubts
    from orchestrator.catalog import patients

    limit = site.config.retention.patient_list_max_age
    with site.catalog.reading() as session:
        row, newest = patients.in_force(session), patients.newest(session)
        doubts = list_doubts(site, session)
        is_lost = bool(lost_list(site, session))
    last = None
    if row is not None and row.exported_at is not None:
        last = today_at(site, row.exported_at + limit)

    def about(words: str, *, is_overdue: bool) -> Waiting:
        subject = row.id if row is not None else "none"
        hint = "orchestrator --as ACTOR patients import FILE"
        return Waiting("patient_list", subject, last, is_overdue, words, hint)

    if "patient_list_missing" in doubts:
        yield about("no patient list was imported: nothing can be disposed of", is_overdue=True)
    elif is_lost:
        yield about(
            "the ledger knows a later patient list than the catalog: nothing can be disposed of",
            is_overdue=True,
        )
    elif "patient_list_stale" in doubts:
        yield about(
            f"the patient list in force is too old, or nobody knows how old (at most {limit.days} "
            "days): nothing can be disposed of",
            is_overdue=True,
        )
    elif last is not None and last <= today_at(site, site.clock.now()) + LIST_SOON:
        yield about(f"the patient list is too old after {last}", is_overdue=False)
    if newest is not None and newest.state == patients.REFUSED:
        yield about(
            f"the patient list that came last, {newest.imported_at:%Y-%m-%d}, was refused: the one "
            "before is in force",
            is_overdue=True,
        )


def of_disposals(site: Site, session: Session, now: datetime) -> Iterator[Waiting]:
    """Yield the disposals that nobody has decided about or brought forward for too long."""
    for row in disposals.listing(session, states=(*disposals.UNDECIDED, *disposals.OPEN)):
        since, words = _of_disposal(session, row)
        if row.paused is None and since < now:  # a hold may take as long as it takes
            yield Waiting(
                "disposal",
                row.id,
                today_at(site, since),
                is_overdue=True,
                words=f"disposal {row.id}: {words}",
                hint=f"orchestrator disposal show {row.id}",
            )


def _of_disposal(session: Session, row: Disposal) -> tuple[datetime, str]:
    """Return from when on a disposal is overdue if it stays as it is, and why."""
    if row.state == disposals.PROPOSED:
        return row.proposed_at + UNDECIDED_FOR, "nobody has decided about it"
    if row.state == disposals.APPROVED:
        since = row.quarantine_until or row.decided_at or row.proposed_at
        return since + UNDONE_FOR, "its quarantine has ended and it was not executed"
    if row.state == disposals.EXECUTING:
        since = row.executed_at or row.proposed_at
        return since + UNDONE_FOR, "it was begun and has not come to its end"
    # A copy of which nobody knows until when waits for a person from the beginning.
    begun = row.executed_at or row.proposed_at
    left = [
        copy.residual_until or begun
        for copy in disposals.copies(session, row.id)
        if copy.state != disposals.ABSENT
    ]
    if not left:
        return begun + UNDONE_FOR, "every copy is gone, and it has no certificate"
    return min(left) + UNDONE_FOR, "a copy still holds what should be gone"


def _of_studies(site: Site, session: Session, now: datetime) -> Iterator[Waiting]:
    """Yield the studies whose periods have ended long ago, and that are still there."""
    today = today_at(site, now)
    batched = disposals.batched(session)
    oldest: dict[str, date] = {}
    counts: dict[str, int] = {}
    for _facts, decision in decisions(site, session, now=now):
        if decision.verdict == "keep" or decision.due is None:
            continue
        if decision.due >= today - STUDIES_FOR or (decision.store, decision.study) in batched:
            continue
        counts[decision.verdict] = counts.get(decision.verdict, 0) + 1
        oldest[decision.verdict] = min(oldest.get(decision.verdict, today), decision.due)
    what = {
        "review": (
            "wait for a person to look at them",
            "orchestrator retention plan --verdict review",
        ),
        "dispose": ("may go and are in no disposal", "orchestrator --as ACTOR disposal propose"),
    }
    for verdict, count in counts.items():
        words, hint = what[verdict]
        yield Waiting(
            "study",
            verdict,
            oldest[verdict],
            is_overdue=True,
            words=f"{count} studies whose periods ended more than {STUDIES_FOR.days} days ago "
            f"{words}; the oldest since {oldest[verdict]}",
            hint=hint,
        )
