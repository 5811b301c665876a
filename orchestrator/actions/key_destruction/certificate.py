"""The certificate of a key's destruction: what stands in it follows from ledger and evidence."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from orchestrator.actions.certificates import certify as certificates
from orchestrator.actions.key_destruction import left
from orchestrator.actions.key_destruction.conditions import entry_of
from orchestrator.actions.key_destruction.items import ITEMS
from orchestrator.actions.key_destruction.measuring import destroyed_at
from orchestrator.actions.key_destruction.record import Destruction, kept
from orchestrator.actions.key_destruction.ways import OPENED, SHUT, Attempt
from orchestrator.actions.site import Site

if TYPE_CHECKING:
    from orchestrator.actions.key_destruction.left import Ciphertext
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.certificates.details import Precondition
    from orchestrator.certificates.parts import Part, Person, Residual, Verification
    from orchestrator.certificates.record import KeyDestruction

_KEYS_NAMED = 4


def act_of(site: Site, one: Destruction, row: RepositoryRow) -> KeyDestruction:
    """Return what the certificate of a validated destruction records.

    Args:
        site: The site.
        one: The destruction.
        row: The repository.

    Raises:
        DamageError: Evidence is missing or changed.
    """
    from orchestrator.certificates.parts import Validation
    from orchestrator.certificates.record import PASSWORD_DESTRUCTION, KeyDestruction

    before, now = kept(site, one.before), kept(site, one.ways)
    gone_at = destroyed_at(site, row.name)
    with site.catalog.reading() as session:
        rest = left.ciphertext(session, row)
        waiting = left.open_disposals(session, row.store)
    accepted = one.validation == "accepted"
    keys = ", ".join(key[:8] for key in entry_of(site, row.name).key_ids[:_KEYS_NAMED])
    return KeyDestruction(
        destruction=one.id,
        key=f"password of repository {row.name} ({row.id[:16]}), restic's key files {keys}",
        provider="this site's keyring",
        how="every wrap of it was taken out of the keyring, which was written anew",
        destroyed_at=gone_at,
        confirmed_at=one.validated_at if one.verification == "verified" else None,
        cohort=_cohort(site, row, before),
        algorithms=(
            "Data: AES-256 in counter mode with Poly1305-AES, by restic.",
            "restic's master key: wrapped under a key that scrypt derives from the password.",
            "Password: 32 random bytes, in the keyring wrapped with AES-256-GCM under a key file "
            "of 32 random bytes.",
        ),
        copies=tuple(_copy(each) for each in rest) or ("None is known.",),
        preconditions=tuple(_preconditions(one, before, now)),
        negative_tests=tuple(_sentences(now["attempts"], now["states"])),
        escrow=tuple(_escrow(site, one)),
        verification=_verification(one, before, now),
        validation=Validation(
            result="accepted" if accepted else "rejected", reasons=one.validation_reasons
        ),
        persons=tuple(_persons(site, one)),
        method=None,
        method_reasons=(
            "A method is one of media: the media of the copies keep the encrypted files as they "
            "are.",
        ),
        technique=PASSWORD_DESTRUCTION,
        residual=tuple(_residual(site, rest, now)),
        not_claimed=tuple(_not_claimed(one, now, waiting)),
        evidence=_evidence(one),
        ledger=tuple(one.entries),
    )


def _cohort(site: Site, row: RepositoryRow, before: dict[str, Any]) -> str:
    first, last = (_day(site, before[name]) for name in ("first_at", "last_at"))
    span = f" taken from {first} to {last}" if first and last else ""
    return (
        f"all that is in repository {row.name}, in snapshots{span}; snapshots: "
        f"{before['snapshots']}, different contents: {before['contents']:,}, studies: "
        f"{before['studies']:,}"
    )


def _copy(one: Ciphertext) -> str:
    label = f", medium {one.label}" if one.label else ""
    return f"{one.copy}{label}: {one.files:,} files, {one.size_bytes:,} bytes."


def _preconditions(
    one: Destruction, before: dict[str, Any], now: dict[str, Any]
) -> list[Precondition]:
    from orchestrator.certificates.details import Precondition

    asked = "asked in the transaction in which the key went"
    copies = ", ".join(before["copies"])
    stored = bool(now["stored"]) and not now["rewrapped"]
    unsaid = [item for item in ITEMS if item not in one.attested]
    return [
        Precondition(
            statement="No store of the site file writes to the repository.",
            answer="yes",
            shown_by=asked,
        ),
        Precondition(statement="No legal hold concerns it.", answer="yes", shown_by=asked),
        Precondition(
            statement="Everything in it is proven in another repository, or was disposed of.",
            answer="yes",
            shown_by="its manifests, content by content",
        ),
        Precondition(
            statement="The key opened the repository before it was destroyed.",
            answer="yes",
            shown_by=f"restic read a file from copy {copies}",
        ),
        Precondition(
            statement="No key file of a stranger was in the copies that were opened.",
            answer="yes",
            shown_by="restic's list of keys, compared with the keyring",
        ),
        Precondition(
            statement="No stored keyring holds a wrap that a key file of this site opens.",
            answer="no" if stored else "yes",
            shown_by="the inventories of the other repositories' copies",
        ),
        Precondition(
            statement="No copy of the password is where no program looks.",
            answer="unknown" if unsaid else "yes",
            shown_by=None if unsaid else "attested by the person who validated",
        ),
        Precondition(
            statement="Media and buckets of the copies never held anything in clear.",
            answer="unknown",
            shown_by=None,
        ),
    ]


def _sentences(*groups: list[dict[str, Any]]) -> list[str]:
    return [str(Attempt(**one)) for group in groups for one in group]


def _escrow(site: Site, one: Destruction) -> list[str]:
    day = _day(site, one.validated_at)
    known = site.config.actors.get(one.validated_by or "")
    who = known.name if known is not None else one.validated_by
    return [
        f"{what}: attested by {who} on {day}: none is left."
        if item in one.attested
        else f"{what}: OPEN. Nobody has said what became of them."
        for item, what in ITEMS.items()
    ]


def _verification(one: Destruction, before: dict[str, Any], now: dict[str, Any]) -> Verification:
    from orchestrator.certificates.parts import Verification

    tried = [each for each in now["attempts"] if each["where"].startswith("copy ")]
    shut = sum(each["result"] == SHUT for each in tried)
    findings = [
        f"Not tried, before or after: {each['where']} ({each['detail']})."
        for each in before["attempts"]
        if each["result"] != OPENED
    ]
    states = sum(place["states"] for place in now["stored"])
    if states:
        findings.append(
            f"Stored states of the site that hold the password's wrap: {states}; "
            + (
                "the key file that opens it is not this site's any more."
                if now["rewrapped"]
                else "this site's key file opens it."
            )
        )
    return Verification(
        basis="measured",
        result=cast('Literal["verified", "not_verified", "unverified"]', one.verification),
        how="what opened the repository before was tried again afterwards, and every key that is "
        "left",
        coverage=f"copies that opened before: {', '.join(before['copies'])}; attempts on them "
        f"afterwards: {len(tried)}, refused: {shut}",
        at=one.validated_at,
        findings=tuple(findings),
    )


def _residual(site: Site, rest: list[Ciphertext], now: dict[str, Any]) -> list[Residual]:
    from orchestrator.certificates.parts import Residual

    found = [
        Residual(
            where=f"{one.copy}, medium {one.label}" if one.label else one.copy,
            what="encrypted backup files of the repository",
            until=_local(site, one.until),
            then="they can be removed; until then they lie there as they are",
        )
        for one in rest
    ]
    for place in now["stored"]:
        if now["rewrapped"]:
            continue
        label = f", medium {place['medium']}" if place["medium"] else ""
        unknown = f"; unknown snapshots: {place['unknown']}" if place["unknown"] else ""
        found.append(
            Residual(
                where=f"{place['copy']}{label}",
                what=f"stored states in repository {place['repository']}, with keyrings that hold "
                f"the password's wrap: {place['states']}{unknown}",
                until=_local(site, place["until"]),
                then="they go with the rotation of that repository's snapshots",
            )
        )
    return found


def _not_claimed(one: Destruction, now: dict[str, Any], waiting: list[str]) -> list[str]:
    found = [
        "Cryptographic erase of a medium, or any other method: see the preconditions.",
        "That the former bytes of the keyring file were overwritten on this machine's disk.",
    ]
    if now["stored"] and not now["rewrapped"]:
        found.append(
            "That the stored keyrings named under residual copies open nothing: with this site's "
            "key file they do."
        )
    if now["stored"] and now["rewrapped"]:
        found.append(
            "That no copy of this site's former key file exists: with it the stored keyrings of "
            "before open."
        )
    found += [
        f"Anything about this, which is open: {what[0].lower()}{what[1:]}."
        for item, what in ITEMS.items()
        if item not in one.attested
    ]
    if waiting:
        found.append(
            f"That disposal {', '.join(waiting)} is complete: a copy that nobody can open is "
            "still there, and counts as such."
        )
    return found


def _evidence(one: Destruction) -> dict[str, str]:
    found = {"before": one.before, "after": one.after, "at_validation": one.ways}
    return {name: value for name, value in found.items() if value is not None}


def _persons(site: Site, one: Destruction) -> list[Person]:
    def named(actor: str | None, part: Part, at: datetime | None) -> list[Person]:
        if actor is None or at is None:
            return []
        on = at.astimezone(site.config.timezone).date()
        return [certificates.person(site, actor, part, on)]

    return [
        *named(one.proposed_by, "requested", one.proposed_at),
        *named(one.decided_by, "approved", one.decided_at),
        *named(one.performed_by, "performed", one.measured_at),
        # Who ran it answers for the attempts that this program made.
        *named(one.performed_by, "verified", one.measured_at),
        *named(one.validated_by, "validated", one.validated_at),
    ]


def _local(site: Site, at: datetime | str | None) -> date | None:
    if at is None:
        return None
    instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    return instant.astimezone(site.config.timezone).date()


def _day(site: Site, at: datetime | str | None) -> str:
    day = _local(site, at)
    return f"{day.day} {day:%b} {day.year}" if day is not None else ""
