"""Putting together everything that is due: a batch by schedule, in which nothing is singled out.

A proposal changes nothing. It is recorded first and kept second, so that a number that stands in
the ledger is never given to another batch.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator import canonical
from orchestrator.actions.clock_trust import demand_clock
from orchestrator.actions.disposal import listing, rests_on
from orchestrator.actions.disposal.notices import required
from orchestrator.actions.disposal.returned import may_go
from orchestrator.actions.disposal.timeline import timeline
from orchestrator.actions.disposal.turn import turn
from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger.record import Event, Recorded, record
from orchestrator.actions.person import demand_person
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals
from orchestrator.catalog import ledger as ledger_rows
from orchestrator.catalog.bulk import batches
from orchestrator.catalog.disposal_tables import Disposal, DisposalStudy
from orchestrator.catalog.disposals import DUE, PROPOSED
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.retention.study import Decision, StudyFacts

SUBJECTS_AT_ONCE = 500
"""Commitments in one entry: with more it would be larger than an entry may be."""

EVENT = "disposal.proposed"


@dataclass(slots=True)
class _Due:
    """What was found due, and what was passed over."""

    studies: list[tuple[StudyFacts, Decision]] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    @property
    def stores(self) -> dict[str, dict[str, int]]:
        """Count what is due by store."""
        found: dict[str, dict[str, int]] = {}
        for facts, _ in self.studies:
            share = found.setdefault(facts.store, {"studies": 0, "files": 0, "bytes": 0})
            share["studies"] += 1
            share["files"] += facts.files
            share["bytes"] += facts.size_bytes
        return dict(sorted(found.items()))

    @property
    def jurisdictions(self) -> dict[str, set[str]]:
        """Gather whose law applies to what is due, by store."""
        found: dict[str, set[str]] = {}
        for facts, _ in self.studies:
            found.setdefault(facts.store, set()).update(facts.jurisdictions)
        return found


def propose(site: Site, store: str | None = None) -> listing.Batch:
    """Propose to dispose of everything that is due in a store, or in all of them.

    Args:
        site: The site; its actor proposes and cannot approve.
        store: Only this store's studies.

    Raises:
        NotFoundError: There is no such store.
        RefusedError: Nothing is due, nobody is named, or the role is missing.
        ConfigError: A schedule was changed under the version that was adopted.
        OrchestratorError: Ledger, catalog or disk fail.
    """
    demand_person(site, "compliance", "operator", "custodian")
    if store is not None:
        site.store_config(store)
    with run(site, "disposal-propose") as current, turn(site):
        demand_clock(site, now=current.started_at, but=current.id)
        mirror.catch_up(site)
        now = site.clock.now()
        with site.catalog.reading() as session:
            found = _due(site, session, store, now)
            if not found.studies:
                raise _nothing(store, found.passed_over)
            row = _row(site, session, found, now)
        content = _content(row, found)
        row.plan_digest = hashlib.sha256(content).hexdigest()
        _keep(site, content)
        made = _record(site, row, found)
        row.entries = [one.index for one in made]
        row.plan = row.plan | {"proposed_in": [one.id for one in made]}
        with site.catalog.transaction() as session:
            disposals.add(session, row, _studies(row.id, found))
        current.metrics.update(disposal=row.id, studies=len(found.studies))
    return listing.show(site, row.id)


def _due(site: Site, session: Session, store: str | None, now: datetime) -> _Due:
    from orchestrator.actions.retention.decisions import decisions, today_at

    taken, today = disposals.batched(session), today_at(site, now)
    found = _Due()
    for facts, decision in decisions(site, session, store=store, now=now):
        if not may_go(decision, today) or decision.rule is None or decision.due is None:
            found.passed_over[decision.verdict] += 1
        elif (facts.store, facts.study) in taken:
            found.passed_over["in_another_batch"] += 1
        else:
            found.studies.append((facts, decision))
    return found


def _nothing(store: str | None, passed_over: Counter[str]) -> RefusedError:
    where = f"store {store}" if store is not None else "this site"
    why = "; ".join(
        f"{passed_over[name]} {words}"
        for name, words in (
            ("keep", "must be kept"),
            ("review", "must be looked at by a person first"),
            ("in_another_batch", "stand in a batch that is under way"),
        )
        if passed_over[name]
    )
    in_batch = passed_over["in_another_batch"] and not passed_over["review"]
    return RefusedError(
        f"nothing is due in {where} that is not proposed already, so there is no batch: "
        f"{why or 'there are no studies'}",
        hint="orchestrator disposal list" if in_batch else "orchestrator retention plan",
    )


def _row(site: Site, session: Session, found: _Due, now: datetime) -> Disposal:
    from orchestrator.actions.retention.decisions import today_at
    from orchestrator.actions.retention.policy import current_policy

    today = today_at(site, now)
    policy = current_policy(site, session)
    year = today.year
    name = max(
        disposals.next_id(session, year),
        _after_recorded(session, year),
        key=lambda one: (len(one), one),
    )
    plan: dict[str, Any] = {
        "today": today.isoformat(),
        "stores": found.stores,
        "schedules": _schedules(found),
        "notices": [one.as_json() for one in required(policy, found.jurisdictions, today)],
        rests_on.PLAN: rests_on.ids_of(facts for facts, _ in found.studies),
        "passed_over": dict(found.passed_over),
        "proposed_by_name": site.config.actors[site.actor].name,
    }
    start = now + site.config.retention.quarantine
    expected = timeline(site, session, found.stores, executable_at=start)
    return Disposal(
        id=name,
        state=PROPOSED,
        plan_digest="",
        plan=plan,
        proposed_by=site.actor,
        proposed_at=now,
        earliest_completion=expected.completion,
    )


def _after_recorded(session: Session, year: int) -> str:
    """Return the id after the largest of a year that stands in the ledger; a kill leaves one."""
    start = f"D-{year}-"
    known = ledger_rows.seen_starting_with(session, f"{EVENT}|{start}")
    numbers = [int(one.split("|")[1].removeprefix(start)) for one in known]
    return f"{start}{max(numbers, default=0) + 1:04}"


def _schedules(found: _Due) -> dict[str, str]:
    rules = [decision.rule for _, decision in found.studies]
    return dict(sorted((rule.schedule, rule.version) for rule in rules if rule is not None))


def _content(row: Disposal, found: _Due) -> bytes:
    """Return the whole plan as bytes: what was proposed cannot be exchanged afterwards."""
    studies = [
        [one.store, one.study, str(decision.due), *_rule(decision), *_known(one)]
        for one, decision in found.studies
    ]
    rules = {
        (*_rule(decision), decision.rule.record_class, decision.rule.citation)
        for _, decision in found.studies
        if decision.rule is not None
    }
    shown = {key: value for key, value in row.plan.items() if key != "proposed_by_name"}
    return canonical.encode(
        {
            "disposal": row.id,
            "plan": shown,
            "rules": sorted(map(list, rules)),
            "studies": sorted(studies),
        }
    )


def _rule(decision: Decision) -> list[str]:
    rule = asdict(decision.rule) if decision.rule is not None else {}
    return [rule["schedule"], rule["version"], rule["rule"], rule["part"]]


def _known(facts: StudyFacts) -> list[Any]:
    """Return what a catalog that is made anew takes from the plan, its snapshots apart."""
    days = [
        None if day is None else day.isoformat() for day in (facts.oldest_image, facts.newest_image)
    ]
    return [facts.patient, facts.files, facts.size_bytes, *days]


def _keep(site: Site, content: bytes) -> None:
    from orchestrator.actions.certificates.files import keep_evidence

    keep_evidence(site, content)


def _record(site: Site, row: Disposal, found: _Due) -> list[Recorded]:
    """Record the proposal, with a commitment to each study; several entries if there are many."""
    parts = list(batches((facts.study for facts, _ in found.studies), SUBJECTS_AT_ONCE))
    totals = Counter[str]()
    for share in found.stores.values():
        totals.update(share)
    events = [
        Event(
            EVENT,
            {
                "disposal": row.id,
                "part": number,
                "parts": len(parts),
                "studies": totals["studies"],
                "files": totals["files"],
                "bytes": totals["bytes"],
                "stores": sorted(found.stores),
                "schedules": row.plan["schedules"],
            },
            subjects={"study": part},
            evidence={"plan": row.plan_digest},
        )
        for number, part in enumerate(parts, 1)
    ]
    return record(site, events)


def _studies(disposal: str, found: _Due) -> Iterator[DisposalStudy]:
    for facts, decision in found.studies:
        if decision.rule is None or decision.due is None:  # `_due` takes none of these
            continue
        yield DisposalStudy(
            disposal=disposal,
            store=facts.store,
            study_key=facts.study,
            patient_key=facts.patient,
            state=DUE,
            due=decision.due,
            schedule_id=decision.rule.schedule,
            schedule_version=decision.rule.version,
            rule=decision.rule.rule,
            citation=decision.rule.citation,
            record_class=decision.rule.record_class,
            files=facts.files,
            size_bytes=facts.size_bytes,
            dates_from=facts.oldest_image,
            dates_to=facts.newest_image,
        )
