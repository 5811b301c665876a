"""The JSON record of a certificate: the authority that the PDF only renders.

Three kinds of act are certified: the disposal of records, the sanitization of one medium, the
destruction of a key. A record says what was done, how it was verified and by whom it was accepted,
and as plainly what is left over and what is not claimed. It must not know the catalog, the ledger
or the site, and it must hold nothing about a patient: subjects are commitments or pseudonyms.

Source: NIST SP 800-88 Rev. 2 asks for method and technique apart, and for verification and
validation apart, with name, title, date, place and contact of each person; AHIMA's sample
certificate of destruction asks for the normal-course statement and the inclusive dates.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, ClassVar

from orchestrator.certificates.details import (
    CopyDisposal,
    Held,
    HiddenArea,
    Medium,
    Precondition,
    Rule,
    Series,
)
from orchestrator.certificates.parts import (
    Basis,
    Heading,
    Kind,
    Method,
    Person,
    Residual,
    Tool,
    Validation,
    Vendor,
    Verification,
)

NORMAL_COURSE = (
    "The records described here were disposed of in the normal course of business, under the "
    "retention schedule and the disposal procedures named here."
)
"""Source: AHIMA, sample certificate of destruction, in our own words."""

CRYPTOGRAPHIC_ERASE = "cryptographic erase"
PASSWORD_DESTRUCTION = "destruction of a repository's password"  # noqa: S105 - words


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSanitization:
    """One medium was sanitized.

    Attributes:
        sanitization: Id of the sanitization; one certificate each.
        medium: Which.
        method: Computed from technique, medium and evidence; None if none is reached.
        method_reasons: Why this method, or why none; at least one sentence.
        technique: How, such as ``overwrite, one pass of zeros``.
        basis: Did we do it and measure, or do others attest it?
        tools: Programs or machines, each with its version.
        started_at: Beginning of the work; None if only attested for a day.
        ended_at: End of the work.
        verification: Did it complete?
        validation: Does the organization accept it?
        hidden_areas: What ordinary writing does not reach.
        held: What was on it.
        persons: Everybody who took part; one who validated must not have performed.
        residual: Other copies of what was on it, if that matters.
        not_claimed: Beyond what is printed on every certificate of this kind.
        evidence: SHA-256 in hex by name.
        ledger: Indices of entries of proposal, approvals, execution.
        vendor: Who did it, if not the organization.
        serials: All serial numbers of a vendor's batch, if the certificate covers one.
    """

    kind: ClassVar[Kind] = "media_sanitization"
    sanitization: str
    medium: Medium
    method: Method | None
    method_reasons: tuple[str, ...]
    technique: str
    basis: Basis
    tools: tuple[Tool, ...]
    ended_at: dt.datetime
    verification: Verification
    validation: Validation
    persons: tuple[Person, ...]
    started_at: dt.datetime | None = None
    hidden_areas: tuple[HiddenArea, ...] = ()
    held: Held = field(default_factory=Held)
    residual: tuple[Residual, ...] = ()
    not_claimed: tuple[str, ...] = ()
    evidence: dict[str, str] = field(default_factory=dict)
    ledger: tuple[int, ...] = ()
    vendor: Vendor | None = None
    serials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDisposal:
    """Records were disposed of, on every copy or with what is left named.

    Attributes:
        disposal: Id of the disposal; one certificate each.
        series: What.
        rules: Rules that applied; the latest due date has won.
        holds_checked_at: When holds were looked up last, before anything was removed.
        holds_found: How many applied; a certificate says 0 or what was left out.
        copies: What was done where.
        verification: Was absence proved?
        persons: Everybody who took part.
        validation: A person's acceptance; None where the organization asks for none.
        residual: Copies that are still there.
        not_claimed: Beyond what is printed on every certificate of this kind.
        evidence: SHA-256 in hex by name.
        ledger: Indices of the entries of proposal, approvals, execution.
        normal_course: False if it was not in the normal course of business.
    """

    kind: ClassVar[Kind] = "record_disposal"
    disposal: str
    series: Series
    rules: tuple[Rule, ...]
    holds_checked_at: dt.datetime
    holds_found: int
    copies: tuple[CopyDisposal, ...]
    verification: Verification
    persons: tuple[Person, ...]
    validation: Validation | None = None
    residual: tuple[Residual, ...] = ()
    not_claimed: tuple[str, ...] = ()
    evidence: dict[str, str] = field(default_factory=dict)
    ledger: tuple[int, ...] = ()
    normal_course: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDestruction:
    """A key was destroyed, so that what it encrypts cannot be opened by it any more.

    Attributes:
        destruction: Id; one certificate each.
        key: Id of the key.
        provider: Where it was kept.
        module: The cryptographic module with its certificate, as the operator states it.
        how: How it was destroyed.
        reference: The provider's reference.
        destroyed_at: When.
        confirmed_at: When the provider's state was confirmed; None if it was not.
        algorithms: What encrypted what, with strengths.
        cohort: Which records depended on the key.
        copies: Every copy that depends on it: where the ciphertext lies.
        preconditions: Each with its answer.
        negative_tests: Attempts to open copies afterwards, one sentence each.
        escrow: What became of escrowed shares and backups of the key, one sentence each.
        method: Only where every precondition is a yes and a person validated; else None.
        technique: `CRYPTOGRAPHIC_ERASE`, or `PASSWORD_DESTRUCTION`, which reaches no method.
    """

    kind: ClassVar[Kind] = "key_destruction"
    destruction: str
    key: str
    provider: str
    how: str
    destroyed_at: dt.datetime
    cohort: str
    algorithms: tuple[str, ...]
    copies: tuple[str, ...]
    preconditions: tuple[Precondition, ...]
    negative_tests: tuple[str, ...]
    escrow: tuple[str, ...]
    verification: Verification
    validation: Validation
    persons: tuple[Person, ...]
    method: Method | None = None
    method_reasons: tuple[str, ...] = ()
    module: str | None = None
    reference: str | None = None
    confirmed_at: dt.datetime | None = None
    technique: str = CRYPTOGRAPHIC_ERASE
    residual: tuple[Residual, ...] = ()
    not_claimed: tuple[str, ...] = ()
    evidence: dict[str, str] = field(default_factory=dict)
    ledger: tuple[int, ...] = ()


Act = RecordDisposal | MediaSanitization | KeyDestruction
"""What can be certified."""


def subject_of(act: Act) -> str:
    """Return what a certificate is about; there is one valid certificate for each."""
    match act:
        case RecordDisposal():
            return f"disposal/{act.disposal}"
        case MediaSanitization():
            return f"sanitization/{act.sanitization}"
        case KeyDestruction():
            return f"key/{act.destruction}"


def document(heading: Heading, act: Act) -> dict[str, Any]:
    """Return the record as JSON values; not yet checked."""
    from orchestrator.certificates.encoding import plain
    from orchestrator.certificates.wording import disclaimers

    body = plain(act)
    body["not_claimed"] = [*disclaimers(act.kind, act.verification.basis), *act.not_claimed]
    if isinstance(act, RecordDisposal):
        body["normal_course"] = NORMAL_COURSE if act.normal_course else None
    return {"certificate": 1, "kind": act.kind, **plain(heading), "act": body}
