"""Taking a study that came back after its disposal into the records again.

A patient returns, a colleague sends the images: what was disposed of lawfully is a record once
more, and every restore still leaves it out. Two people say so; then its periods run as any other's
and restores bring it back. What was proved and certified stays true of what was destroyed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestrator import canonical
from orchestrator.actions.certificates.files import keep_evidence
from orchestrator.actions.disposal import suppression
from orchestrator.actions.disposal.begun import LIST, STUDIES, list_number
from orchestrator.actions.disposal.returned import returned
from orchestrator.actions.holds import guard
from orchestrator.actions.ledger import note as ledger_note
from orchestrator.actions.ledger.outside import demand_signable
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.listing import no_such_study
from orchestrator.actions.person import are_one_person, demand_person, plain_name
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, facts, studies
from orchestrator.errors import OrchestratorError, RefusedError, UsageError

if TYPE_CHECKING:
    from sqlmodel import Session

ASKED = "disposal.readmit_asked"
WITHDRAWN = "disposal.readmit_withdrawn"
READMITTED = "disposal.readmitted"
"""Types of entries."""

REASON = "readmitted"

_ASKED = "readmit:"


@dataclass(frozen=True, slots=True)
class Readmission:
    """What two people say of a study that came back.

    Attributes:
        study: Its pseudonym.
        state: ``asked`` until a second person confirms; ``withdrawn`` if the first took it back.
        stores: Where it is.
        by: Who acted last.
        outstanding: Buckets that have not got the new list of disposed studies yet.
        unrecorded: Why the ledger does not say so; None if it does.
    """

    study: str
    state: Literal["asked", "withdrawn", "readmitted"]
    stores: tuple[str, ...]
    by: str
    outstanding: tuple[str, ...] = ()
    unrecorded: str | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one person has asked for.

    Attributes:
        by: Who.
        name: The name under which the site file had them then.
        after: Disposals that had taken the study away by then.
    """

    by: str
    name: str
    after: tuple[str, ...]


def readmit(site: Site, study: str, reason: str) -> Readmission:
    """Say as the first person that a study is a record again, or confirm it as the second.

    Args:
        site: The site; its actor acts.
        study: Pseudonym of the study.
        reason: Why; goes into the ledger and names nobody.

    Raises:
        NotFoundError: No store has such a study.
        UsageError: There is no reason, or it is too long.
        RefusedError: The study did not come back, a disposal with it is not complete, the same
            person confirms, the role is missing, the reason names somebody, or a bucket may hold a
            newer list.
        OrchestratorError: Catalog or ledger fail; then every restore leaves it out as before.
    """
    demand_person(site, "compliance", "operator")
    text = " ".join(reason.split())
    if not text:
        raise UsageError("say with --reason TEXT why it is a record again; it names no patient")
    ledger_note.demand_clean(site, text)
    demand_signable(site)
    with run(site, "disposal-readmit") as current:
        with guard.guarded(site) as session:
            stores = _stores(site, session, study)
            asked = _asked(session, study)
            if asked is None:
                site.demand_role("compliance")
                _ask(site, session, study)
            else:
                _demand_second(site, study, asked)
                for store in stores:
                    suppression.withdraw(site, session, store, [study])
                facts.drop(session, _ASKED + study)
        unrecorded = _recorded(current, lambda: _event(site, study, stores, asked, text))
        outstanding: tuple[str, ...] = ()
        if asked is not None:
            published = suppression.publish(site)
            outstanding = tuple(published.outstanding)
            for name, why in published.outstanding.items():
                current.fell_short(f"copy {name} has not got the new list: {why}")
        state: Literal["asked", "readmitted"] = "asked" if asked is None else "readmitted"
        return Readmission(study, state, stores, site.actor, outstanding, unrecorded)


def withdraw(site: Site, study: str) -> Readmission:
    """Take back what one person has asked for; any person may, for nothing changes by it.

    Raises:
        RefusedError: Nobody is named, or nobody has asked.
        OrchestratorError: Catalog or ledger fail.
    """
    demand_person(site)
    demand_signable(site)
    with run(site, "disposal-readmit") as current:
        with site.catalog.transaction() as session:
            if _asked(session, study) is None:
                raise RefusedError(
                    f"study {study}: nobody has asked to take it into the records again",
                    hint=f"orchestrator retention explain {study}",
                )
            facts.drop(session, _ASKED + study)
        event = Event(WITHDRAWN, {"by": site.actor}, subjects={"study": [study]})
        unrecorded = _recorded(current, lambda: event)
        return Readmission(study, "withdrawn", (), site.actor, unrecorded=unrecorded)


def _stores(site: Site, session: Session, study: str) -> tuple[str, ...]:
    """Return the stores in which a study is there again that was disposed of.

    Raises:
        NotFoundError: No store has such a study.
        RefusedError: It did not come back, or a disposal with it is not complete.
    """
    unfinished = {row.id for row in disposals.open_batches(session)}
    for row in disposals.of_study(session, study):
        if row.disposal in unfinished and row.state in disposals.GOING:
            raise RefusedError(
                f"study {study}: disposal {row.disposal} removes it and is not complete; while "
                "files of it are in the store it never will be: keep them elsewhere, let it end, "
                "then bring them back",
                hint=f"orchestrator disposal show {row.disposal} --study {study}",
            )
    stores = tuple(store for store, keys in sorted(returned(session).items()) if study in keys)
    if stores:
        return stores
    if not studies.studies(session, study=study, limit=1):
        raise no_such_study(site, study)
    raise RefusedError(
        f"study {study} is not on the list of disposed studies: restores bring it back",
        hint=f"orchestrator retention explain {study}",
    )


def _ask(site: Site, session: Session, study: str) -> None:
    said = _Asked(site.actor, site.config.actors[site.actor].name, _gone_with(session, study))
    value = json.dumps({"by": said.by, "name": said.name, "after": said.after})
    facts.put(session, _ASKED + study, value=value, now=site.clock.now())


def _asked(session: Session, study: str) -> _Asked | None:
    """Return what was asked since the study came back; not what was before a later disposal."""
    fact = facts.get(session, _ASKED + study)
    if fact is None:
        return None
    said = json.loads(fact.value)
    found = _Asked(said["by"], said["name"], tuple(said["after"]))
    return found if found.after == _gone_with(session, study) else None


def _gone_with(session: Session, study: str) -> tuple[str, ...]:
    """Return the disposals that have taken the study away."""
    rows = disposals.of_study(session, study)
    return tuple(sorted({row.disposal for row in rows if row.state in disposals.GOING}))


def _demand_second(site: Site, study: str, asked: _Asked) -> None:
    """Refuse who has asked, under whatever name, and what was asked by who has left since."""
    by, anew = asked.by, f"orchestrator --as ACTOR disposal readmit {study} --withdraw"
    then, now = plain_name(asked.name), plain_name(site.config.actors[site.actor].name)
    if are_one_person(site, by, site.actor) or then == now != "":
        raise RefusedError(
            f"study {study}: {by} has asked to take it into the records again, and {site.actor} "
            "is the same person; another one must confirm it",
            hint=f"orchestrator --as ANOTHER disposal readmit {study} --reason TEXT",
        )
    asker = site.config.actors.get(by)
    if asker is None or "compliance" not in asker.roles:
        raise RefusedError(
            f"study {study}: {by}, who has asked, is no person of compliance in the site file any "
            "more: take it back, and let another one ask",
            hint=anew,
        )


def _recorded(current: Run, event: Callable[[], Event]) -> str | None:
    """Record what was said; return why it was not, which nothing makes up for later."""
    try:
        record(current.site, [event()])
    except OrchestratorError as error:
        current.fell_short(f"the ledger does not say so: {error.message}")
        return error.message
    return None


def _event(
    site: Site,
    study: str,
    stores: tuple[str, ...],
    asked: _Asked | None,
    reason: str,
) -> Event:
    """Return the entry; what a catalog made anew needs of it lies beside the ledger."""
    subjects = {"study": [study]}
    if asked is None:
        body: dict[str, Any] = {"by": site.actor, "stores": list(stores)}
        return Event(ASKED, body, subjects=subjects, note=reason)
    kept = canonical.encode({"kept": {store: {study: REASON} for store in stores}})
    body = {
        "by": site.actor,
        "asked_by": asked.by,
        "stores": list(stores),
        LIST: list_number(site),
    }
    evidence = {STUDIES: keep_evidence(site, kept)}
    return Event(READMITTED, body, subjects=subjects, evidence=evidence, note=reason)
