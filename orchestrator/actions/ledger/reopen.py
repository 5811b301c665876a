"""A new ledger after one that can no longer be continued: under a new name, which says why.

The old one stays as it is. The new one begins with what the old one last said and with what lies
outside, so that the break is the first thing that anybody sees.
"""

from __future__ import annotations

from typing import Any

from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger import outside as ledger_outside
from orchestrator.actions.ledger.opening import (
    SiteLedger,
    begin,
    closed_path,
    ledger_path,
    new_origin,
    newest_number,
)
from orchestrator.actions.ledger.outside import RESTORED, Outside, next_origin
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.person import demand_person
from orchestrator.actions.run import run
from orchestrator.actions.site import Site
from orchestrator.catalog import anchors, facts
from orchestrator.catalog import ledger as rows
from orchestrator.errors import EngineError, OrchestratorError, RefusedError


def reopen(site: Site, *, note: str) -> SiteLedger:
    """Open a new ledger in place of one that cannot be continued.

    Args:
        site: The site; its actor must have the role `compliance`.
        note: Why, at most 200 characters.

    Returns:
        The new ledger.

    Raises:
        RefusedError: The ledger can be continued, nobody is named, or the role is missing.
        OrchestratorError: The disk or the catalog fails.
    """
    demand_person(site, "compliance")
    with run(site, "ledger-reopen"):
        why = _what_is_wrong(site)
        before = _last_words(site)
        outside = _outside(site)
        number, origin = _next(site, outside)
        _put_aside(site)
        opening: dict[str, Any] = {"previous": before, "why": why}
        begin(
            site.state_dir,
            site.keyring,
            number=number,
            origin=origin,
            now=site.clock.now(),
            opening=opening,
            actor=site.actor,
        )
        site.__dict__.pop("ledger", None)
        with site.catalog.transaction() as session:
            anchors.forget_outside(session)
            facts.drop(session, RESTORED)
        mirror.catch_up(site)
        body = {"what": "reopened", "why": why, "previous": before, "outside": _words(outside)}
        record(site, [Event("ledger.incident", body, note=note)])
    return site.ledger


def _what_is_wrong(site: Site) -> str:
    """Return why the ledger cannot be continued, in one word.

    Raises:
        RefusedError: It can.
    """
    try:
        ledger_outside.demand_signable(site)
        _ = site.ledger.log
    except RefusedError:
        folder = ledger_path(site.state_dir)
        return "contradicted" if folder.exists() else "lost"
    except OrchestratorError as error:
        if error.exit_code != 4:
            raise
        return "damaged"
    raise RefusedError(
        "the ledger is in order and is continued; a new one would only hide it",
        hint="orchestrator ledger verify",
    )


def _last_words(site: Site) -> dict[str, Any] | None:
    """Return the last checkpoint of the ledger as it lies here; None if it cannot be read."""
    from orchestrator.actions.ledger.opening import CHECKPOINT
    from orchestrator.ledger.checkpoint import unverified

    number = newest_number(site.keyring)
    for folder in (ledger_path(site.state_dir), closed_path(site.state_dir, number)):
        try:
            found = unverified((folder / CHECKPOINT).read_bytes())
        except (OSError, ValueError):
            continue
        return {"origin": found.origin, "size": found.size, "root": found.root.hex()}
    return None


def _outside(site: Site) -> dict[str, Outside]:
    """Return what each bucket holds; those that cannot be read are left out."""
    found = {}
    for name in ledger_outside.targets(site):
        try:
            with ledger_outside.impatient_bucket(site, name) as bucket:
                records = bucket.records(ledger_outside.FOLDER)
                found[name] = ledger_outside.newest_outside(site, records)
        except OrchestratorError:
            continue  # lost ledgers have no key's name to look for; the others are unknown
    return found


def _words(outside: dict[str, Outside]) -> list[dict[str, Any]]:
    return [
        {
            "copy": name,
            "size": None if one.newest is None else one.newest.size,
            "root": None if one.newest is None else one.newest.root.hex(),
        }
        for name, one in outside.items()
    ]


def _next(site: Site, outside: dict[str, Outside]) -> tuple[int, str]:
    """Return number and name of the new ledger, beyond any that exists here or outside."""
    number = newest_number(site.keyring)
    with site.catalog.reading() as session:
        row = rows.current(session)
    try:
        origin = site.ledger.origin
    except OrchestratorError:
        origin = (
            new_origin(site.config.name, site.keyring.id, number) if row is None else row.origin
        )
    if row is not None and row.number > number:
        number, origin = row.number, row.origin
    for one in outside.values():
        if one.successor is not None and int(one.successor.rpartition("/")[2]) > number:
            number, origin = number + 1, one.successor
    return number + 1, next_origin(origin)


def _put_aside(site: Site) -> None:
    folder = ledger_path(site.state_dir)
    if not folder.exists():
        return
    target = closed_path(site.state_dir, newest_number(site.keyring))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.rename(target)
    except OSError as error:
        raise EngineError(
            f"the old ledger cannot be put into {target}: {(error.strerror or 'error').lower()}"
        ) from None
