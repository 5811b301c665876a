"""Certificates that vendors give us: kept by hash, matched with the media register both ways.

A vendor that works with health records needs an agreement on file that has not expired. Without one
an import is refused, unless one person proposes it all the same and another one, of compliance,
confirms it; both are then named in the ledger and on what is printed.

Source: 45 CFR 164.308(b) and 164.310(d)(2)(iii): business associates, accountability for media.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from orchestrator.actions.certificates import files as places
from orchestrator.actions.certificates.book import SiteBook
from orchestrator.actions.certificates.steps import once
from orchestrator.actions.certificates.vendor_terms import (
    IMPORTED,
    PROPOSED,
    read_serials,
    remarks_on,
    serial_key,
    today,
    vendor_config,
    wanting,
)
from orchestrator.actions.ledger.record import Event
from orchestrator.actions.person import are_one_person
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.catalog import certificates as rows
from orchestrator.catalog import media, sanitizations
from orchestrator.catalog.certificate_tables import VendorCertificate, VendorSerial
from orchestrator.errors import RefusedError, UsageError

LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Imported:
    """A vendor's certificate and what matching found.

    Attributes:
        id: Its id here.
        vendor: Key of the vendor in the site file.
        state: ``imported``, or ``proposed`` while a second person has not confirmed it.
        sha256: Of its file, in hex.
        refusals: Why it took a second person; empty if it did not.
        proposed_by: Who brought it.
        confirmed_by: Who let it pass; None if nobody had to.
        matched: Serial numbers of media that we know, by the register or a recorded sanitization.
        never_ours: Serial numbers on it that nothing of ours has.
        not_certified: Labels of media handed to this vendor, and serial numbers recorded as
            sanitized by it, that no certificate of it names.
        remarks: What else is to be known, such as an expired certification.
    """

    id: str
    vendor: str
    state: str
    sha256: str
    refusals: list[str]
    proposed_by: str
    confirmed_by: str | None
    matched: list[str]
    never_ours: list[str]
    not_certified: list[str]
    remarks: list[str]


def import_certificate(
    site: Site, file: Path, *, vendor: str, serials: Path, override: bool = False
) -> Imported:
    """Take in a vendor's certificate, or propose it where the vendor's agreement is wanting.

    Args:
        site: The site; its actor brings the certificate.
        file: The certificate, of any form.
        vendor: Key in the site file.
        serials: Text file with one serial number a line, as they stand on the certificate.
        override: Propose it although the agreement is missing or has expired.

    Raises:
        NotFoundError: There is no such vendor or file.
        UsageError: The list of serial numbers is wrong.
        RefusedError: The agreement is wanting, the same file is there already, or nobody acts.
        OrchestratorError: Ledger or disk fail.
    """
    known = vendor_config(site, vendor)
    if site.actor == SYSTEM:
        raise RefusedError("a person brings a certificate", hint="use --as ACTOR")
    content = places.read(file, "the vendor's certificate")
    if not content or len(content) > LARGEST:
        raise UsageError("the vendor's certificate is empty or larger than 64 MiB")
    listed = read_serials(serials)
    refusals = wanting(known, today(site))
    if refusals and not override:
        raise RefusedError(
            f"vendor {vendor}: {'; '.join(refusals)}",
            hint="renew the agreement, or propose it with --override for a second person",
        )
    with places.issuing(site):
        sha256 = places.keep_evidence(site, content)
        places.keep_evidence(site, _serial_file(listed))
        with site.catalog.transaction() as session:
            there = rows.same_file(session, vendor, sha256)
            if there is not None and there.state == IMPORTED:
                raise RefusedError(
                    f"vendor {vendor}: this certificate is there already, as {there.id}",
                    hint="orchestrator certificate list",
                )
            if there is None:
                there = _new_row(site, vendor, content, sha256, refusals)
                rows.add_vendor(session, there, _new_serials(session, there.id, listed))
            elif [one.serial for one in rows.serials(session, there.id)] != listed:
                raise RefusedError(
                    f"vendor {vendor}: this certificate was proposed with other serial numbers",
                    hint="bring the list that was proposed with it",
                )
            there.refusals = refusals
        if not refusals:
            _finish(site, there)
    return _facts(site, there)


def confirm(site: Site, certificate_id: str) -> Imported:
    """Let a proposed certificate pass, as a second person.

    Raises:
        NotFoundError: There is no such certificate.
        RefusedError: It waits for nobody, or the actor proposed it or is not of compliance.
        OrchestratorError: Ledger or disk fail.
    """
    if site.actor == SYSTEM:
        raise RefusedError("a person confirms, not a program", hint="use --as ACTOR")
    site.demand_role("compliance")
    with places.issuing(site):
        with site.catalog.reading() as session:
            row = rows.vendor_certificate(session, certificate_id)
        if row.state != PROPOSED:
            raise RefusedError(f"the vendor's certificate {row.id} is {row.state} already")
        if are_one_person(site, row.proposed_by, site.actor):
            raise RefusedError(
                f"{site.actor} has proposed this: somebody else confirms it",
                hint="use --as with another person of compliance",
            )
        row.confirmed_by = site.actor
        row.confirmed_at = site.clock.now()
        _finish(site, row)
    return _facts(site, row)


def listing(site: Site) -> list[Imported]:
    """Return every vendor's certificate, oldest first."""
    with site.catalog.reading() as session:
        found = list(rows.vendor_certificates(session))
    return [_facts(site, row) for row in found]


def _serial_file(listed: list[str]) -> bytes:
    return "".join(f"{serial}\n" for serial in listed).encode()


def _new_row(
    site: Site, vendor: str, content: bytes, sha256: str, refusals: list[str]
) -> VendorCertificate:
    return VendorCertificate(
        id=f"v-{site.clock.now():%Y%m%d}-{secrets.token_hex(3)}",
        vendor=vendor,
        sha256=sha256,
        size_bytes=len(content),
        state=PROPOSED,
        proposed_at=site.clock.now(),
        proposed_by=site.actor,
        refusals=refusals,
        ledger_size=SiteBook(site).size(),
    )


def _new_serials(session: object, certificate_id: str, listed: list[str]) -> list[VendorSerial]:
    ours = {
        serial_key(one.serial): one.id
        for one in media.of_copy(session, retired=True)  # type: ignore[arg-type]
        if one.serial
    }
    return [
        VendorSerial(
            certificate_id=certificate_id,
            serial=serial,
            serial_key=serial_key(serial),
            medium=ours.get(serial_key(serial)),
        )
        for serial in listed
    ]


def _finish(site: Site, row: VendorCertificate) -> None:
    """Record the import; the ledger comes first, so that a kill leaves it to be done again."""
    from orchestrator.certificates.encoding import digest

    facts = _facts(site, row)
    with site.catalog.reading() as session:
        listed = [one.serial for one in rows.serials(session, row.id)]
    body = {
        "vendor": row.vendor,
        "certificate": row.id,
        "serials": len(listed),
        "matched": len(facts.matched),
        "never_ours": len(facts.never_ours),
        "not_certified": len(facts.not_certified),
        "proposed_by": row.proposed_by,
        **({} if row.confirmed_by is None else {"overridden_by": row.confirmed_by}),
    }
    evidence = {"certificate": row.sha256, "serials": digest(_serial_file(listed))}
    event = Event("certificate.imported", body, evidence=evidence)
    row.ledger_index = once(SiteBook(site), event, since=row.ledger_size)
    row.imported_at = site.clock.now()
    row.state = IMPORTED
    with site.catalog.transaction() as session:
        rows.save_vendor(session, row)


def _facts(site: Site, row: VendorCertificate) -> Imported:
    with site.catalog.reading() as session:
        listed = rows.serials(session, row.id)
        certified = {
            one.serial_key
            for other in rows.vendor_certificates(session)
            if other.vendor == row.vendor and (other.state == IMPORTED or other.id == row.id)
            for one in rows.serials(session, other.id)
        }
        recorded = {
            serial_key(one.serial): one
            for one in sanitizations.listing(session)
            if one.serial is not None
        }
        known = site.config.vendors.get(row.vendor)
        names = {name.casefold() for name in (row.vendor, known.name if known else row.vendor)}
        handed = [
            one
            for one in media.of_copy(session, retired=True)
            if any(
                (event.holder or "").casefold() in names for event in media.events(session, one.id)
            )
        ]
    return Imported(
        id=row.id,
        vendor=row.vendor,
        state=row.state,
        sha256=row.sha256,
        refusals=list(row.refusals),
        proposed_by=row.proposed_by,
        confirmed_by=row.confirmed_by,
        matched=[one.serial for one in listed if one.medium or one.serial_key in recorded],
        never_ours=[
            one.serial for one in listed if not one.medium and one.serial_key not in recorded
        ],
        not_certified=[
            one.label
            for one in handed
            if one.serial is None or serial_key(one.serial) not in certified
        ]
        + [
            one.serial or key
            for key, one in recorded.items()
            if one.company == row.vendor and one.medium is None and key not in certified
        ],
        remarks=remarks_on(known, today(site)),
    )
