"""What a vendor's agreement is worth on a day, and how lists of serial numbers are read."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import certificate_files as places
from orchestrator.actions.site import Site
from orchestrator.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from orchestrator.config.issuing import Vendor as VendorConfig

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
