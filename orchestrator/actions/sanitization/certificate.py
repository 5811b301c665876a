"""The certificate of a sanitization: what stands in it follows from the row, nothing is typed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, cast

from orchestrator.actions.certificates import certify as certificates
from orchestrator.actions.certificates.vendor_terms import printed
from orchestrator.actions.site import Site
from orchestrator.catalog import sanitizations
from orchestrator.catalog.sanitization_tables import MediumHolding, Sanitization
from orchestrator.catalog.sanitizations import ACCEPTED
from orchestrator.sanitization.facts import FLASH, HIDES_AREAS, Kind
from orchestrator.sanitization.techniques import technique

if TYPE_CHECKING:
    from orchestrator.certificates.details import HiddenArea
    from orchestrator.certificates.parts import Basis, Part, Person
    from orchestrator.certificates.parts import Method as Certified
    from orchestrator.certificates.parts import Verification as Verified
    from orchestrator.certificates.record import MediaSanitization

_BY_TECHNIQUE = "follows from the technique"
# They purge what the host is shown, or what was encrypted: an overlay hides both from them.
_BLIND = ("ata-secure-erase-enhanced", "luks-erase")
_TYPES: dict[str, str] = {
    "hdd": "magnetic disk (ATA)",
    "ata_ssd": "solid-state drive (ATA)",
    "nvme": "solid-state drive (NVMe)",
    "scsi_hdd": "magnetic disk (SCSI)",
    "scsi_ssd": "solid-state drive (SCSI)",
    "usb_flash": "USB flash memory",
    "virtual": "virtual disk",
    "loop": "image file on a loop device",
    "file": "image file",
    "tape": "magnetic tape",
    "optical": "optical disc",
    "unknown": "medium of unknown kind",
}


def certify(site: Site, row: Sanitization) -> str:
    """Issue the certificate of a validated sanitization and return its number.

    Raises:
        As `certify.issue`.
    """
    return certificates.issue_sanitization(site, act_of(site, row)).number


def act_of(site: Site, row: Sanitization) -> MediaSanitization:
    """Return what the certificate of a validated sanitization records."""
    from orchestrator.certificates.details import Held, Medium
    from orchestrator.certificates.parts import Tool, Validation
    from orchestrator.certificates.record import MediaSanitization

    how = technique(row.technique)
    basis = cast("Basis", row.basis)
    with site.catalog.reading() as session:
        held = sanitizations.holdings(session, row.medium) if row.medium else []
    tools = (
        (Tool(name=row.tool, version=version_of(row.tool, row.tool_version)),) if row.tool else ()
    )
    accepted = row.validation == ACCEPTED
    return MediaSanitization(
        sanitization=row.id,
        medium=Medium(
            manufacturer=row.vendor,
            model=row.model,
            serial=row.serial,
            property_number=row.property_number
            or (None if row.serial else f"none; known by {row.identity or 'nothing'}"),
            media_type=_TYPES[row.kind],
            media_source=row.media_source,
            size_bytes=row.size_bytes,
            serial_source="two sources that agree"
            if row.serial and row.basis == "measured"
            else None,
            destination=row.destination,
        ),
        method=cast("Certified | None", row.method) if accepted else None,
        method_reasons=tuple(_reasons(row, accepted=accepted)),
        technique=f"{how.name}: {how.says}",
        basis=basis,
        tools=tools,
        started_at=row.started_at,
        ended_at=row.ended_at or row.proposed_at,
        verification=_verification(row),
        validation=Validation(
            result="accepted" if accepted else "rejected", reasons=tuple(row.validation_reasons)
        ),
        hidden_areas=tuple(hidden_areas(row)),
        held=Held(
            repositories=tuple(sorted({one.repository for one in held})),
            snapshots=tuple(one.snapshot for one in held),
            keys=tuple(sorted({key for one in held for key in one.keys})),
            elsewhere=_elsewhere(site, held),
        ),
        persons=tuple(_persons(site, row)),
        not_claimed=tuple(flag[0].upper() + flag[1:] + "." for flag in row.flags),
        evidence=dict(row.evidence),
        ledger=tuple(row.entries),
        vendor=printed(site, row.company, row.serial, name=row.performer or row.company)
        if row.company is not None
        else None,
    )


def version_of(tool: str, told: str | None) -> str:
    """Return a program's version as it told it, without its name and how it was built."""
    if told is None:
        return "(version not stated)"
    return told.removeprefix(tool).partition(" flags:")[0].strip(" ,") or told


def _elsewhere(site: Site, held: Sequence[MediumHolding]) -> tuple[str, ...]:
    """Return where what a medium held is kept, with the oldest proof of each place."""
    proven: dict[str, datetime] = {}
    for one in held:
        at = proven.get(one.elsewhere, one.elsewhere_verified_at)
        proven[one.elsewhere] = min(at, one.elsewhere_verified_at)
    return tuple(
        f"copy {copy}, every byte verified on {at.astimezone(site.config.timezone).date()}"
        for copy, at in sorted(proven.items())
    )


def _reasons(row: Sanitization, *, accepted: bool) -> list[str]:
    found = list(row.reasons)
    if not accepted:
        found.append("the organization rejected the outcome")
    if row.method is not None:
        found.insert(
            0,
            "every observation agrees"
            if row.basis == "measured"
            else "it rests on the word of the persons named and on the evidence listed below",
        )
    return found or ["nothing that was observed adds up to a method"]


def _verification(row: Sanitization) -> Verified:
    from orchestrator.certificates.parts import Verification

    if row.basis == "attested":
        return Verification(
            basis="attested",
            result="unverified",
            how="stated by the persons named; not observed by us",
            at=row.ended_at,
        )
    return Verification(
        basis="measured",
        result=cast('Literal["verified", "not_verified", "unverified"]', row.verification),
        how=_how(row),
        coverage=_coverage(row),
        at=row.ended_at,
        findings=tuple(row.measured.get("reject_conditions") or ()),
    )


def _how(row: Sanitization) -> str:
    found = row.measured
    parts = [f"transcript of the program: {found.get('tool') or 'none'}"]
    if found.get("status"):
        parts.append(f"status of the device afterwards: {found['status']}")
    seen = found.get("read_back")
    if seen:
        parts.append(
            f"{seen['markers']} markers written before, {seen['surviving']} found afterwards"
        )
    same = {True: "the same device", False: "another device", None: "not known"}
    parts.append(f"identity at the end: {same[found.get('identity_same')]}")
    return "; ".join(parts)


def _coverage(row: Sanitization) -> str | None:
    seen = row.measured.get("read_back")
    if not seen:
        return None
    if row.technique == "luks-erase":
        return "the area of the key slots, compared with what stood there before"
    if seen["full"]:
        return f"every one of {seen['read_bytes']:,} addressable bytes was read back"
    return (
        f"{seen['samples']:,} random samples; a residue of {seen['residue_per_mille']} per mille "
        f"is seen with a probability of at least {seen['detection_percent']} per cent"
    )


def hidden_areas(row: Sanitization) -> list[HiddenArea]:
    """Return what ordinary writing does not reach on this medium, and whether the technique did."""
    from orchestrator.certificates.details import HiddenArea

    reaches_all = row.method in ("purge", "destroy")
    found: list[HiddenArea] = []
    if cast("Kind", row.kind) in HIDES_AREAS:
        known = row.facts.get("hidden_areas")
        state = {False: "not_present", True: "not_reached", None: "unknown"}[known]
        if reaches_all and known is not False and row.technique not in _BLIND:
            state = "reached"
        how = None if known is None else "as the device said"
        if state == "reached":
            how = _BY_TECHNIQUE
        found.append(
            HiddenArea(area="HPA and DCO", reached=cast("Literal['unknown']", state), detail=how)
        )
    if cast("Kind", row.kind) in FLASH:
        found.append(
            HiddenArea(
                area="spare and replaced blocks",
                reached="reached" if reaches_all else "not_reached",
                detail=_BY_TECHNIQUE,
            )
        )
    return found


def _persons(site: Site, row: Sanitization) -> list[Person]:
    from orchestrator.certificates.parts import Person

    def day(at: datetime | None) -> datetime:
        return (at or row.proposed_at).astimezone(site.config.timezone)

    def named(actor: str, part: Part, at: datetime | None) -> Person:
        return certificates.person(site, actor, part, day(at).date())

    found = []
    if row.basis == "measured":
        found.append(named(row.proposed_by, "requested", row.proposed_at))
        if row.decided_by is not None:
            found.append(named(row.decided_by, "approved", row.decided_at))
    if row.performed_by is not None:
        found.append(named(row.performed_by, "performed", row.ended_at))
        if row.basis == "measured":
            # Who ran it answers for the reading back that this program did.
            found.append(named(row.performed_by, "verified", row.ended_at))
    elif row.performer is not None:
        title = "title not stated" if row.company is None else "vendor"
        found.append(
            Person(part="performed", name=row.performer, title=title, date=day(row.ended_at).date())
        )
    if row.basis == "attested":
        found.append(named(row.proposed_by, "recorded", row.proposed_at))
    if row.validated_by is not None:
        found.append(named(row.validated_by, "validated", row.validated_at))
    return found
