"""Which offline media have come back, were written, and are now to be drilled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.attach import look
from orchestrator.actions.site import Site
from orchestrator.actions.targets import copies_of, stores_of
from orchestrator.catalog import copies, drill_history, media
from orchestrator.config.jobs import Job
from orchestrator.config.site import OfflineCopy

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.copy_tables import Medium

_BACK = ("registered", "received", "connected")
"""Acts of custody after which a medium is here."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A medium that is to be drilled.

    Attributes:
        store: Store name.
        copy: Copy name.
        medium: The medium's label.
        written_at: When it was last brought up to date.
    """

    store: str
    copy: str
    medium: str
    written_at: datetime


def returned(site: Site, job: Job) -> list[Returned]:
    """Return what is to be drilled now, for the stores and copies of a job.

    A medium is drilled once each time it comes back, after it has been written; one that never
    leaves, or leaves unseen, once in the time after which it is due.
    """
    found = []
    for name in copies_of(site, job):
        copy = site.config.copies[name]
        if isinstance(copy, OfflineCopy):
            here = {mounted.identity.medium for mounted in look(site, copy)}
            with site.catalog.reading() as session:
                rows = {row.id: row for row in media.of_copy(session, name)}
                reachable = {key: row for key, row in rows.items() if key in here or copy.mount}
                for store in stores_of(site, job):
                    found += _of_store(site, session, store, copy, reachable)
    return found


def _of_store(
    site: Site, session: Session, store: str, copy: OfflineCopy, rows: Mapping[str, Medium]
) -> list[Returned]:
    now = site.clock.now()
    found = []
    for state in copies.states(session, copy.name, store=store):
        row = rows.get(state.medium)
        written = state.replicated_at
        if row is None or written is None:
            continue
        back = _came_back(session, row)
        last = drill_history.last_of_medium(session, store, copy.name, row.label)
        fresh = written > last if last is not None else True
        is_due = last is None or last < back or last <= now - copy.due_every
        if fresh and is_due and written >= back:
            found.append(Returned(store, copy.name, row.label, written))
    return found


def _came_back(session: Session, row: Medium) -> datetime:
    acts: Sequence[datetime] = [
        act.at for act in media.events(session, row.id) if act.event in _BACK
    ]
    return max(acts, default=row.registered_at)
