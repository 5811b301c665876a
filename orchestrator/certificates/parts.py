"""What every certificate's record has in common: people, verification, what is left, heading.

Values only. They hold nothing about a patient.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

Kind = Literal["record_disposal", "media_sanitization", "key_destruction"]
Basis = Literal["measured", "attested"]
"""What we observed ourselves, or what a person or vendor told us."""

Method = Literal["clear", "purge", "destroy"]
Part = Literal[
    "requested",
    "approved",
    "performed",
    "recorded",
    "verified",
    "validated",
    "witnessed",
    "concurred",
]
Answer = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who took part, with a line of their own for a handwritten signature.

    Attributes:
        part: What the person did.
        name: In any script.
        title: Position.
        date: The day on which it was done.
        place: Where; None if not stated.
        contact: Telephone or mail; None if not stated.
        organization: None for the issuing organization's own people.
        actor: Key of the person in the site file; None for people from outside.
    """

    part: Part
    name: str
    title: str
    date: dt.date
    place: str | None = None
    contact: str | None = None
    organization: str | None = None
    actor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Did the technique complete?

    Attributes:
        basis: Measured by us, or attested by others.
        result: ``unverified`` where the facts do not suffice for a yes or a no.
        how: What was done, in words: status of the device, read-back, listing.
        coverage: How much of it was looked at, with the probability of missing a residue.
        at: When; None if unknown.
        findings: Further facts, one sentence each.
    """

    basis: Basis
    result: Literal["verified", "not_verified", "unverified"]
    how: str
    coverage: str | None = None
    at: dt.datetime | None = None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Does the organization accept the outcome? Decided by a person, never by a program.

    Attributes:
        result: The decision.
        reasons: Why, one sentence each; at least one for a rejection.
    """

    result: Literal["accepted", "rejected"]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """A copy that is still there.

    Attributes:
        where: Copy, medium or place.
        what: In which form it is left.
        until: The day from which it can go; None if not known.
        then: What will happen to it.
    """

    where: str
    what: str
    until: dt.date | None
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program or machine that did the work."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """A company that did the work, as a business associate.

    Attributes:
        key: Name of its table in the site file.
        name: The company's name.
        agreement_expires: Last day of the agreement on file; None if there is none.
        certification: Its certification's id, as it states it.
        certification_expires: Last day of that.
        certificate_sha256: The vendor's own certificate, kept as evidence.
        overridden_by: Who let it pass although the agreement is missing or has expired: proposer
            and confirmer. Printed.
    """

    key: str
    name: str
    agreement_expires: dt.date | None = None
    certification: str | None = None
    certification_expires: dt.date | None = None
    certificate_sha256: str | None = None
    overridden_by: tuple[Person, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """The organization that issues a certificate.

    Attributes:
        name: The practice's name.
        address: Lines of its address.
        contact: Telephone or mail; None if not stated.
    """

    name: str
    address: tuple[str, ...] = ()
    contact: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What stands on a certificate whatever it is about.

    Attributes:
        number: Such as ``2026-0001``.
        issued_at: Aware.
        timezone: Name of the zone in which the PDF shows times.
        issuer: Who issues it.
        issued_by: Key of the actor.
        log: Origin of the ledger.
        product: Name and version of this program.
    """

    number: str
    issued_at: dt.datetime
    timezone: str
    issuer: Issuer
    issued_by: str
    log: str
    product: Tool
