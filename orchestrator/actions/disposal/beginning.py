"""The transaction in which a disposal begins: every study is decided about once more.

Whatever is no longer to be disposed of by what holds now (a hold, another patient list, another
schedule, a new image, a notice nobody has confirmed) is withheld and stays. The rest comes onto the
suppression list in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.actions.disposal import rests_on, suppression
from orchestrator.actions.disposal.decide_batch import demand_executable
from orchestrator.actions.disposal.notices import unconfirmed
from orchestrator.actions.disposal.places import came_at
from orchestrator.actions.disposal.places import rows as places_of
from orchestrator.actions.disposal.returned import may_go
from orchestrator.actions.disposal.turn import turn
from orchestrator.actions.holds import guard
from orchestrator.actions.place_register import noting
from orchestrator.actions.retention.decisions import decisions, today_at
from orchestrator.actions.retention.policy import current_policy
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, disposed

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.disposal_tables import Disposal
    from orchestrator.retention.study import StudyFacts

NOTICE = "notice_not_confirmed"
UNKNOWN = "not_in_catalog"
NOT_DUE = "not_due"
"""Why a study is withheld, beside the reasons of the decision."""


@dataclass(slots=True)
class Chosen:
    """What becomes of a batch's studies in one store.

    Attributes:
        going: Studies that go.
        withheld: Why the others stay, by study.
    """

    going: list[StudyFacts] = field(default_factory=list)
    withheld: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Begun:
    """What a disposal began with.

    Attributes:
        going: How many studies go, by store.
        withheld: How many stay, by store and reason.
    """

    going: dict[str, int] = field(default_factory=dict)
    withheld: dict[str, Counter[str]] = field(default_factory=dict)


def begin(site: Site, disposal: str) -> Begun:
    """Begin an approved disposal.

    Raises:
        RefusedError: It may not begin now, or somebody else has begun it, or a bucket may hold a
            newer suppression list.
        OrchestratorError: Patient list, schedules or catalog cannot be read.
    """
    begun = Begun()
    with turn(site), guard.guarded(site) as session:
        row = disposals.get(session, disposal)
        demand_executable(site, row)
        chosen = decide_again(site, session, row)
        noting.derive(site, session)
        now = site.clock.now()
        disposals.move(
            session,
            disposal,
            before=(disposals.APPROVED,),
            after=disposals.EXECUTING,
            executed_by=site.actor,
            executed_at=now,
            holds_checked_at=now,
            plan={**row.plan, rests_on.PLAN: _settled_by(chosen)},
        )
        for store, share in chosen.items():
            begun.going[store] = len(share.going)
            begun.withheld[store] = Counter(share.withheld.values())
            _begin_store(site, session, disposal, store, share)
    return begun


def decide_again(site: Site, session: Session, row: Disposal) -> dict[str, Chosen]:
    """Decide about every study of a batch by what holds now.

    Args:
        site: The site.
        session: Everything is as of this transaction.
        row: The disposal.
    """
    now = site.clock.now()
    policy = current_policy(site, session)
    confirmed = row.plan.get("notices", [])
    studies = disposals.studies(session, row.id, states=(disposals.DUE,))
    found: dict[str, Chosen] = {}
    for store in sorted({one.store for one in studies}):
        share = found[store] = Chosen()
        keys = {one.study_key for one in studies if one.store == store}
        decided = list(decisions(site, session, store=store, studies=keys, now=now))
        for facts, decision in decided:
            if not may_go(decision, today_at(site, now)):
                share.withheld[facts.study] = ",".join(decision.reasons) or NOT_DUE
            elif unconfirmed(policy, confirmed, {store: facts.jurisdictions}, today_at(site, now)):
                share.withheld[facts.study] = NOTICE
            else:
                share.going.append(facts)
        for missing in keys - {facts.study for facts, _ in decided}:
            share.withheld[missing] = UNKNOWN
    return found


def _settled_by(chosen: dict[str, Chosen]) -> list[str]:
    """Return by whose findings doubts about what goes are settled now, not when it was proposed."""
    return rests_on.ids_of(facts for share in chosen.values() for facts in share.going)


def _begin_store(site: Site, session: Session, disposal: str, store: str, share: Chosen) -> None:
    for study, reason in share.withheld.items():
        disposals.set_studies(
            session, disposal, [(store, study)], state=disposals.WITHHELD, withheld=reason
        )
    if not share.going:
        return
    suppression.suppress(site, session, store, [facts.study for facts in share.going])
    for facts in share.going:
        known = disposed.summary(session, store, facts.study)
        disposals.set_studies(
            session,
            disposal,
            [(store, facts.study)],
            state=disposals.SUPPRESSED,
            came_at=came_at(session, disposal, store, facts.study),
            **known._asdict(),
        )
    for place in places_of(site, session, disposal, store):
        disposals.put_copy(session, place)
