"""Learning anew what a bucket's ledger has and this machine has lost, with what it tells of."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.actions.disposal import suppression
from orchestrator.actions.holds.recover import recover as recover_holds
from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger.fetch import Fetched, fetch
from orchestrator.actions.place_register.recover import recover as recover_places
from orchestrator.actions.rebuilding.bring import bring_back
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import anchors, facts

_OWED = "ledger:fetched"


@dataclass(slots=True)
class Learned:
    """What was learned.

    Attributes:
        size: Entries of the ledger now.
        fetched: What came from where.
        problems: Why a bucket could not be asked or believed, by copy.
        brought_back: How many of what the ledger tells and the catalog did not know, by noun.
        lost: What could not be brought back whole, in sentences that say what to do.
    """

    size: int
    fetched: list[Fetched] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    brought_back: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def learn(site: Site) -> Learned:
    """Take in the entries that any bucket has more than this machine, and what they tell of.

    Raises:
        RefusedError: There is no ledger, it was lost, or the role is missing.
        DamageError: The ledger here cannot be read.
        StoppedError: The work was told to stop.
        OrchestratorError: The catalog fails.
    """
    site.demand_role("custodian", "operator", "compliance")
    with run(site, "ledger-fetch") as current:
        is_owed = _owe(site)
        fetched, problems = fetch(site)
        result = Learned(site.ledger.reader().checkpoint.size, fetched, problems)
        for name, why in problems.items():
            current.fell_short(f"copy {name}: {why}")
        if not fetched and not is_owed:
            _settle(site)
            return result
        with site.catalog.transaction() as session:
            anchors.forget_outside(session)  # they are asked again before anything is signed
        suppression.recover(site)
        brought = bring_back(site)
        mirror.catch_up(site)
        result.brought_back, result.lost = dict(sorted(brought.counts.items())), brought.lost
        holds = len(recover_holds(site))
        if holds:
            result.brought_back["holds"] = holds
        places = recover_places(site)
        if places:
            result.brought_back["places"] = places
        _settle(site)
    return result


def _owe(site: Site) -> bool:
    """Note that the ledger may be ahead of the catalog from now on; say whether it was before.

    Entries that were taken in are here, and no second look would find them missing: whatever dies
    before the catalog knows them leaves this note.
    """
    with site.catalog.transaction() as session:
        was = facts.get(session, _OWED)
        facts.put(session, _OWED, value="what was fetched", now=site.clock.now())
    return was is not None


def _settle(site: Site) -> None:
    with site.catalog.transaction() as session:
        facts.drop(session, _OWED)
