"""What the holds in force cover: patients by all their names, studies, spans of runs.

Joins the rows of the holds with the patient list's merges and the site file's issuers. What must
not go is `guard`'s to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import facts, holds
from orchestrator.catalog.hold_cover import Cover
from orchestrator.retention.hold import Hold, HoldKind

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.hold_tables import Hold as HoldRow

_ALIASES = "hold-patient:"
"""Facts of this prefix: by hold, further pseudonyms of the patient it names."""


def in_force(session: Session, site: Site) -> list[Hold]:
    """Return the holds in force; one on a patient names everybody merged with it.

    One whose start lies in the future is in force already, and so is one whose release only one
    person has asked for.

    Args:
        session: Any session.
        site: The site.
    """
    rows = holds.listing(session)
    if not rows:
        return []
    links = holds.merges(session) if any(row.kind == "patient" for row in rows) else []
    aliases = facts.starting_with(session, _ALIASES)
    return [_hold(row, links, aliases) for row in rows]


def keep_aliases(site: Site, session: Session, hold: str, patients: Iterable[str]) -> None:
    """Keep the further pseudonyms of the patient a hold names."""
    facts.put(session, _ALIASES + hold, value=",".join(sorted(patients)), now=site.clock.now())


def _hold(row: HoldRow, links: list[tuple[str, str]], aliases: dict[str, str]) -> Hold:
    kinds: dict[str, HoldKind] = {"study": "study", "patient": "patient", "dates": "dates"}
    kind = kinds.get(row.kind, "store")
    named = {
        one for one in (row.patient_key, *aliases.get(_ALIASES + row.id, "").split(",")) if one
    }
    if (kind == "study" and row.study_key is None) or (kind == "patient" and not named):
        kind = "store"  # one that names nothing would keep nothing: it keeps all
    return Hold(
        id=row.id,
        kind=kind,
        store=row.store,
        study=row.study_key,
        patients=merged(named, links) if kind == "patient" else frozenset(),
        dates_from=row.dates_from,
        dates_to=row.dates_to,
    )


def merged(patients: Collection[str], links: list[tuple[str, str]]) -> frozenset[str]:
    """Return patients with everybody merged with them or into them, directly or not. Pure."""
    found = set(patients)
    near: dict[str, set[str]] = {}
    for one, other in links:
        near.setdefault(one, set()).add(other)
        near.setdefault(other, set()).add(one)
    waiting = list(found)
    while waiting:
        fresh = near.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return frozenset(found)


def patient_names(site: Site, issuer: str, patient_id: str) -> tuple[str, ...]:
    """Return every pseudonym that images and list may have for a patient, the likeliest first.

    Without an issuer the patient may be of any numbering that the site file names: a hold then
    keeps them all.

    Args:
        site: The site.
        issuer: Who gave out the id; empty if that is not known.
        patient_id: The id.
    """
    pseudonyms = site.catalog.keys.pseudonyms
    issuers = [issuer.strip()]
    if not issuer.strip():
        issuers += [store.issuer for store in site.config.stores.values() if store.issuer]
    keys = [pseudonyms.patient(one, patient_id) for one in dict.fromkeys(issuers)]
    return tuple(dict.fromkeys(key for key in keys if key is not None))


def all_names(site: Site, session: Session, patients: Iterable[str]) -> tuple[str, ...]:
    """Return pseudonyms with those the patient may have elsewhere, as far as images tell.

    Raises:
        DamageError: A field was changed in the database.
    """
    found: dict[str, None] = {}
    for key in patients:
        found[key] = None
        named = holds.patient_id(session, key, site.catalog.keys)
        if named is not None:
            found |= dict.fromkeys(patient_names(site, *named))
    return tuple(found)


def cover(
    site: Site, session: Session, store: str, hold: Hold, among: Collection[str] | None = None
) -> Cover | None:
    """Return what a hold selects in a store; None if it is about another one.

    Args:
        site: The site.
        session: Any session.
        store: The store.
        hold: The hold.
        among: Studies that matter; None for all.
    """
    if hold.store not in (None, store):
        return None
    patients = hold.patients
    if hold.kind == "patient":
        patients |= _unissued(site, session, store, hold.patients, among)
    return Cover(hold.kind, hold.study, patients, hold.dates_from, hold.dates_to)


def _unissued(
    site: Site,
    session: Session,
    store: str,
    patients: frozenset[str],
    among: Collection[str] | None,
) -> set[str]:
    """Return how images without an issuer name patients that the list names with the store's."""
    config = site.config.stores.get(store)
    if config is None or not config.issuer:
        return set()
    keys = site.catalog.keys
    found = holds.unissued_patients(session, store, keys, among)
    return {
        key
        for key, patient_id in found
        if keys.pseudonyms.patient(config.issuer, patient_id) in patients
    }
