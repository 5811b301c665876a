"""What must hold between the fields of a record, beyond its form. Pure.

These are the last net before a certificate exists: an act that says more than its evidence does is
refused, whoever made the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.certificates import schema, wording
from orchestrator.certificates.parts import Person
from orchestrator.certificates.record import (
    CRYPTOGRAPHIC_ERASE,
    Act,
    KeyDestruction,
    MediaSanitization,
    RecordDisposal,
)
from orchestrator.errors import RefusedError


def demand(act: Act, record: dict[str, Any]) -> None:
    """Refuse an act that must not be certified as it is.

    Args:
        act: The act.
        record: Its record, as `record.document` makes it.

    Raises:
        RefusedError: With every reason.
    """
    faults = [
        *schema.faults(record),
        *(f"the words {phrase!r} are not allowed" for phrase in wording.forbidden_in(record)),
        *_faults(act),
    ]
    if faults:
        raise RefusedError(
            f"no certificate can be issued: {'; '.join(faults[:8])}",
            hint="correct what the record is made from",
        )


def _faults(act: Act) -> Iterator[str]:
    yield from _people(act)
    match act:
        case MediaSanitization():
            yield from _sanitization(act)
        case RecordDisposal():
            yield from _disposal(act)
        case KeyDestruction():
            yield from _destruction(act)


def _people(act: Act) -> Iterator[str]:
    if act.validation is not None:
        judges = [one for one in act.persons if one.part == "validated"]
        if not judges:
            yield "nobody is named who validated the outcome"
        if any(_same(one, other) for one in judges for other in act.persons if _worked(other)):
            yield "who did or recorded the work must not validate it"
        if act.validation.result == "rejected" and not act.validation.reasons:
            yield "a rejection needs a reason"


def _worked(person: Person) -> bool:
    return person.part in ("performed", "recorded")


def _same(one: Person, other: Person) -> bool:
    if one.actor is not None and other.actor is not None:
        return one.actor == other.actor
    return (one.name, one.organization) == (other.name, other.organization)


def _method(act: MediaSanitization | KeyDestruction) -> Iterator[str]:
    if not act.method_reasons:
        yield "the method needs its reasons, or the reasons why there is none"
    if act.method is None:
        return
    if act.validation.result != "accepted":
        yield "a rejected outcome has no method"
    settled = act.verification.result == "verified"
    told = act.verification.basis == "attested" and act.verification.result == "unverified"
    if not settled and not told:
        yield "a method needs a verified outcome"


def _sanitization(act: MediaSanitization) -> Iterator[str]:
    yield from _method(act)
    if act.basis == "attested" and act.verification.basis == "measured" and act.vendor is not None:
        yield "what a vendor attests was not measured here"
    if not any(one.part == "performed" for one in act.persons) and act.vendor is None:
        yield "nobody is named who performed the work"
    if act.medium.serial is None and act.medium.property_number is None and not act.serials:
        yield "the medium has neither a serial number nor a property number"
    if act.started_at is not None and act.started_at > act.ended_at:
        yield "the work ended before it began"


def _disposal(act: RecordDisposal) -> Iterator[str]:
    if act.series.dates_from > act.series.dates_to:
        yield "the first day of the records is after the last"
    for copy in act.copies:
        if copy.state == "absent" and copy.proved_at is None and copy.basis == "measured":
            yield f"copy {copy.copy}: absence was not proved"
    left = {copy.copy for copy in act.copies if copy.state != "absent"}
    unnamed = left - {one.where for one in act.residual}
    for name in sorted(unnamed):
        yield f"copy {name}: what is left there is not named"
    if left and act.verification.result == "verified":
        yield "not every copy is proved absent, so the disposal is not verified as a whole"
    if not any(one.part == "approved" for one in act.persons):
        yield "nobody is named who approved the disposal"


def _destruction(act: KeyDestruction) -> Iterator[str]:
    yield from _method(act)
    if act.method is not None:
        if act.technique != CRYPTOGRAPHIC_ERASE:
            yield "only a cryptographic erase reaches a method"
        if act.confirmed_at is None:
            yield "the key's destruction is not confirmed, so no method is reached"
        if any(one.answer != "yes" for one in act.preconditions):
            yield "not every precondition is established, so no method is reached"
    if act.confirmed_at is not None and act.confirmed_at < act.destroyed_at:
        yield "the destruction was confirmed before it was done"
