"""The list of disposed studies: what changed it after the newest list that could be found.

Kit and buckets may have an older list than the ledger, or none. Every change stands in the ledger
with the number of the list it made, and the studies lie beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.actions.disposal import begun, readmit, suppression
from orchestrator.actions.rebuilding.told import Brought, Told, document
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, disposed, facts, suppressions

if TYPE_CHECKING:
    from sqlmodel import Session


def bring_back(site: Site, told: list[Told], brought: Brought) -> None:
    """Make the changes to the list that are younger than it.

    Disposals must have been brought back before.

    Raises:
        OrchestratorError: The catalog fails.
    """
    with site.catalog.transaction() as session:
        number = listed_number(session)
        before = {(store, study) for store, study, _ in suppressions.every(session)}
        for one in told:
            made = one.body.get(begun.LIST)
            if not isinstance(made, int) or made <= number:
                continue
            if _replay(site, session, one, brought):
                number = made
        facts.put(session, suppression.NUMBER, value=str(number), now=site.clock.now())
        after = {(store, study) for store, study, _ in suppressions.every(session)}
    brought.counts["disposed_studies"] += len(after ^ before)


def listed_number(session: Session) -> int:
    """Return the number of the list as the catalog has it."""
    fact = facts.get(session, suppression.NUMBER)
    return 0 if fact is None else int(fact.value)


def _replay(site: Site, session: Session, one: Told, brought: Brought) -> bool:
    """Make the change of one entry; False if which studies it is about is not known."""
    found = document(site, one, begun.STUDIES)
    if found is not None:
        for store, study in found.get("going", ()):
            suppressions.add(session, store, [study], now=one.at)
        if "store" in found:
            suppressions.remove(session, found["store"], found["withheld"])
        for store, studies in found.get("kept", {}).items():
            suppressions.remove(session, store, studies)
        return True
    if one.type == readmit.READMITTED:
        brought.lost.append(
            f"entry {one.index}: which study was taken into the records again is not known any "
            "more; restores leave it out: orchestrator doctor"
        )
        return False
    name = str(one.body["disposal"])
    if one.type == begun.EVENT:
        # Of a batch that began, what the store had no more at the last backup has gone.
        for store in {row.store for row in disposals.studies(session, name)}:
            keys = {row.study_key for row in disposals.studies(session, name, store=store)}
            gone = keys - disposed.there(session, store, keys).keys()
            suppressions.add(session, store, gone, now=one.at)
    brought.lost.append(
        f"disposal {name}: which studies it took away is not known any more; what is gone from "
        "the store is left out of restores: put the newest suppressed.json of a recovery kit into "
        "the kit's folder, then again: orchestrator catalog rebuild --copy COPY"
    )
    return False
