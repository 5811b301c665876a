"""What persons and vendors did to a medium, and the organization's accept or reject.

What is recorded here was not observed by this product: it is labelled ``attested``. Validation is
a person's decision, of one who neither did nor recorded the work; reasons to reject are computed
where they can be and must be answered to be overruled.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

from orchestrator.actions import media
from orchestrator.actions.certificates.vendor_terms import demand_terms
from orchestrator.actions.holds import guard
from orchestrator.actions.ledger import note as ledger_note
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.person import are_one_person, demand_person
from orchestrator.actions.run import run
from orchestrator.actions.sanitization.certificate import certify
from orchestrator.actions.sanitization.evidence import is_intact, keep_file
from orchestrator.actions.sanitization.rows import body_of, settle
from orchestrator.actions.sanitization.sanitize import demand_free, show
from orchestrator.actions.site import Site
from orchestrator.catalog import sanitizations
from orchestrator.catalog.copy_tables import Medium
from orchestrator.catalog.sanitization_tables import Sanitization
from orchestrator.catalog.sanitizations import ACCEPTED, EXECUTED, PENDING, RECORDED, REJECTED
from orchestrator.errors import DamageError, RefusedError, UsageError
from orchestrator.sanitization.facts import KINDS, Facts, Kind
from orchestrator.sanitization.judgement import Evidence, judge, reject_conditions
from orchestrator.sanitization.techniques import VENDOR_ERASE, Method, Technique, technique


@dataclass(frozen=True, slots=True)
class Attested:
    """What a person says was done.

    Attributes:
        technique: By name; one that is not run here.
        kind: What sort of medium it was.
        performer: Who did it: a person's name; None for the actor or the vendor.
        company: The vendor that did it, by its table in the site file; None if none did.
        ended_at: When it was done.
        medium: Id or label of a medium of the register; None for another.
        serial: Serial number, as it stands on the medium.
        model: Model, likewise.
        manufacturer: Likewise.
        media_source: The user or the computer it comes from.
        property_number: The organization's own number.
        tool: Machine that was used, with its version or calibration.
        destination: Where the remains went.
        evidence: Files that support it, by a short name.
        required: The method the organization asks for; None for any.
    """

    technique: str
    kind: str
    ended_at: datetime
    performer: str | None = None
    company: str | None = None
    medium: str | None = None
    serial: str | None = None
    model: str | None = None
    manufacturer: str | None = None
    media_source: str | None = None
    property_number: str | None = None
    tool: str | None = None
    destination: str | None = None
    evidence: Mapping[str, Path] = field(default_factory=dict)
    required: str | None = None


def attest(site: Site, said: Attested) -> Sanitization:
    """Record what a person or vendor did to a medium.

    Raises:
        NotFoundError: There is no such medium or vendor.
        RefusedError: The medium is in service or holds something on hold, nobody is named, a text
            names somebody, or the vendor's agreement is missing or has expired.
        UsageError: The technique is one that is run here, or nothing identifies the medium.
    """
    demand_person(site)
    ledger_note.demand_nobody(site, filter(None, _texts(said)))
    how = _attestable(said)
    kind = _kind(said.kind)
    now = site.clock.now()
    if said.ended_at > now:
        raise UsageError("what is recorded cannot lie in the future")
    medium = _retired(site, said.medium)
    serial = said.serial or (medium.serial if medium is not None else None)
    label = said.property_number or (medium.label if medium is not None else None)
    if serial is None and label is None:
        raise UsageError("the medium needs a serial number or a number of the organization")
    performer = said.performer
    if said.company is not None:
        performer = demand_terms(site, said.company, serial).name
    with run(site, "sanitize-record"):
        settle(site)
        with guard.guarded(site) as session:
            demand_free(site, session, medium.id if medium is not None else None)
        facts = Facts("", kind, None, serial=serial, model=said.model)
        evidence = {name: keep_file(site, file) for name, file in said.evidence.items()}
        found = Evidence(evidence_files=bool(evidence))
        judged = judge(how, facts, found)
        row = Sanitization(
            id=f"{now:%Y%m%d}-{secrets.token_hex(4)}",
            state=RECORDED,
            basis="attested",
            technique=how.name,
            kind=said.kind,
            vendor=said.manufacturer,
            model=said.model,
            serial=serial,
            media_source=said.media_source,
            medium=medium.id if medium is not None else None,
            property_number=label,
            destination=said.destination,
            required=said.required,
            proposed_by=site.actor,
            proposed_at=now,
            performed_by=None if performer else site.actor,
            performer=performer,
            company=said.company,
            ended_at=said.ended_at,
            tool=said.tool,
            verification=judged.verification,
            method=judged.method,
            reasons=list(judged.reasons),
            flags=list(judged.flags),
            measured={
                "reject_conditions": reject_conditions(
                    how, facts, found, _method(said.required), judged.method
                )
            },
            evidence=evidence,
            validation=PENDING,
        )
        body = {**body_of(row), "method": row.method, "verification": row.verification}
        (made,) = record(site, [Event("sanitization.recorded", body, evidence=evidence)])
        row.entries = [made.index]
        with site.catalog.transaction() as session:
            sanitizations.add(session, row)
    return show(site, row.id)


def _texts(said: Attested) -> tuple[str | None, ...]:
    # Not the serial number: digits of one may happen to be those of a chart.
    return (
        said.property_number,
        said.destination,
        said.media_source,
        said.manufacturer,
        said.model,
        said.tool,
        said.performer,
    )


def _attestable(said: Attested) -> Technique:
    how = technique(said.technique)
    if how.measured:
        raise UsageError(
            f"{how.name} is run and measured here; it is not taken on anybody's word",
            hint=f"orchestrator --as ACTOR sanitize run DEVICE --technique {how.name}",
        )
    if said.company is not None and said.performer is not None:
        raise UsageError("say --vendor or --performed-by: one of the two")
    if how.name == VENDOR_ERASE and said.company is None:
        raise UsageError(f"{how.name} needs the vendor", hint="add --vendor NAME")
    return how


def _kind(name: str) -> Kind:
    found = next((kind for kind in KINDS if kind == name), None)
    if found is None:
        raise UsageError(f"there is no kind of medium {name!r}: {', '.join(KINDS)}")
    return found


def _retired(site: Site, name: str | None) -> Medium | None:
    if name is None:
        return None
    medium = media.find(site, name, retired=True)
    if medium.retired_at is None:
        raise RefusedError(
            f"medium {medium.label} is in service",
            hint=f"orchestrator medium retire {medium.label}",
        )
    return medium


def _method(name: str | None) -> Method | None:
    return cast("Method", name) if name in ("clear", "purge", "destroy") else None


def validate(site: Site, name: str, *, accept: bool, reasons: Sequence[str]) -> Sanitization:
    """Accept or reject an outcome for the organization; an accepted one is certified.

    A second call finishes a certificate that could not be made at the first.

    Args:
        site: The site; its actor decides.
        name: Id of the sanitization.
        accept: Accept it, or reject it.
        reasons: Why; at least one for a rejection, and where there are reasons to reject.

    Raises:
        NotFoundError: There is no such sanitization.
        RefusedError: It is not finished, was decided already, the same person did it, or it was
            not verified and must not be accepted.
        UsageError: A reason is missing.
        DamageError: Its evidence is not what was recorded.
    """
    demand_person(site)
    with run(site, "sanitize-validate"):
        settle(site)
        row = show(site, name)
        wanted = ACCEPTED if accept else REJECTED
        if row.validation == PENDING:
            _demand_valid(site, row, accept=accept, reasons=reasons)
            row = _decide(site, row, wanted, reasons)
        elif row.validation != wanted or row.validated_by != site.actor:
            raise RefusedError(
                f"sanitization {row.id} was {row.validation} already",
                hint=f"orchestrator sanitize show {row.id}",
            )
        if row.certificate is None:
            number = certify(site, row)
            row.certificate = number
            with site.catalog.transaction() as session:
                sanitizations.save(session, row)
    return show(site, row.id)


def _demand_valid(site: Site, row: Sanitization, *, accept: bool, reasons: Sequence[str]) -> None:
    if row.state not in (EXECUTED, RECORDED):
        raise RefusedError(
            f"sanitization {row.id} is {row.state}: there is no outcome to validate",
            hint=f"orchestrator sanitize show {row.id}",
        )
    worked = row.performed_by if row.basis == "measured" else row.proposed_by
    workers = {one for one in (row.performed_by, worked) if one is not None}
    if any(are_one_person(site, site.actor, one) for one in workers):
        raise RefusedError(
            f"sanitization {row.id}: {site.actor} did it or recorded it and may not validate it",
            hint=f"orchestrator --as ACTOR sanitize validate {row.id} --accept",
        )
    if accept and row.verification not in ("verified", "attested"):
        raise RefusedError(
            f"sanitization {row.id} is {row.verification}: {'; '.join(row.reasons)}",
            hint=f"reject it: orchestrator --as ACTOR sanitize validate {row.id} --reject "
            "--reason TEXT",
        )
    against = row.measured.get("reject_conditions") or []
    if not reasons and (against or not accept):
        why = f"; there are reasons to reject it: {'; '.join(against)}" if against else ""
        raise UsageError(f"this decision needs a reason{why}", hint="add --reason TEXT")
    damaged = [one for one, digest in row.evidence.items() if not is_intact(site, digest)]
    if damaged:
        raise DamageError(
            f"sanitization {row.id}: evidence is missing or changed: {', '.join(sorted(damaged))}",
            hint="bring the evidence folder back from the state snapshot of a copy",
        )


def _decide(site: Site, row: Sanitization, wanted: str, reasons: Sequence[str]) -> Sanitization:
    method = row.method if wanted == ACCEPTED else None
    body = {"sanitization": row.id, "decision": wanted, "method": method}
    note = "; ".join(reasons) or None
    (made,) = record(site, [Event("sanitization.validated", body, note=note)])
    row.validation, row.validated_by = wanted, site.actor
    row.validated_at, row.validation_reasons = site.clock.now(), list(reasons)
    row.method = method
    row.entries = [*row.entries, made.index]
    with site.catalog.transaction() as session:
        sanitizations.save(session, row)
    return row
