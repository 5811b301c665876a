"""Destroying a repository's password: proposed, approved by a second person, done, measured.

For a repository that was replaced or given up, whose remaining copies shall become unreadable.
Nobody does this alone, nothing that is on hold or is kept nowhere else loses its key, and a copy
whose key is gone is not called absent. Knows nothing of certificates.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from orchestrator.actions.holds import guard
from orchestrator.actions.key_destruction import ways
from orchestrator.actions.key_destruction.conditions import (
    APPROVAL_LASTS,
    COMPLIANCE,
    CUSTODIAN,
    demand_approval,
    demand_both_roles,
    demand_free,
    demand_opened,
    demand_state,
    demand_whole_key,
    entry_of,
    is_open,
    row_of,
)
from orchestrator.actions.key_destruction.measuring import measured
from orchestrator.actions.key_destruction.record import (
    ACT,
    AGREED,
    APPROVED,
    ASKED,
    BEGUN,
    DESTROYED,
    PROPOSED,
    TURNED_DOWN,
    Destruction,
    get,
    listing,
)
from orchestrator.actions.kit import refresh_kit
from orchestrator.actions.ledger.record import Event, announced, record
from orchestrator.actions.person import are_one_person, demand_person
from orchestrator.actions.run import run
from orchestrator.actions.sanitization.evidence import keep_json
from orchestrator.actions.site import Site
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from orchestrator.actions.key_destruction.ways import Before
    from orchestrator.catalog.tables import Repository as RepositoryRow


def propose(site: Site, repository: str, *, reason: str) -> Destruction:
    """Put the destruction of a repository's key before a second person.

    Args:
        site: The site; its actor proposes, as custodian or for compliance.
        repository: Name of the repository.
        reason: Why, in at most 200 characters; goes into the ledger.

    Raises:
        NotFoundError: There is no such repository.
        RefusedError: Its key must not be destroyed as things are; every reason is named.
    """
    demand_person(site, CUSTODIAN, COMPLIANCE)
    row = row_of(site, repository)
    with run(site, "key-destroy-propose", store=row.store):
        demand_whole_key(site, row)
        under_way = [one.id for one in listing(site) if is_open(one, row)]
        if under_way:
            raise RefusedError(
                f"repository {repository}: destruction {under_way[0]} is under way already",
                hint=f"orchestrator key destroy show {under_way[0]}",
            )
        found = ways.try_before(site, row)
        with guard.guarded(site) as session:
            demand_free(site, session, row, found)
        name = f"k-{site.clock.now():%Y%m%d}-{secrets.token_hex(3)}"
        record(site, [Event(ASKED, _body(name, row), note=reason)])
    return get(site, name)


def approve(site: Site, name: str) -> Destruction:
    """Agree to a proposal, as a second person: one of the two is custodian, one of compliance.

    Raises:
        NotFoundError: There is no such destruction.
        RefusedError: It is not proposed, is out of date, the same person proposed it, or the two
            are not custodian and compliance.
    """
    demand_person(site, CUSTODIAN, COMPLIANCE)
    with run(site, "key-destroy-approve"):
        one = demand_state(get(site, name), PROPOSED)
        if are_one_person(site, one.proposed_by, site.actor):
            raise RefusedError(
                f"destruction {name}: {site.actor} proposed it and may not approve it",
                hint=f"orchestrator --as ACTOR key destroy approve {name}",
            )
        demand_both_roles(site, one.proposed_by, site.actor)
        if site.clock.now() - one.proposed_at > APPROVAL_LASTS:
            raise RefusedError(
                f"destruction {name}: the proposal is out of date",
                hint="refuse it and propose it again: orchestrator key destroy propose REPOSITORY "
                "--reason TEXT",
            )
        record(site, [Event(AGREED, {"destruction": name})])
    return get(site, name)


def refuse(site: Site, name: str, *, reason: str) -> Destruction:
    """Turn a proposal down, or take an approval back before it was used.

    Raises:
        NotFoundError: There is no such destruction.
        RefusedError: It was begun, or is over.
    """
    demand_person(site, CUSTODIAN, COMPLIANCE)
    with run(site, "key-destroy-refuse"):
        one = get(site, name)
        if one.state == BEGUN and entry_of(site, one.repository).destroyed_at is None:
            one.state = APPROVED  # cut off before the key went: it can still be called off
        demand_state(one, PROPOSED, APPROVED)
        record(site, [Event(TURNED_DOWN, {"destruction": name}, note=reason)])
    return get(site, name)


def execute(site: Site, name: str) -> Destruction:
    """Destroy the key of an approved destruction, or go on with one that was cut off.

    What is measured before is durable before the key goes, so that a cut loses none of it. A key
    that came back, with a keyring of before, is destroyed again: what was decided stands, and
    everything else is asked again.

    Raises:
        NotFoundError: There is no such destruction.
        RefusedError: It is not approved, the approval is out of date, or something has come in
            the way since.
        OrchestratorError: Ledger or disk fail.
    """
    demand_person(site, CUSTODIAN)
    one = get(site, name)
    row = row_of(site, one.repository)
    with run(site, "key-destroy", store=row.store) as current:
        is_there = entry_of(site, row.name).destroyed_at is None
        states = (APPROVED, BEGUN, DESTROYED) if is_there else (APPROVED, BEGUN)
        one = demand_state(get(site, name), *states)
        if is_there:
            if one.state != DESTROYED:
                demand_approval(site, one)
            with current.step("open"):
                before = ways.try_before(site, row)
            demand_opened(row, before)
            digest = keep_json(site, before.document())
        else:
            digest = one.before or ""
            before = None
        event = Event(
            ACT,
            {**_body(name, row), "key_files": _key_files(site, one, row)},
            evidence={"before": digest},
        )
        with announced(site, event) as outcome:
            outcome["destruction"] = name
            if before is not None:
                with current.step("destroy"):
                    _destroy(site, row, before)
            if (site.state_dir / "recovery-kit").is_dir():  # it holds the password in clear
                refresh_kit(site)
            with current.step("try"):
                after = measured(site, get(site, name), row, digest)
            outcome.update(
                repository=row.name,
                repository_id=row.id,
                verification=after["verification"],
                evidence={"before": digest, "after": keep_json(site, after)},
            )
        if after["verification"] != "verified":
            current.fell_short(f"destruction {name}: {after['verification']}")
    return get(site, name)


def _destroy(site: Site, row: RepositoryRow, before: Before) -> None:
    # A hold is placed before this transaction, and obeyed, or after it, on what has no key.
    with guard.guarded(site) as session:
        demand_free(site, session, row, before)
        site.keyring.destroy(row.name, at=site.clock.now())


def _body(name: str, row: RepositoryRow) -> dict[str, Any]:
    return {
        "destruction": name,
        "repository": row.name,
        "repository_id": row.id,
        "store": row.store,
    }


def _key_files(site: Site, one: Destruction, row: RepositoryRow) -> list[str]:
    """Return the ids of the key files that opened the password; as announced, if it is gone."""
    wraps = entry_of(site, row.name).wraps
    return sorted({wrap.key_file for wrap in wraps}) or list(one.key_files)
