"""Why a repository's key must not be destroyed as things are.

Everything is named at once. What cannot be known speaks against it. Decides nothing else.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.holds import guard
from orchestrator.actions.key_destruction import contents
from orchestrator.actions.key_destruction.record import APPROVED, BEGUN, PROPOSED, Destruction
from orchestrator.actions.person import are_one_person
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, repositories
from orchestrator.errors import NotFoundError, RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.actions.key_destruction.ways import Before
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.keys.keyring_file import Entry

APPROVAL_LASTS = timedelta(days=7)
"""A proposal that is decided, or an approval that is used, later than this is out of date."""

CUSTODIAN, COMPLIANCE = "custodian", "compliance"

_OPEN = (PROPOSED, APPROVED, BEGUN)


def demand_free(site: Site, session: Session, row: RepositoryRow, before: Before) -> None:
    """Refuse to destroy a key that something still needs, naming everything.

    Raises:
        RefusedError: It is needed.
    """
    what = f"the key of repository {row.name}"
    removal = guard.Removal("key.destroy", what, store=row.store, everything=True)
    guard.demand_free(site, session, removal)
    demand_opened(row, before)
    studies = set(before.held.studies.values()) - {""} if before.held is not None else set()
    # A hold on a study in another store is one on its earlier versions here as well.
    for store in sorted({one.store for one in repositories.of_store(session)} - {row.store}):
        removal = guard.Removal("key.destroy", what, store=store, studies=studies)
        guard.demand_free(site, session, removal)
    found = _in_the_way(site, session, row, before)
    if found:
        raise RefusedError(
            f"the key of repository {row.name} is not destroyed: {'; '.join(found)}",
            hint="restore what is kept nowhere else into a store and back it up; the rest: "
            "see docs/keys.md",
        )


def _in_the_way(site: Site, session: Session, row: RepositoryRow, before: Before) -> list[str]:
    found = []
    newest = repositories.of_store(session, row.store)[-1]
    if row.store in site.config.stores and newest.id == row.id:
        found.append(
            f"it is the repository of store {row.store}, which is in the site file: it is in use"
        )
    if before.strangers:
        found.append(
            f"{len(before.strangers)} key files in its copies were made by nobody here: they open "
            "it without this key"
        )
    for disposal in disposals.listing(session, states=[disposals.EXECUTING]):
        if disposals.copies(session, disposal.id, store=row.store):
            found.append(f"disposal {disposal.id} is being executed and needs the key")
    if before.held is not None:
        found += contents.missing_elsewhere(site, session, row, before.held)
    return found


def demand_opened(row: RepositoryRow, before: Before) -> None:
    """Refuse to go on where no copy could be opened: nothing is known, and nothing provable.

    Raises:
        RefusedError: None could.
    """
    if before.held is None:
        tried = " ".join(str(one) for one in before.attempts[1:])
        raise RefusedError(
            f"the key of repository {row.name} is not destroyed: none of its copies could be "
            f"opened with it, so that what it holds is not known and that it cannot be opened "
            f"afterwards would prove nothing. {tried}",
            hint="bring one of its copies: orchestrator medium list",
        )


def demand_whole_key(site: Site, row: RepositoryRow) -> None:
    """Refuse what was done already.

    Raises:
        RefusedError: The key was destroyed.
        NotFoundError: The keyring does not know the repository.
    """
    entry = entry_of(site, row.name)
    if entry.destroyed_at is not None:
        raise RefusedError(
            f"the key of repository {row.name} was destroyed on {entry.destroyed_at[:10]}",
            hint="orchestrator key destroy list",
        )


def demand_state(one: Destruction, *states: str) -> Destruction:
    """Return a destruction that is in one of some states.

    Raises:
        RefusedError: It is in another.
    """
    if one.state not in states:
        raise RefusedError(
            f"destruction {one.id} is {one.state}, not {' or '.join(states)}",
            hint=f"orchestrator key destroy show {one.id}",
        )
    return one


def demand_approval(site: Site, one: Destruction) -> None:
    """Refuse without an approval of today's by a second person.

    Raises:
        RefusedError: There is none, or it is out of date.
    """
    if one.decided_by is None or one.decided_at is None:
        raise RefusedError(f"destruction {one.id} was approved by nobody")
    if are_one_person(site, one.decided_by, one.proposed_by):
        raise RefusedError(f"destruction {one.id}: proposed and approved by one person")
    if site.clock.now() - one.decided_at > APPROVAL_LASTS:
        raise RefusedError(
            f"destruction {one.id}: the approval is out of date",
            hint=f"refuse it, then propose it again: orchestrator --as ACTOR key destroy refuse "
            f"{one.id} --reason TEXT",
        )


def demand_both_roles(site: Site, one: str, other: str) -> None:
    """Refuse two people who are not custodian and compliance, one each.

    Raises:
        RefusedError: They are not.
    """
    roles = [
        known.roles if known is not None else frozenset()
        for known in map(site.config.actors.get, (one, other))
    ]
    if not any(
        CUSTODIAN in first and COMPLIANCE in second for first, second in (roles, reversed(roles))
    ):
        raise RefusedError(
            "the destruction of a key takes a custodian and a person of compliance",
            hint="use --as with the other one",
        )


def is_open(one: Destruction, row: RepositoryRow) -> bool:
    """Say whether a destruction of a repository's key is under way."""
    return one.repository_id == row.id and one.state in _OPEN


def row_of(site: Site, name: str) -> RepositoryRow:
    """Return a repository by its name.

    Raises:
        NotFoundError: There is none.
    """
    with site.catalog.reading() as session:
        row = repositories.by_name(session, name)
    if row is None:
        raise NotFoundError(f"there is no repository named {name}", hint="orchestrator key list")
    return row


def entry_of(site: Site, name: str) -> Entry:
    """Return the keyring's entry of a repository.

    Raises:
        NotFoundError: There is none.
    """
    for entry in site.keyring.entries():
        if entry.purpose == "repository" and entry.name == name:
            return entry
    raise NotFoundError(f"the keyring knows no repository {name}", hint="orchestrator key list")
