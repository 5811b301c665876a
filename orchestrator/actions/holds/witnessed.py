"""What the rows of the files can no longer witness of a hold: kept apart, and never forgotten.

A row says what a path holds now. Where a run finds a covered file changed, its row no longer says
what the older snapshots hold: a file that was overwritten or enciphered may have been the held
study's. And a catalog that was made anew knows no run before the one it was made from. From both
follows: what may hold a held study is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.actions.holds import coverage
from orchestrator.actions.site import Site
from orchestrator.catalog import facts, hold_cover

if TYPE_CHECKING:
    from sqlmodel import Session

_OPEN = "hold-open:"
"""Facts of this prefix: by hold and store, from which run on every snapshot is kept."""

_RECORDS = "file-records:"
"""Facts of this prefix: by store, the first run that the rows of its files know of."""


def open_since(session: Session, hold: str, store: str) -> str | None:
    """Return from which run on a hold keeps every snapshot of a store; None for no such run."""
    fact = facts.get(session, _key(hold, store))
    return None if fact is None else fact.value


def records_begin(session: Session, store: str) -> str | None:
    """Return the first run that the rows of a store's files know; None if they know them all."""
    fact = facts.get(session, _RECORDS + store)
    return None if fact is None else fact.value


def note_records(site: Site, session: Session, store: str, run_id: str) -> None:
    """Note that the rows of a store's files were made anew from one run's manifest."""
    facts.put(session, _RECORDS + store, value=run_id, now=site.clock.now())


class Watch:
    """Sees whether a run changes files that are on hold.

    Make it before the run's changes are applied and call `settle` after, in one transaction.

    Args:
        site: The site.
        session: A writing session.
        store: The store.
        run_id: The run.
    """

    def __init__(self, site: Site, session: Session, store: str, run_id: str) -> None:
        self._site, self._session = site, session
        self._store, self._run_id = store, run_id
        self._before = {
            hold.id: (selected, spans)
            for hold in coverage.in_force(session, site)
            if hold.kind != "store"
            and (selected := coverage.cover(site, session, store, hold)) is not None
            and (spans := hold_cover.count_files(session, store, selected))
        }

    def settle(self) -> list[str]:
        """Keep every snapshot since the first one, where a covered file has changed.

        Returns:
            Ids of the holds this has happened to.
        """
        found = []
        for hold, (selected, (files, first_run)) in self._before.items():
            left = hold_cover.untouched(self._session, self._store, selected, self._run_id)
            if left < files:
                found.append(hold)
                known = open_since(self._session, hold, self._store)
                since = first_run if known is None else min(known, first_run)
                key = _key(hold, self._store)
                facts.put(self._session, key, value=since, now=self._site.clock.now())
        return found


def _key(hold: str, store: str) -> str:
    return f"{_OPEN}{hold}|{store}"
