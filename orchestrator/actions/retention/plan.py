"""What may become of every study of a site: counted, grouped, and handed on one by one.

Nothing is changed and nothing kept: a plan is as of one instant. Memory stays bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.clock_trust import demand_clock
from orchestrator.actions.retention.decisions import decisions, today_at
from orchestrator.actions.site import Site
from orchestrator.catalog import schedules as rows

if TYPE_CHECKING:
    from orchestrator.retention.study import Decision, StudyFacts, Verdict, Winner

VERDICTS: tuple[Verdict, ...] = ("dispose", "review", "keep")

Take = Callable[["StudyFacts", "Decision"], None]


@dataclass(slots=True)
class Share:
    """Some of the studies.

    Attributes:
        studies: How many.
        files: Their files.
        size_bytes: Their length together.
    """

    studies: int = 0
    files: int = 0
    size_bytes: int = 0

    def add(self, facts: StudyFacts) -> None:
        """Count a study."""
        self.studies += 1
        self.files += facts.files
        self.size_bytes += facts.size_bytes


@dataclass(slots=True)
class Plan:
    """What the decisions of a site come to.

    Attributes:
        at: The instant of the decisions.
        today: The day that was at the site.
        store: The one store it is about; None for all.
        schedules: Id and version of what is in force.
        verdicts: By verdict; all three are there.
        stores: By store, then verdict: studies.
        reasons: By verdict, then reason: studies; one may have several.
        settled: By verdict, then doubt that two people have settled: studies.
        review_due: Those in review of which every known period has ended.
        review_since: The first day on which one of these was kept by nothing but doubts.
        rules: By the rule whose period ends last, then verdict: studies.
        due_years: By the year in which the last period has ended, then verdict: studies; None
            for never or unknown.
    """

    at: datetime
    today: date
    store: str | None
    schedules: list[tuple[str, str]] = field(default_factory=list)
    verdicts: dict[Verdict, Share] = field(
        default_factory=lambda: {verdict: Share() for verdict in VERDICTS}
    )
    stores: dict[str, Counter[str]] = field(default_factory=dict)
    reasons: dict[Verdict, Counter[str]] = field(
        default_factory=lambda: {verdict: Counter() for verdict in VERDICTS}
    )
    settled: dict[Verdict, Counter[str]] = field(
        default_factory=lambda: {verdict: Counter() for verdict in VERDICTS}
    )
    review_due: Share = field(default_factory=Share)
    review_since: date | None = None
    rules: dict[Winner, Counter[str]] = field(default_factory=dict)
    due_years: dict[int | None, Counter[str]] = field(default_factory=dict)

    @property
    def studies(self) -> int:
        """How many there are."""
        return sum(share.studies for share in self.verdicts.values())

    def add(self, facts: StudyFacts, decision: Decision) -> None:
        """Count a decision."""
        verdict = decision.verdict
        self.verdicts[verdict].add(facts)
        self.stores.setdefault(decision.store, Counter())[verdict] += 1
        self.reasons[verdict].update(decision.reasons)
        self.settled[verdict].update(one.doubt for one in facts.settled)
        if verdict == "review" and decision.due is not None and decision.due <= self.today:
            self.review_due.add(facts)
            self.review_since = min(self.review_since or decision.due, decision.due)
        if decision.rule is not None:
            self.rules.setdefault(decision.rule, Counter())[verdict] += 1
        year = decision.due.year if decision.due is not None else None
        self.due_years.setdefault(year, Counter())[verdict] += 1


def plan(site: Site, store: str | None = None, *, take: Take | None = None) -> Plan:
    """Decide about every study of a site, or of one store.

    Args:
        site: The site.
        store: Only this store's studies.
        take: Called with each study and its decision, in the order of stores and pseudonyms.

    Raises:
        NotFoundError: There is no such store.
        RefusedError: The clock is not to be trusted.
        ConfigError: A schedule was changed under the version that was adopted.
        DamageError: What was adopted, or a field of the catalog, was changed.
        StoppedError: The work was told to stop.
    """
    if store is not None:
        site.store_config(store)
    now = site.clock.now()
    demand_clock(site, now=now)
    found = Plan(now, today_at(site, now), store)
    with site.catalog.reading() as session:
        found.schedules = [
            (row.schedule_id, row.version)
            for row in rows.in_force(session)
            if row.kind != rows.MAJORITY
        ]
        for facts, decision in decisions(site, session, store=store, now=now):
            found.add(facts, decision)
            if take is not None:
                take(facts, decision)
    return found


def summary(found: Plan) -> dict[str, Any]:
    """Return a plan as JSON values."""
    return {
        "at": found.at,
        "today": found.today,
        "store": found.store,
        "schedules": [{"schedule": name, "version": version} for name, version in found.schedules],
        "studies": found.studies,
        "verdicts": {
            verdict: {"studies": one.studies, "files": one.files, "bytes": one.size_bytes}
            for verdict, one in found.verdicts.items()
        },
        "stores": [
            {"store": name, **_by_verdict(counts)} for name, counts in sorted(found.stores.items())
        ],
        "reasons": [
            {"verdict": verdict, "reason": reason, "studies": count}
            for verdict, counts in found.reasons.items()
            for reason, count in counts.most_common()
        ],
        "settled": [
            {"verdict": verdict, "doubt": doubt, "studies": count}
            for verdict, counts in found.settled.items()
            for doubt, count in counts.most_common()
        ],
        "review_due": {"studies": found.review_due.studies, "since": found.review_since},
        "rules": [
            {**rule_values(rule), **_by_verdict(counts)}
            for rule, counts in sorted(found.rules.items(), key=lambda item: _order(item[0]))
        ],
        "due_years": [
            {"year": year, **_by_verdict(counts)}
            for year, counts in sorted(
                found.due_years.items(), key=lambda item: (item[0] is None, item[0] or 0)
            )
        ],
    }


def decision_values(facts: StudyFacts, decision: Decision) -> dict[str, Any]:
    """Return a decision as JSON values, by the agreed names."""
    return {
        "study": decision.study,
        "store": decision.store,
        "verdict": decision.verdict,
        "due": decision.due,
        "reasons": list(decision.reasons),
        "settled": [
            {
                "doubt": one.doubt,
                "determination": one.determination,
                "asked_by": one.asked_by,
                "made_by": one.made_by,
                "made_at": one.made_at,
            }
            for one in facts.settled
        ],
        **rule_values(decision.rule),
        "holds": list(decision.holds),
        "files": facts.files,
        "bytes": facts.size_bytes,
    }


def rule_values(rule: Winner | None) -> dict[str, Any]:
    """Return the rule that won as JSON values; all None if none could be computed."""
    return {
        "rule": rule.rule if rule is not None else None,
        "citation": rule.citation if rule is not None else None,
        "schedule": rule.schedule if rule is not None else None,
        "version": rule.version if rule is not None else None,
        "record_class": rule.record_class if rule is not None else None,
        "part": rule.part if rule is not None else None,
    }


def _by_verdict(counts: Counter[str]) -> dict[str, int]:
    return {verdict: counts[verdict] for verdict in VERDICTS}


def _order(rule: Winner) -> tuple[str, str, str]:
    return rule.schedule, rule.rule, rule.part
