"""Bringing a disposal forward: what of it is gone by now, what is left where, and its end.

Nothing is removed here. Each place is looked at again, and a disposal is complete only when every
place that may hold its studies is proved free of them and its certificate is issued. A hold stops
it; a place that cannot be looked at stays what it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.clock_trust import demand_clock
from orchestrator.actions.disposal import ending, remains
from orchestrator.actions.disposal.places import drop_covered, rows
from orchestrator.actions.disposal.turn import turn
from orchestrator.actions.disposal.visiting import Visits
from orchestrator.actions.holds import guard
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.place_register import noting
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, places
from orchestrator.catalog.disposal_tables import Disposal, DisposalCopy
from orchestrator.catalog.disposals import (
    ABSENT,
    DUE,
    EXECUTING,
    GOING,
    LIVE_REMOVED,
    OPEN,
    PRIMARY_REMOVED,
    RESIDUAL,
    SUPPRESSED,
    CopyKey,
)
from orchestrator.errors import OrchestratorError, RefusedError, StoppedError

if TYPE_CHECKING:
    from sqlmodel import Session

_log = logging.getLogger(__name__)

_UNDONE = (DUE, SUPPRESSED, LIVE_REMOVED)
"""States of studies that the store or its primary may still hold."""


@dataclass(slots=True)
class Forwarded:
    """How far a disposal has come.

    Attributes:
        disposal: Its id.
        state: Its state now.
        absent: Places that are proved free of it.
        left: Places that are not.
        problems: What went wrong, in words; waiting for a medium or a lock is no problem.
    """

    disposal: str
    state: str
    absent: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)


def forward(site: Site, name: str) -> Forwarded:
    """Look at what is left of a disposal, and complete it if nothing is.

    A copy that is away or fails is no error: it is told in the result.

    Args:
        site: The site.
        name: The disposal; one that is not under way is left alone.

    Raises:
        NotFoundError: There is no such disposal.
        StoppedError: The work was told to stop.
        OrchestratorError: Ledger or catalog fail.
    """
    with turn(site):
        return _Forwarding(site, name).do()


class _Forwarding:
    """Bringing one disposal forward.

    Args:
        site: The site.
        name: The disposal.
    """

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._name = name
        with site.catalog.reading() as session:
            self._row = disposals.get(session, name)
        self._result = Forwarded(name, self._row.state)
        self._visits = Visits(site, name, self._result.problems)

    def do(self) -> Forwarded:
        """Do it."""
        if self._row.state not in OPEN:
            return self._result
        if not self._prepare():
            return self._told()
        remain = remains.clear(self._site, self._name)
        self._result.problems += remain
        if not ending.is_certified(self._site, self._name):
            self._visits.look(again=False)
            if self._nothing_left():
                self._visits.look(again=True)
        if self._is_back():
            return self._told()
        is_clear = not remain and not self._visits.unsure and self._nothing_left()
        if is_clear and self._may_end():
            self._end()
        elif self._row.state == EXECUTING:
            self._leave_residual()
        return self._told()

    def _told(self) -> Forwarded:
        with self._site.catalog.reading() as session:
            self._result.state = disposals.get(session, self._name).state
            states = [row.state for row in disposals.copies(session, self._name)]
        self._result.absent = states.count(ABSENT)
        self._result.left = len(states) - self._result.absent
        return self._result

    def _prepare(self) -> bool:
        """Say whether there is anything to look at; add places that there were not before."""
        site = self._site
        with site.catalog.transaction() as session:
            counts = disposals.counts(session, self._name)
            going = {store for store, state in counts if state in GOING}
            undone = [store for store, state in counts if state in _UNDONE]
            undone += self._unproved(session, counts)
            is_certified = ending.stands_certified(session, self._name)
            if not is_certified:
                noting.derive(site, session)
                drop_covered(site, session, self._name)
            known = {CopyKey.of(row) for row in disposals.copies(session, self._name)}
            for store in sorted(going):
                for row in rows(site, session, self._name, store):
                    is_late = is_certified and places.is_place(row.medium)
                    if CopyKey.of(row) not in known and not is_late:
                        disposals.put_copy(session, row)
        if not going and not undone:
            ending.call_off(site, self._row)
            return False
        if undone:
            self._result.problems.append(
                f"disposal {self._name} is not finished in store {', '.join(sorted(set(undone)))}: "
                f"orchestrator --as ACTOR disposal execute {self._name} --execute"
            )
            return False
        return True

    def _unproved(self, session: Session, counts: Mapping[tuple[str, str], int]) -> list[str]:
        """Return the stores whose primary was rewritten and not proved free yet.

        The catalog has the files of such studies until then: they have not come back.
        """
        found = []
        for store, state in counts:
            if state == PRIMARY_REMOVED and store in self._site.config.stores:
                key = CopyKey(self._name, store, self._site.config.primary.name)
                row = disposals.copy_row(session, key)
                if row is None or row.state != ABSENT:
                    found.append(store)
        return found

    # states

    def _nothing_left(self) -> bool:
        with self._site.catalog.reading() as session:
            known = disposals.copies(session, self._name)
        return bool(known) and all(row.state == ABSENT for row in known)

    def _is_back(self) -> bool:
        """Go back to executing where the store itself or its primary holds something again."""
        if not self._visits.back:
            return False
        stores = sorted({key.store for key in self._visits.back})
        self._result.problems.append(
            f"disposal {self._name}: store {', '.join(stores)} or its primary holds a disposed "
            f"study: orchestrator --as ACTOR disposal execute {self._name} --execute"
        )
        body = {
            "disposal": self._name,
            "what": "found_again",
            "places": [
                {"store": key.store, "copy": key.copy or "live"} for key in self._visits.back
            ],
        }
        (made,) = record(self._site, [Event("disposal.partial", body)])
        with self._site.catalog.transaction() as session:
            for store in stores:
                studies = disposals.studies(
                    session, self._name, store=store, states=[PRIMARY_REMOVED]
                )
                keys = [(one.store, one.study_key) for one in studies]
                disposals.set_studies(session, self._name, keys, state=SUPPRESSED)
            disposals.change(session, self._name, state=EXECUTING)
            disposals.note_entry(session, self._name, made.index)
        return True

    def _leave_residual(self) -> None:
        """Say what is left and until when, once all that can be done now is done."""
        site = self._site
        with site.catalog.reading() as session:
            left = [row for row in disposals.copies(session, self._name) if row.state != ABSENT]
        body = {
            "disposal": self._name,
            "copies": [_left(row) for row in left],
        }
        (made,) = record(site, [Event("disposal.residual", body)])
        with site.catalog.transaction() as session:
            disposals.move(session, self._name, before=[EXECUTING], after=RESIDUAL)
            disposals.note_entry(session, self._name, made.index)

    def _may_end(self) -> bool:
        """Say whether nothing but the certificate is missing: no hold, and the list is everywhere.

        Where a hold covers a study of the batch, the batch stands still.
        """
        from orchestrator.actions.disposal.suppression import publish

        try:
            demand_clock(self._site)  # the certificate bears its time
        except RefusedError as error:
            self._result.problems.append(f"disposal {self._name}: {error.message}")
            return False
        with guard.guarded(self._site) as session:
            row = disposals.get(session, self._name)
            held = self._held(session)
            if held is not None and row.paused is None:
                disposals.change(session, self._name, paused=held)
        if row.paused is not None or held is not None:
            return False
        published = publish(self._site)
        for where, why in sorted(dict(published.outstanding).items()):
            self._result.problems.append(
                f"disposal {self._name}: the list of disposed studies is not on copy {where}: {why}"
            )
        return not published.outstanding

    def _held(self, session: Session) -> str | None:
        studies = disposals.studies(session, self._name, states=GOING)
        for store in sorted({one.store for one in studies}):
            keys = [one.study_key for one in studies if one.store == store]
            for ids in guard.held_studies(self._site, session, store, keys).values():
                return ids[0]
        return None

    def _end(self) -> None:
        try:
            ending.complete(self._site, self._name)
        except StoppedError:
            raise
        except OrchestratorError as error:
            _log.warning("disposal %s: no certificate: %s", self._name, error.message)
            self._result.problems.append(
                f"disposal {self._name}: every copy is proved absent, but its certificate cannot "
                f"be issued: {error.message}"
            )
            if self._current().state == EXECUTING:
                self._leave_residual()

    def _current(self) -> Disposal:
        with self._site.catalog.reading() as session:
            return disposals.get(session, self._name)


def _left(row: DisposalCopy) -> dict[str, object]:
    until: datetime | None = row.residual_until
    found = {
        "store": row.store,
        "copy": row.copy_ or "live",
        "medium": row.medium or None,
        "state": row.state,
        "until": until.isoformat(timespec="seconds") if until is not None else None,
    }
    return {key: value for key, value in found.items() if value is not None}
