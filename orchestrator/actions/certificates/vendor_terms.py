"""What a vendor's agreement is worth on a day, how it is printed, and lists of serial numbers."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.certificates import files as places
from orchestrator.actions.site import Site
from orchestrator.catalog import certificates as rows
from orchestrator.errors import NotFoundError, RefusedError, UsageError

if TYPE_CHECKING:
    from orchestrator.catalog.certificate_tables import VendorCertificate
    from orchestrator.certificates.parts import Person, Vendor
    from orchestrator.config.issuing import Vendor as VendorConfig

PROPOSED, IMPORTED = "proposed", "imported"
"""States of a vendor's certificate."""

MOST_SERIALS = 10_000

_SERIAL = re.compile(r"[ -~]{1,100}")
_SKIPPED = re.compile(r"[\s-]+")


def vendor_config(site: Site, key: str) -> VendorConfig:
    """Return what the site file says of a vendor.

    Raises:
        NotFoundError: It does not know the vendor.
    """
    try:
        return site.config.vendors[key]
    except KeyError:
        raise NotFoundError(
            f"the site file has no vendor {key}", hint=f"add [vendors.{key}] to the site file"
        ) from None


def wanting(vendor: VendorConfig, today: date) -> list[str]:
    """Return what is wrong with a vendor's agreement on a day; empty if nothing is."""
    if vendor.agreement is None or vendor.expires is None:
        return ["there is no agreement on file"]
    found = []
    if not vendor.agreement.is_file():
        found.append("the agreement's file is not there")
    if vendor.expires < today:
        found.append(f"the agreement has expired on {vendor.expires}")
    return found


def demand_terms(site: Site, key: str, serial: str | None) -> VendorConfig:
    """Refuse the work of a vendor without a valid agreement, unless two people let it pass.

    Args:
        site: The site.
        key: The vendor's table in the site file.
        serial: Serial number of the medium; None if it has none.

    Raises:
        NotFoundError: The site file does not know the vendor.
        RefusedError: The agreement is wanting, and no certificate of the vendor that names this
            serial number was confirmed by a second person.
    """
    known = vendor_config(site, key)
    refusals = wanting(known, today(site))
    if refusals:
        there = certificate_for(site, key, serial)
        if there is None or there.confirmed_by is None:
            raise RefusedError(
                f"vendor {key}: {'; '.join(refusals)}",
                hint="renew the agreement, or bring the vendor's certificate: "
                f"orchestrator --as ACTOR certificate import FILE --vendor {key} --serials LIST "
                "--override",
            )
    return known


def certificate_for(site: Site, key: str, serial: str | None) -> VendorCertificate | None:
    """Return the newest imported certificate of a vendor that names a serial number."""
    if serial is None:
        return None
    with site.catalog.reading() as session:
        of_vendor = {
            one.id: one
            for one in rows.vendor_certificates(session)
            if one.vendor == key and one.state == IMPORTED
        }
        named = {
            one.certificate_id
            for one in rows.serials(session)
            if one.serial_key == serial_key(serial)
        }
    return next((one for name, one in reversed(of_vendor.items()) if name in named), None)


def printed(site: Site, key: str, serial: str | None, *, name: str) -> Vendor:
    """Return a vendor as our certificates name it, with its own certificate of the medium, if any.

    Args:
        site: The site.
        key: The vendor's table in the site file; it may be gone by now.
        serial: Serial number of the medium; None if it has none.
        name: The vendor's name as it was recorded.

    Raises:
        UsageError: The site file does not know who let the vendor pass.
    """
    from orchestrator.actions.certificates.certify import person
    from orchestrator.certificates.parts import Vendor

    known = site.config.vendors.get(key)
    there = certificate_for(site, key, serial)
    zone = site.config.timezone
    overridden: tuple[Person, ...] = ()
    if there is not None and there.confirmed_by is not None and there.confirmed_at is not None:
        overridden = (
            person(site, there.proposed_by, "requested", there.proposed_at.astimezone(zone).date()),
            person(
                site, there.confirmed_by, "approved", there.confirmed_at.astimezone(zone).date()
            ),
        )
    return Vendor(
        key=key,
        name=name,
        agreement_expires=known.expires if known is not None and _on_file(known) else None,
        certification=known.certification if known is not None else None,
        certification_expires=known.certification_expires if known is not None else None,
        certificate_sha256=there.sha256 if there is not None else None,
        overridden_by=overridden,
    )


def _on_file(vendor: VendorConfig) -> bool:
    return vendor.agreement is not None and vendor.agreement.is_file()


def today(site: Site) -> date:
    """Return the date in the site's zone."""
    return site.clock.now().astimezone(site.config.timezone).date()


def read_serials(path: Path) -> list[str]:
    """Return the serial numbers of a text file, one a line; empty lines and ``#`` are skipped.

    Raises:
        NotFoundError, EngineError: It cannot be read.
        UsageError: It holds none, too many, one twice, or something that is none.
    """
    raw = places.read(path, "the list of serial numbers")
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UsageError("the list of serial numbers is not text") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        serial = line.strip()
        if not serial or serial.startswith("#"):
            continue
        if _SERIAL.fullmatch(serial) is None:
            raise UsageError(f"the list of serial numbers: line {number} is no serial number")
        key = serial_key(serial)
        if not key or key in found:
            raise UsageError(f"the list of serial numbers: line {number} is there twice, or empty")
        found[key] = serial
    if not 1 <= len(found) <= MOST_SERIALS:
        raise UsageError(f"the list of serial numbers has {len(found)}: 1 to {MOST_SERIALS} can be")
    return list(found.values())


def serial_key(serial: str) -> str:
    """Return by what two spellings of one serial number are told to be the same."""
    return _SKIPPED.sub("", serial).upper()


def remarks_on(vendor: VendorConfig | None, today: date) -> list[str]:
    """Return what else is to be known of a vendor on a day; None is one that is not configured."""
    if vendor is None:
        return ["the site file does not know this vendor any more"]
    expires = vendor.certification_expires
    if expires is not None and expires < today:
        return [f"the vendor's certification has expired on {expires}"]
    return []
