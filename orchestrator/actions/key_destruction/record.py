"""What the ledger says of the destruction of keys: there is no other record of it.

The entries are the record, so that it outlives the catalog. Evidence lies beside, by its hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.actions.ledger.mirror import parsed
from orchestrator.actions.sanitization.evidence import path_of
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates
from orchestrator.errors import DamageError, NotFoundError

if TYPE_CHECKING:
    from orchestrator.ledger.entry import Entry

ACT = "key.destroy"
ASKED = "key.destruction_proposed"
AGREED = "key.destruction_approved"
TURNED_DOWN = "key.destruction_refused"
JUDGED = "key.destruction_validated"

PROPOSED, APPROVED, REFUSED, BEGUN, DESTROYED = (
    "proposed",
    "approved",
    "refused",
    "begun",
    "destroyed",
)
"""`begun`: announced, and no outcome yet: whether the key is gone, the keyring says."""

_MARK = b'"destruction"'


@dataclass(slots=True, kw_only=True)
class Destruction:
    """One destruction of a key, as far as it has come.

    Attributes:
        id: Its id.
        repository: Name of the repository whose password goes.
        repository_id: restic's full id.
        store: The store it was of.
        proposed_by: Who asked for it.
        proposed_at: When.
        reason: Why, as it was said.
        state: `PROPOSED` to `DESTROYED`.
        decided_by: Who approved or refused it.
        decided_at: When.
        performed_by: Who did it, the last one of those who did.
        performers: Everybody who has begun it: what one was cut off in, another one may have ended.
        begun_at: When it was announced last.
        key_files: Ids of the key files that opened the password before.
        before: SHA-256 of what was measured before.
        after: SHA-256 of what was measured after; None before that.
        measured_at: When that was.
        verification: ``verified``, ``not_verified`` or ``unverified``, as it came out then.
        validation: ``accepted``, ``rejected`` or ``pending``.
        validated_by: Who decided that.
        validated_at: When.
        validation_reasons: Why.
        attested: What the person who validated said is gone.
        ways: SHA-256 of what was measured at the validation.
        entries: Places of its entries.
        certificate: Number of its certificate; None before there is one.
    """

    id: str
    repository: str
    repository_id: str
    store: str
    proposed_by: str
    proposed_at: datetime
    reason: str | None = None
    state: str = PROPOSED
    decided_by: str | None = None
    decided_at: datetime | None = None
    performed_by: str | None = None
    performers: tuple[str, ...] = ()
    begun_at: datetime | None = None
    key_files: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    measured_at: datetime | None = None
    verification: str | None = None
    validation: str = "pending"
    validated_by: str | None = None
    validated_at: datetime | None = None
    validation_reasons: tuple[str, ...] = ()
    attested: tuple[str, ...] = ()
    ways: str | None = None
    entries: list[int] = field(default_factory=list)
    certificate: str | None = None


def listing(site: Site) -> list[Destruction]:
    """Return every destruction, oldest first.

    Raises:
        RefusedError: There is no ledger.
        DamageError: It cannot be read.
    """
    found: dict[str, Destruction] = {}
    for index, entry in _entries(site):
        _take(found, index, entry)
    with site.catalog.reading() as session:
        for one in found.values():
            row = certificates.of_subject(session, f"key/{one.id}")
            one.certificate = row.number if row is not None else None
    return list(found.values())


def get(site: Site, name: str) -> Destruction:
    """Return one destruction.

    Raises:
        NotFoundError: There is none of this id.
        RefusedError: There is no ledger.
        DamageError: It cannot be read.
    """
    for one in listing(site):
        if one.id == name:
            return one
    raise NotFoundError(
        f"no destruction of a key has the id {name}", hint="orchestrator key destroy list"
    )


def came_back(site: Site, found: Sequence[Destruction]) -> list[Destruction]:
    """Return those destructions that were done and whose key is in the keyring again."""
    usable = {
        entry.repository_id
        for entry in site.keyring.entries()
        if entry.purpose == "repository" and entry.destroyed_at is None
    }
    return [one for one in found if one.state == DESTROYED and one.repository_id in usable]


def kept(site: Site, digest: str | None) -> dict[str, Any]:
    """Return what was measured, by its hash.

    Raises:
        DamageError: It is missing, or was changed.
    """
    import hashlib

    try:
        raw = path_of(site, digest or "").read_bytes()
    except OSError:
        raw = b""
    if hashlib.sha256(raw).hexdigest() != digest:
        raise DamageError(
            "the evidence of the destruction of a key is missing or changed",
            hint="bring the evidence folder back from the state snapshot of a copy",
        )
    return dict(json.loads(raw))


def _entries(site: Site) -> Iterator[tuple[int, Entry]]:
    for stored in site.ledger.reader().entries():
        if _MARK in stored.data:  # most entries are about something else: parsing takes long
            yield stored.index, parsed(stored.index, stored.data)


def _take(found: dict[str, Destruction], index: int, entry: Entry) -> None:
    name = str(entry.body.get("destruction"))
    if entry.type == ASKED:
        found[name] = Destruction(
            id=name,
            repository=str(entry.body["repository"]),
            repository_id=str(entry.body["repository_id"]),
            store=str(entry.body["store"]),
            proposed_by=entry.actor,
            proposed_at=entry.at,
            reason=entry.note,
        )
    one = found.get(name)
    if one is None:
        return
    one.entries.append(index)
    if entry.type in (AGREED, TURNED_DOWN):
        one.state = APPROVED if entry.type == AGREED else REFUSED
        one.decided_by, one.decided_at = entry.actor, entry.at
    elif entry.type == ACT:
        one.state, one.begun_at = BEGUN, entry.at
        one.performed_by = entry.actor
        one.performers = tuple(sorted({*one.performers, entry.actor}))
        one.key_files = tuple(entry.body.get("key_files", ()))
        one.before = _hash(entry, "before")
    elif entry.type == f"{ACT}.done":
        one.state, one.measured_at = DESTROYED, entry.at
        one.after = _hash(entry, "after")
        one.verification = str(entry.body["verification"])
    elif entry.type == JUDGED:
        one.validation = str(entry.body["decision"])
        one.validated_by, one.validated_at = entry.actor, entry.at
        one.attested = tuple(entry.body.get("attested", ()))
        one.validation_reasons = (entry.note,) if entry.note else ()
        one.verification = str(entry.body["verification"])
        one.ways = _hash(entry, "ways")


def _hash(entry: Entry, name: str) -> str | None:
    value = entry.evidence.get(name)
    return None if value is None else value.removeprefix("sha256:")
