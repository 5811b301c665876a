"""What is left when a key was destroyed: stored keyrings that hold its wrap, and ciphertext.

By the catalog's inventories: what a copy is not known to have given up is taken for there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.key_destruction.ways import Attempt, try_state
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, disposals, media, repositories, snapshots
from orchestrator.catalog.disposals import ABSENT, OPEN

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.copy_tables import CopyState
    from orchestrator.catalog.tables import Repository as RepositoryRow

_THERE = ("good", "damaged", "missing")


@dataclass(frozen=True, slots=True)
class Stored:
    """Stored states in one copy whose keyring has the password's wrap, or may have it.

    Attributes:
        copy: Copy name.
        label: What people call the medium; None where there is none.
        repository: Name of the repository they are in.
        states: Full ids of states from before the destruction.
        unknown: How many snapshots there the catalog knows nothing of.
        until: When the last of their locks ends, as far as it is known.
    """

    copy: str
    label: str | None
    repository: str
    states: tuple[str, ...]
    unknown: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """Files of the repository that one copy still has.

    Attributes:
        copy: Copy name.
        label: What people call the medium; None where there is none.
        files: How many.
        size_bytes: Their length together.
        until: When the last of their locks ends; None where nothing locks them.
    """

    copy: str
    label: str | None
    files: int
    size_bytes: int
    until: datetime | None


def stored_wraps(
    site: Site, session: Session, repository: RepositoryRow, *, before: datetime
) -> list[Stored]:
    """Return where states from before the destruction are still kept.

    Those in the repository itself do not count: nobody gets at them without what they hold.

    Args:
        site: The site.
        session: Any session.
        repository: The repository whose key was destroyed.
        before: When that was.
    """
    shut = {one.name for one in site.keyring.entries() if one.destroyed_at is not None} | {
        repository.name
    }
    names = {row.id: row.name for row in repositories.of_store(session)}
    labels = _labels(session)
    found = []
    for state in copies.states(session):
        name = names.get(state.repository_id, "")
        if name in shut:
            continue
        rows = {
            row.id: row
            for row in snapshots.of_store(
                session, None, kind=None, repository_id=state.repository_id, forgotten=True
            )
        }
        old, unknown, locks = [], 0, []
        for file in copies.inventory(session, _key(state), states=_THERE):
            if file.kind != "snapshots":
                continue
            row = rows.get(file.name)
            unknown += row is None
            if row is not None and row.kind == "state" and row.at <= before:
                old.append(row.id)
                locks.append(file.retain_until)
        if old or unknown:
            until = max((one for one in locks if one is not None), default=None)
            label = labels.get(state.medium)
            found.append(Stored(state.copy_, label, name, tuple(old), unknown, until))
    return found


def ciphertext(session: Session, repository: RepositoryRow) -> list[Ciphertext]:
    """Return the copies that still have files of a repository."""
    labels = _labels(session)
    found = []
    for state in copies.states(session):
        if state.repository_id != repository.id:
            continue
        counts = copies.totals(session, _key(state))
        files = sum(count for what, (count, _) in counts.items() if what != "removed")
        size = sum(size for what, (_, size) in counts.items() if what != "removed")
        if files:
            ends = [one for one in copies.lock_ends(session, _key(state)) if one is not None]
            label = labels.get(state.medium)
            until = max(ends, default=None)
            found.append(Ciphertext(state.copy_, label, files, size, until))
    return found


def try_states(site: Site, repository: RepositoryRow, stored: list[Stored]) -> Iterator[Attempt]:
    """Try the newest stored state of each repository that the primary has.

    Args:
        site: The site.
        repository: The repository whose key was destroyed.
        stored: Where states are.
    """
    with site.catalog.reading() as session:
        rows = {row.name: row for row in repositories.of_store(session)}
    for one in stored:
        if one.copy == site.config.primary.name and one.states:
            newest = _newest(site, one.states)
            yield try_state(site, rows[one.repository], newest, repository.name)


def open_disposals(session: Session, store: str) -> list[str]:
    """Return the ids of disposals of a store's studies that are under way and not complete."""
    return [
        row.id
        for row in disposals.listing(session, states=OPEN)
        if any(one.state != ABSENT for one in disposals.copies(session, row.id, store=store))
    ]


def unreadable(site: Site, stores: Iterable[str]) -> list[str]:
    """Return the names of those repositories of some stores whose key was destroyed, sorted."""
    gone = {one.name for one in site.keyring.entries() if one.destroyed_at is not None}
    if not gone:
        return []
    with site.catalog.reading() as session:
        rows = [row for store in stores for row in repositories.of_store(session, store)]
    return sorted({row.name for row in rows} & gone)


def _newest(site: Site, states: tuple[str, ...]) -> str:
    with site.catalog.reading() as session:
        return max(states, key=lambda one: snapshots.get(session, one).at)


def _key(state: CopyState) -> copies.CopyKey:
    return (state.copy_, state.medium, state.repository_id)


def _labels(session: Session) -> dict[str, str]:
    return {row.id: row.label for row in media.of_copy(session, None, retired=True)}
