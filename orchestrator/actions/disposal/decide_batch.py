"""The second person: approving a batch, or refusing it; and what must hold before it is executed.

An approval begins the quarantine, in which any person of compliance can still call the batch off.
Keeping is always safe, so whoever proposed a batch may also withdraw it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.actions.clock_trust import demand_clock
from orchestrator.actions.disposal import listing
from orchestrator.actions.disposal.notices import Required, required
from orchestrator.actions.disposal.timeline import timeline
from orchestrator.actions.disposal.turn import turn
from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger import note as ledger_note
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.person import are_one_person, demand_person, plain_name
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals
from orchestrator.catalog.disposal_tables import Disposal
from orchestrator.catalog.disposals import APPROVED, EXECUTING, PROPOSED, REFUSED, UNDECIDED
from orchestrator.errors import RefusedError, UsageError

CLOCK_TOLERANCE = timedelta(minutes=1)
"""The clock may stand this much before what was recorded last."""


def approve(site: Site, name: str, *, notice: str | None = None) -> listing.Batch:
    """Agree to a batch, as a second person; the quarantine begins.

    Args:
        site: The site; its actor approves.
        name: The disposal.
        notice: What was done about the notices that the schedules ask for, in at most 200
            characters; goes into the ledger.

    Raises:
        NotFoundError: There is no such disposal.
        RefusedError: It is not proposed, the same person proposed it, a notice is not confirmed,
            or the clock was set back.
        ConfigError: A schedule was changed under the version that was adopted.
        OrchestratorError: Ledger or catalog fail.
    """
    demand_person(site, "compliance")
    with run(site, "disposal-approve") as current, turn(site):
        row = _demand(site, name, PROPOSED)
        _demand_second_person(site, row)
        now = _demand_clock(site, row)
        demand_clock(site, now=current.started_at, but=current.id)
        needed = _notices(site, row, now)
        said = " ".join((notice or "").split())
        if needed and not said:
            raise RefusedError(
                f"disposal {row.id}: before these records may go: "
                + "; ".join(f"{one.text} ({one.citation})" for one in needed),
                hint=f"do it, then: orchestrator --as {site.actor} disposal approve {row.id} "
                "--notice TEXT",
            )
        until = now + site.config.retention.quarantine
        with site.catalog.reading() as session:
            stores = {store for store, _ in disposals.counts(session, row.id)}
            completion = timeline(site, session, stores, executable_at=until).completion
        body = {
            "disposal": row.id,
            "proposed_by": row.proposed_by,
            "studies": sum(one["studies"] for one in row.plan["stores"].values()),
            "quarantine_until": until.isoformat(timespec="seconds"),
            "earliest_completion": None if completion is None else completion.isoformat(),
        }
        event = Event(
            "disposal.approved",
            {key: value for key, value in body.items() if value is not None},
            evidence={"plan": row.plan_digest},
            note=said or None,
        )
        (made,) = record(site, [event])
        with site.catalog.transaction() as session:
            row = disposals.move(
                session,
                row.id,
                before=[PROPOSED],
                after=APPROVED,
                decided_by=site.actor,
                decided_at=now,
                notice=said or None,
                quarantine_until=until,
                earliest_completion=completion,
                plan=row.plan | {"notices": [one.as_json() for one in needed]},
            )
            disposals.note_entry(session, row.id, made.index)
        current.metrics.update(disposal=row.id)
    return listing.show(site, name)


def refuse(site: Site, name: str, *, reason: str) -> listing.Batch:
    """Turn a batch down, or call an approved one off before it is executed.

    Args:
        site: The site; its actor refuses.
        name: The disposal.
        reason: Why, in at most 200 characters; goes into the ledger.

    Raises:
        NotFoundError: There is no such disposal.
        RefusedError: It has begun or has ended, the role is missing, or the reason holds an
            identifier.
        UsageError: No reason is given, or one that is too long.
        OrchestratorError: Ledger or catalog fail.
    """
    demand_person(site)
    said = " ".join(reason.split())
    if not said:
        raise UsageError("a refusal needs a reason")
    with run(site, "disposal-refuse") as current, turn(site):
        row = _demand(site, name, *UNDECIDED)
        if row.proposed_by != site.actor:
            site.demand_role("compliance")
        ledger_note.demand_clean(site, said)
        body = {"disposal": row.id, "was": row.state, "proposed_by": row.proposed_by}
        (made,) = record(site, [Event("disposal.refused", body, note=said)])
        with site.catalog.transaction() as session:
            changes = {"decided_by": site.actor, "decided_at": site.clock.now()}
            disposals.move(
                session,
                row.id,
                before=[row.state],
                after=REFUSED,
                decision_reason=said,
                quarantine_until=None,
                **changes,
            )
            disposals.note_entry(session, row.id, made.index)
        current.metrics.update(disposal=row.id)
    return listing.show(site, name)


def demand_executable(site: Site, row: Disposal) -> None:
    """Refuse to begin, or to go on with, a disposal that may not be executed now.

    To be asked again in the transaction in which it begins.

    Args:
        site: The site.
        row: The disposal as it stands.

    Raises:
        RefusedError: It is not approved, was approved by the one who proposed it, is in quarantine
            or paused, or the clock was set back.
    """
    if row.state not in (APPROVED, EXECUTING):
        hint = f"orchestrator disposal show {row.id}"
        if row.state == PROPOSED:
            hint = (
                f"another person of compliance: orchestrator --as ACTOR disposal approve {row.id}"
            )
        raise RefusedError(f"disposal {row.id} is {row.state}, not {APPROVED}", hint=hint)
    if row.decided_by is None or row.decided_at is None or row.quarantine_until is None:
        raise RefusedError(f"disposal {row.id}: nobody is known to have approved it")
    if _are_one_person(site, row, row.decided_by):
        raise RefusedError(f"disposal {row.id}: proposed and approved by one person")
    if row.paused is not None:
        raise RefusedError(
            f"disposal {row.id} is paused by hold {row.paused}", hint="orchestrator hold list"
        )
    now = _demand_clock(site, row)
    if now < row.quarantine_until:
        until = row.quarantine_until.astimezone(site.config.timezone)
        raise RefusedError(
            f"disposal {row.id} is in quarantine until {until:%Y-%m-%d %H:%M %Z}",
            hint="until then it can be called off: orchestrator --as ACTOR disposal refuse "
            f"{row.id} --reason TEXT",
        )


def _demand(site: Site, name: str, *states: str) -> Disposal:
    with site.catalog.reading() as session:
        row = disposals.get(session, name)
    if row.state not in states:
        raise RefusedError(
            f"disposal {row.id} is {row.state}, not {' or '.join(states)}",
            hint=f"orchestrator disposal show {row.id}",
        )
    return row


def _demand_second_person(site: Site, row: Disposal) -> None:
    if _are_one_person(site, row, site.actor):
        also = "" if row.proposed_by == site.actor else f", as {row.proposed_by},"
        raise RefusedError(
            f"disposal {row.id}: {site.actor} proposed it{also} and may not approve it",
            hint=f"another person of compliance: orchestrator --as ACTOR disposal approve {row.id}",
        )


def _are_one_person(site: Site, row: Disposal, actor: str) -> bool:
    """Say whether an actor is the human who proposed a batch, under whatever name in the file."""
    if are_one_person(site, actor, row.proposed_by):
        return True
    then = plain_name(str(row.plan.get("proposed_by_name") or ""))
    known = site.config.actors.get(actor)
    return known is not None and plain_name(known.name) == then != ""


def _demand_clock(site: Site, row: Disposal) -> datetime:
    """Return the time; refuse one that lies before what was recorded already.

    Raises:
        RefusedError: The clock was set back: a quarantine counted from now would end too early.
    """
    reader = site.ledger.reader()
    newest = reader.checkpoint.size - 1
    last = mirror.parsed(newest, reader.entry(newest)).at
    known = [last, row.proposed_at, *filter(None, (row.decided_at,))]
    now = site.clock.now()
    if now < max(known) - CLOCK_TOLERANCE:
        raise RefusedError(
            f"disposal {row.id}: the clock stands before what was recorded at "
            f"{max(known):%Y-%m-%d %H:%M} UTC, so no quarantine can be counted by it",
            hint="set the clock right, then try again",
        )
    return now


def _notices(site: Site, row: Disposal, now: datetime) -> list[Required]:
    """Return what must be done before, by what was proposed and by the schedules of today."""
    from orchestrator.actions.retention.decisions import decisions, today_at
    from orchestrator.actions.retention.policy import current_policy

    found: dict[tuple[str, str, str], Required] = {}
    for one in row.plan.get("notices", ()):
        found[one["store"], one["form"], one["text"]] = Required(**one)
    with site.catalog.reading() as session:
        wanted: dict[str, list[str]] = {}
        for study in disposals.studies(session, row.id):
            wanted.setdefault(study.store, []).append(study.study_key)
        jurisdictions: dict[str, set[str]] = {store: set() for store in wanted}
        for store, studies in wanted.items():
            for facts, _ in decisions(site, session, store=store, studies=studies, now=now):
                jurisdictions[store].update(facts.jurisdictions)
        policy = current_policy(site, session)
    for one in required(policy, jurisdictions, today_at(site, now)):
        found[one.store, one.form, one.text] = one
    return list(found.values())
