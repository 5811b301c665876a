"""Whether catalog and ledger agree about certificates, sanitizations and disposals.

The ledger leads. An entry is durable before a row names it, so a row that names no such entry is
somebody's doing; an entry without a row is what a kill or a catalog that was put back leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.actions.ledger import mirror
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates, disposals, sanitizations
from orchestrator.catalog import ledger as rows
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.disposal_tables import Disposal
    from orchestrator.catalog.sanitization_tables import Sanitization
    from orchestrator.ledger.reader import Reader

_MOST_NAMED = 20


@dataclass(slots=True)
class Differences:
    """Where catalog and ledger differ.

    Attributes:
        unfounded: Rows that name an entry which the ledger does not have, or which says something
            else: something was changed.
        unknown: What stands in the ledger and the catalog does not know.
    """

    unfounded: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class _Claim(NamedTuple):
    what: str
    entry: int
    types: tuple[str, ...]
    key: str
    value: str


def compare(site: Site, reader: Reader) -> Differences:
    """Hold what the catalog says of the ledger against the ledger, and the other way round.

    Args:
        site: The site.
        reader: The ledger that is written.

    Raises:
        OrchestratorError: The catalog fails.
    """
    found = Differences()
    mirror.catch_up_gently(site)
    with site.catalog.reading() as session:
        claims = list(_claims(site, session, reader.checkpoint.origin))
        found.unknown += _unknown(session)
    for claim in claims:
        if not _stands(reader, claim):
            found.unfounded.append(
                f"the catalog says that entry {claim.entry} is about {claim.what}; it is not"
            )
    del found.unfounded[_MOST_NAMED:], found.unknown[_MOST_NAMED:]
    return found


def _claims(site: Site, session: Session, origin: str) -> Iterator[_Claim]:
    for row in certificates.listing(session):
        if row.ledger_origin != origin:
            continue
        for index, kind in (
            (row.recorded_index, "certificate.recorded"),
            (row.issued_index, "certificate.issued"),
            (row.ended_index, "certificate.revoked"),
        ):
            if index is not None:
                yield _Claim(f"certificate {row.number}", index, (kind,), "number", row.number)
    # Rows of these know no ledger by name: those from before the one that is written are passed by.
    current = rows.current(session)
    since = current.opened_at if current is not None and site.ledger.number > 1 else None
    for theirs in certificates.vendor_certificates(session):
        if theirs.ledger_index is not None and (since is None or theirs.proposed_at >= since):
            what = f"the vendor's certificate {theirs.id}"
            kinds = ("certificate.imported",)
            yield _Claim(what, theirs.ledger_index, kinds, "certificate", theirs.id)
    for kind, done in _acts(session):
        for index in done.entries if since is None or done.proposed_at >= since else ():
            yield _Claim(f"{kind} {done.id}", index, (), kind, done.id)


def _acts(session: Session) -> Iterator[tuple[str, Sanitization | Disposal]]:
    """Yield what remembers its entries, with the field by which they name it."""
    yield from (("sanitization", one) for one in sanitizations.listing(session))
    yield from (("disposal", one) for one in disposals.listing(session))


def _stands(reader: Reader, claim: _Claim) -> bool:
    if claim.entry >= reader.checkpoint.size:
        return False
    try:
        entry = mirror.parsed(claim.entry, reader.entry(claim.entry))
    except OrchestratorError:
        return False
    if claim.types and entry.type not in claim.types:
        return False
    return bool(entry.body.get(claim.key) == claim.value)


def _unknown(session: Session) -> Iterator[str]:
    known = {row.number for row in certificates.listing(session)}
    for number in recorded_numbers(session):
        if number not in known:
            yield f"certificate {number} stands in the ledger and not in the catalog"
    ids = {row.id for row in sanitizations.listing(session)}
    for kind in ("sanitization.proposed", "sanitization.recorded"):
        for name in _occasions(session, kind):
            if name not in ids:
                yield f"sanitization {name} stands in the ledger and not in the catalog"
    batches = {row.id for row in disposals.listing(session)}
    for name in dict.fromkeys(
        one.partition("|")[0] for one in _occasions(session, "disposal.proposed")
    ):
        if name not in batches:
            yield f"disposal {name} stands in the ledger and not in the catalog"


def recorded_numbers(session: Session) -> list[str]:
    """Return the numbers of certificates that stand in any ledger, as far as it is mirrored."""
    return _occasions(session, "certificate.recorded")


def _occasions(session: Session, kind: str) -> list[str]:
    found = rows.seen_starting_with(session, f"{kind}|")
    return sorted(one.partition("|")[2] for one in found)
