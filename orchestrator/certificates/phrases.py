"""How values of a record are written on a page: dates, sizes, closed words. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

Block = dict[str, Any]

UNKNOWN = "not stated"

METHODS = {"clear": "Clear", "purge": "Purge", "destroy": "Destroy", None: "none claimed"}
BASES = {
    "measured": "measured: observed by the issuing organization's own program",
    "attested": "attested: stated by the persons named, not observed",
}
RESULTS = {
    ("measured", "verified"): "verified",
    ("measured", "not_verified"): "NOT verified",
    ("measured", "unverified"): "not verified as a whole",
    ("attested", "verified"): "verified by the persons named; not observed here",
    ("attested", "not_verified"): "NOT verified",
    ("attested", "unverified"): "not observed here; it rests on what the persons named state",
}
REACHED = {
    "reached": "reached",
    "not_reached": "NOT reached",
    "not_present": "not present",
    "unknown": "unknown",
}
PARTS = {
    "requested": "Requested by",
    "approved": "Approved by",
    "performed": "Performed by",
    "recorded": "Recorded by",
    "verified": "Verified by",
    "validated": "Validated by",
    "witnessed": "Witnessed by",
    "concurred": "Concurrence",
}
STATES = {"absent": "proved absent", "residual": "still there", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Zone:
    """Writes instants as people of one zone read them, always with the offset."""

    zone: ZoneInfo

    def instant(self, text: str | None) -> str:
        """Return an instant of the record in words."""
        if text is None:
            return UNKNOWN
        at = dt.datetime.fromisoformat(text).astimezone(self.zone)
        offset = f"{at:%z}"
        return f"{day(at)}, {at:%H:%M:%S} (UTC{offset[:3].replace('-', '−')}:{offset[3:]})"


def day(at: dt.date) -> str:
    """Return a date that nobody can misread."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{at.day} {months[at.month - 1]} {at.year}"


def size(count: int) -> str:
    """Return a number of bytes, rounded and exact."""
    number, unit = float(count), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if number < 1000 or unit == "PB":
            break
        number /= 1000
    return f"{count:,} bytes" if unit == "bytes" else f"{number:.1f} {unit} ({count:,} bytes)"


def present(values: Iterable[str | None]) -> list[str]:
    """Return those values that say something."""
    return [value for value in values if value]


def given(label: str, value: str | None) -> list[list[str]]:
    """Return a row for a fact, or no row where there is none."""
    return [] if value is None else [[label, value]]


def maybe_date(text: str | None) -> str | None:
    """Return a date of the record in words; None for none."""
    return None if text is None else date_of(text)


def date_of(text: str) -> str:
    """Return a date of the record in words."""
    return day(dt.date.fromisoformat(text))


def maybe_hash(text: str | None) -> str | None:
    """Return a hash with its kind; None for none."""
    return None if text is None else f"SHA-256 {text}"


def hash_of(text: str) -> str:
    """Return a hash with its kind."""
    return f"SHA-256 {text}"
