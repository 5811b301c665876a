"""Checking that every repository opens with its key, and with no key of a stranger."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.actions import primary
from orchestrator.actions.kit import covered
from orchestrator.actions.places import read_marker
from orchestrator.actions.site import Site
from orchestrator.catalog import repositories, snapshots
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Repository as RepositoryRow

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What was found of one repository's keys.

    Attributes:
        name: Repository name.
        opens: Its password opens it; None if nobody could try.
        unexpected: Ids of key files in it that the keyring does not know: an incident.
        detail: Why nobody could try.
        hint: What to do about that.
    """

    name: str
    opens: bool | None
    unexpected: list[str] = field(default_factory=list)
    detail: str | None = None
    hint: str | None = None


def check_keys(site: Site) -> list[KeyCheck]:
    """Open every repository in the primary and compare its key files with the keyring.

    One whose key was destroyed opens no more, by intention, and is left out. One that no store
    writes to any more, and that was removed from the primary, cannot be tried: its key is kept.

    Raises:
        CredentialError: A password opens nothing.
        NotFoundError: The primary is not there, or the repository of a store is not.
    """
    with site.catalog.reading() as session:
        rows = covered(site, session)
        former = {row.id: why for row in rows if (why := _former(site, session, row)) is not None}
    found = []
    for row in rows:
        if row.id in former and _was_removed(site, row):
            found.append(_not_tried(site, row, former[row.id]))
            continue
        primary.check_there(site, row)
        engine = site.primary_engine(row.store, row.name)
        there = [one.id for one in engine.keys()]  # noqa: SIM118 - a method of restic's driver
        entry = site.keyring.find_repository(row.name)
        known = set() if entry is None else set(entry.key_ids)
        strangers = [one for one in there if one not in known]
        found.append(KeyCheck(row.name, opens=True, unexpected=strangers))
    return found


def note_unexpected(site: Site, found: Sequence[KeyCheck]) -> None:
    """Record key files that nobody here has made, each of them once: they are an incident.

    Finding them matters more than recording them: a ledger that cannot be written is said.
    """
    from orchestrator.actions.ledger.record import Event, record_new

    events = [
        Event("key.unexpected", {"repository": one.name, "key": key})
        for one in found
        for key in one.unexpected
    ]
    try:
        record_new(site, events)
    except OrchestratorError as error:
        _log.error("the ledger was not written: %s", error.message)


def _former(site: Site, session: Session, row: RepositoryRow) -> str | None:
    """Say since when no store writes to a repository; None if one does."""
    later = [
        one
        for one in repositories.of_store(session, row.store)
        if (one.created_at, one.id) > (row.created_at, row.id)
    ]
    if later:
        return f"it was replaced by {later[0].name} on {later[0].created_at:%Y-%m-%d}"
    if row.store in site.config.stores:
        return None
    known = snapshots.of_store(session, row.store, repository_id=row.id, forgotten=True)
    last = max((one.at for one in known), default=None)
    when = "it holds no snapshot" if last is None else f"its last snapshot is of {last:%Y-%m-%d}"
    return f"store {row.store} is not in the site file any more, {when}"


def _was_removed(site: Site, row: RepositoryRow) -> bool:
    """Say whether the primary is there and has nothing at all by this name."""
    is_there = read_marker(site.config.primary.path) is not None
    return is_there and not os.path.lexists(site.primary_root(row.name))


def _not_tried(site: Site, row: RepositoryRow, why: str) -> KeyCheck:
    return KeyCheck(
        row.name,
        opens=None,
        detail=f"it is not in copy {site.config.primary.name} any more, and {why}: its key is kept "
        "and nobody can try here whether it still opens what other copies have",
        hint="bring its folder back, or, while another copy still opens: orchestrator --as ACTOR "
        f"key destroy propose {row.name} --reason TEXT",
    )
