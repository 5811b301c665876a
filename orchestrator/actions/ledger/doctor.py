"""The doctor's look at the ledger, its anchors, certificates, sanitizations and vendors.

The same findings, as far as they threaten that something looks good that is not, are what `status`
warns of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.finding import Finding
from orchestrator.actions.ledger import outside as ledger_outside
from orchestrator.actions.ledger.verifying import look_at_verification
from orchestrator.actions.site import Site
from orchestrator.catalog import anchors, certificates, facts, sanitizations
from orchestrator.catalog import ledger as rows
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.ledger.reader import Reader

ANCHOR_MAX_AGE = timedelta(days=3)
"""The shipped job anchors daily; two failures in a row may happen."""

COSIGNED_MAX_AGE = timedelta(days=35)
"""What goes to the witness is carried there by a person."""

AGREEMENT_NOTICE = timedelta(days=30)
"""How long before its last day an agreement with a vendor is spoken of."""

VERIFIED_AT_ONCE = 20_000
"""A ledger of so many entries is verified whole by `status`, in a fraction of a second."""

_VERIFY = "orchestrator ledger verify"
_ANCHOR = "orchestrator ledger anchor"
_SETTLE = "orchestrator certificate settle"
_MOST_NAMED = 5


def look_at_ledger(site: Site) -> Iterator[Finding]:
    """Verify the ledger from its bytes and against what is known of it.

    Raises:
        OrchestratorError: It is lost, or cannot be read.
    """
    from orchestrator.actions.ledger import check

    found = check.verify(site)
    for problem in found.problems[:_MOST_NAMED]:
        yield Finding("ledger", "fail", problem, _VERIFY)
    if found.size is not None and not found.problems:
        yield Finding("ledger", "ok", f"{found.size} entries, verified from their bytes")
    elif not found.problems:
        yield Finding("ledger", "unknown", "could not be verified", _VERIFY)
    for remark in found.remarks:
        if "not in the catalog" in remark:
            yield Finding("ledger", "warn", remark, "orchestrator ledger list")
    yield from _standing(site, site.ledger.reader())


def look_at_anchors(site: Site) -> Iterator[Finding]:
    """Check that somebody outside vouches for the ledger, and of late.

    Raises:
        OrchestratorError: The ledger is lost, or cannot be read.
    """
    from orchestrator.actions.ledger.anchored import WITNESS

    now = site.clock.now()
    size = site.ledger.reader().checkpoint.size
    with site.catalog.reading() as session:
        newest = {
            (one.kind, one.target): one for one in anchors.newest(session, site.ledger.number)
        }
    wanted = _wanted(site)
    if not wanted:
        yield Finding(
            "ledger anchors",
            "warn",
            "nothing outside vouches for the ledger: who has its key can rewrite it",
            "an immutable copy, or timestamp_url or witness in [ledger] of the site file",
        )
    for kind, target in wanted:
        what = f"{kind} {target}"
        row = newest.get((kind, target))
        limit = COSIGNED_MAX_AGE if kind == WITNESS else ANCHOR_MAX_AGE
        if row is None:
            yield Finding("ledger anchors", "warn", f"{what}: never anchored", _ANCHOR)
        elif not timedelta() <= now - row.at <= limit and row.size < size:
            detail = f"{what}: {row.size} of {size} entries, {row.at:%Y-%m-%d}"
            yield Finding("ledger anchors", "warn", detail, _ANCHOR)
        else:
            detail = f"{what}: {row.size} of {size} entries, {row.at:%Y-%m-%d %H:%M} UTC"
            yield Finding("ledger anchors", "ok", detail)


def look_at_certificates(site: Site) -> Iterator[Finding]:
    """Check that every certificate came to its end and that its files are what was recorded."""
    from orchestrator.actions.certificates import files as places

    with site.catalog.reading() as session:
        listed = list(certificates.listing(session))
        theirs = list(certificates.vendor_certificates(session))
    well = 0
    for row in listed:
        if row.state in certificates.UNFINISHED:
            detail = f"{row.number} is {row.state}, not issued: at work, or killed"
            yield Finding("certificates", "warn", detail, _SETTLE)
        elif row.state != certificates.VOIDED:
            try:
                what = f"the PDF of {row.number}"
                places.read_as(places.pdf_path(site, row.number), row.pdf_sha256 or "", what)
                what = f"the record of {row.number}"
                places.read_as(places.record_path(site, row.number), row.record_sha256, what)
                well += 1
            except OrchestratorError as error:
                yield Finding(
                    "certificates",
                    "fail",
                    error.message,
                    "bring it back from the state snapshot of a copy",
                )
    for one in theirs:
        if one.ledger_index is None:
            yield Finding(
                "certificates",
                "warn",
                f"the vendor's certificate {one.id} waits for a second person",
                f"orchestrator --as ACTOR certificate confirm {one.id}",
            )
    yield Finding("certificates", "ok", f"{well} with the files that were recorded")


def look_at_sanitizations(site: Site) -> Iterator[Finding]:
    """Check that sanitizations were ended, decided and certified, and their evidence is there."""
    from orchestrator.actions.sanitization.evidence import is_intact

    with site.catalog.reading() as session:
        listed = list(sanitizations.listing(session))
    for row in listed:
        show = f"orchestrator sanitize show {row.id}"
        lost = [name for name, digest in row.evidence.items() if not is_intact(site, digest)]
        if lost:
            detail = f"{row.id}: evidence is missing or changed: {', '.join(sorted(lost))}"
            yield Finding("sanitizations", "fail", detail, show)
        if row.state == sanitizations.EXECUTING:
            yield Finding("sanitizations", "warn", f"{row.id} has no end: at work, or killed", show)
        elif row.state in (sanitizations.EXECUTED, sanitizations.RECORDED):
            if row.validation == sanitizations.PENDING:
                yield Finding("sanitizations", "warn", f"{row.id} was not validated", show)
            elif row.certificate is None:
                yield Finding("sanitizations", "warn", f"{row.id} has no certificate", show)


def look_at_vendors(site: Site) -> Iterator[Finding]:
    """Check that every vendor's agreement is on file and stays valid for a while."""
    from orchestrator.actions.certificates.vendor_terms import remarks_on, wanting

    today = site.clock.now().astimezone(site.config.timezone).date()
    for vendor in site.config.vendors.values():
        name = f"vendor {vendor.key}"
        wrong = wanting(vendor, today)
        for one in [*wrong, *remarks_on(vendor, today)]:
            yield Finding(name, "warn", one, f"renew it: [vendors.{vendor.key}] in the site file")
        if wrong or vendor.expires is None:
            continue
        soon = vendor.expires - today <= AGREEMENT_NOTICE
        detail = f"the agreement {'ends soon, on' if soon else 'is valid until'} {vendor.expires}"
        yield Finding(name, "warn" if soon else "ok", detail, "renew it" if soon else None)


def warnings_of_ledger(site: Site) -> list[str]:
    """Say what of the ledger and certificates must be seen to, without asking anybody outside."""
    found: list[Finding] = []
    for name, look in (
        ("ledger", _quick_look),
        ("ledger verification", look_at_verification),
        ("ledger anchors", _late_anchors),
        ("certificates", look_at_certificates),
    ):
        found += _guarded(site, name, look)
    return [f"{one.name}: {one.detail}" for one in found if one.state != "ok"]


def _guarded(site: Site, name: str, look: Callable[[Site], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look(site))
    except OrchestratorError as error:
        return [Finding(name, "fail", error.message, error.hint)]


def _quick_look(site: Site) -> Iterator[Finding]:
    reader = site.ledger.reader()
    if reader.checkpoint.size <= VERIFIED_AT_ONCE:
        yield from look_at_ledger(site)
    else:
        yield from _standing(site, reader)


def _late_anchors(site: Site) -> Iterator[Finding]:
    """Yield what is late; that there is nothing outside is said by the doctor."""
    return iter(list(look_at_anchors(site)) if _wanted(site) else ())


def _standing(site: Site, reader: Reader) -> Iterator[Finding]:
    """Say whether the ledger may be continued, as far as is known here, and what is open in it."""
    from orchestrator.actions.ledger.record import is_alive

    try:
        ledger_outside.demand_uncontradicted(site, reader)
    except OrchestratorError as error:
        yield Finding("ledger", "fail", error.message, error.hint)
    with site.catalog.reading() as session:
        restored = facts.get(session, ledger_outside.RESTORED)
        intents = list(rows.open_intents(session))
    if restored is not None:
        detail = f"came back from a copy on {restored.at:%Y-%m-%d} and was not compared since"
        yield Finding("ledger", "fail", detail, _ANCHOR)
    for intent in intents:
        if not is_alive(site, intent.entry_id):
            detail = f"{intent.type} of {intent.at:%Y-%m-%d %H:%M} UTC was announced and has no end"
            yield Finding("ledger", "warn", detail, f"the next run settles it: {_ANCHOR}")


def _wanted(site: Site) -> list[tuple[str, str]]:
    """Return who is to vouch for the ledger: kind and target of each."""
    from orchestrator.actions.ledger.anchored import BUCKET, TIMESTAMP, WITNESS

    wanted = [(BUCKET, name) for name in ledger_outside.targets(site)]
    if site.config.ledger.timestamp_url is not None:
        wanted.append((TIMESTAMP, site.config.ledger.timestamp_url))
    if site.config.ledger.witness is not None:
        wanted.append((WITNESS, site.config.ledger.witness.partition("+")[0]))
    return wanted
