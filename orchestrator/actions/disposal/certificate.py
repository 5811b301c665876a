"""The certificate of a disposal: what stands in it follows from the rows, nothing is typed.

The same rows give the same record, so that issuing can be taken up again after a kill.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from orchestrator import canonical
from orchestrator.actions.certificates import certify as certificates
from orchestrator.actions.disposal import rests_on
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.catalog import disposals, disposed, media, places
from orchestrator.catalog import ledger as ledger_rows
from orchestrator.catalog.disposal_tables import LIVE, Disposal, DisposalCopy, DisposalStudy
from orchestrator.catalog.disposals import ABSENT, GOING, WITHHELD
from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.certificates.details import CopyDisposal, Rule, Series
    from orchestrator.certificates.parts import Basis, Part, Person, Verification
    from orchestrator.certificates.record import RecordDisposal

_TECHNIQUES = {
    "live": "each file compared with its recorded hash, then removed",
    "local": "snapshots rewritten without the records, what only they used removed",
    "offline": "what the primary gave up removed at the medium's visit",
    "immutable": "versions removed after their lock had ended",
}
"""Where the proof does not say it itself."""

_ATTESTED = (
    "That we observed what is marked attested above: it rests on the word of the persons named."
)


def act_of(site: Site, name: str) -> RecordDisposal:
    """Return what the certificate of a disposal records.

    Raises:
        NotFoundError: There is no such disposal.
        RefusedError: It was not executed, or not every copy is proved absent.
        UsageError: The site file does not know who took part.
        EngineError: The disk refuses.
    """
    from orchestrator.certificates.record import RecordDisposal

    with site.catalog.reading() as session:
        row = disposals.get(session, name)
        gone = list(disposals.studies(session, name, states=GOING))
        withheld = list(disposals.studies(session, name, states=[WITHHELD]))
        copies = list(disposals.copies(session, name))
        labels = {one.id: one.label for one in media.of_copy(session, None, retired=True)}
        subjects = _subjects(site, session, row, gone)
        elsewhere = _elsewhere(session, gone)
        settled = rests_on.rows_of(session, row)
    _demand_ended(row, gone, copies)
    held = sum("on_hold" in (one.withheld or "") for one in withheld)
    return RecordDisposal(
        disposal=row.id,
        series=_series(gone, subjects),
        rules=tuple(_rules(gone)),
        holds_checked_at=cast("datetime", row.holds_checked_at or row.executed_at),
        holds_found=held,
        copies=tuple(_copies(copies, labels)),
        verification=_verification(
            copies, labels, rests_on.sentences(row), held=held, withheld=len(withheld)
        ),
        persons=tuple(_persons(site, row, copies)),
        not_claimed=(
            *((_ATTESTED,) if any(_basis(one) == "attested" for one in copies) else ()),
            *elsewhere,
        ),
        evidence=_evidence(site, row, copies) | rests_on.evidence(site, row, settled),
        ledger=tuple(row.entries),
    )


def _elsewhere(session: Session, gone: Sequence[DisposalStudy]) -> tuple[str, ...]:
    """Say what is not claimed of studies that other stores hold, too: each store goes by itself."""
    stores: dict[str, set[str]] = {}
    for one in gone:
        stores.setdefault(one.store, set()).add(one.study_key)
    studies = set().union(*stores.values())
    others = disposed.elsewhere(session, stores, studies)
    if not others:
        return ()
    return (
        f"That no other store has these studies: {len(others)} of these studies are in another "
        "store, or in its backups, and stay there until its own disposal.",
    )


def _demand_ended(
    row: Disposal, gone: Sequence[DisposalStudy], copies: Sequence[DisposalCopy]
) -> None:
    left = [one.copy_ or "live store" for one in copies if one.state != ABSENT]
    if row.executed_at is None or row.executed_by is None or not gone or not copies or left:
        where = f": still on {', '.join(left)}" if left else ""
        raise RefusedError(
            f"disposal {row.id} cannot be certified{where}",
            hint=f"orchestrator disposal statement {row.id} --to FILE",
        )


def _subjects(
    site: Site, session: Session, row: Disposal, gone: Sequence[DisposalStudy]
) -> tuple[str, ...]:
    """Return the commitments of the disposed studies, as the entry of the proposal has them."""
    from orchestrator.ledger.entry import commitment

    wanted = {one.study_key for one in gone}
    found: dict[str, str] = {}
    for entry in row.plan.get("proposed_in", ()):
        for one in ledger_rows.subjects_of(session, entry, site.catalog.keys):
            if one.kind == "study" and one.value in wanted:
                found.setdefault(one.value, commitment(one.kind, one.salt, one.value))
    return tuple(sorted(found.values()))


def _series(gone: Sequence[DisposalStudy], subjects: tuple[str, ...]) -> Series:
    from orchestrator.certificates.details import Series

    stores = sorted({one.store for one in gone})
    days = [day for one in gone for day in (one.dates_from, one.dates_to) if day is not None]
    if not days:
        raise RefusedError("no day of the disposed records is known")
    return Series(
        record_class=", ".join(sorted({one.record_class.replace("_", " ") for one in gone})),
        description=f"Imaging studies of store {', '.join(stores)}",
        dates_from=min(days),
        dates_to=max(days),
        studies=len(gone),
        files=sum(one.files for one in gone),
        size_bytes=sum(one.size_bytes for one in gone),
        subjects=subjects,
    )


def _rules(gone: Sequence[DisposalStudy]) -> Iterator[Rule]:
    from orchestrator.certificates.details import Rule

    latest: dict[tuple[str, str, str, str], date] = {}
    for one in gone:
        key = (one.schedule_id, one.schedule_version, one.rule, one.citation)
        latest[key] = max(latest.get(key, one.due), one.due)
    for (schedule, version, rule, citation), due in sorted(latest.items()):
        yield Rule(schedule=schedule, version=version, rule=rule, citation=citation, due=due)


def _copies(copies: Sequence[DisposalCopy], labels: dict[str, str]) -> Iterator[CopyDisposal]:
    from orchestrator.certificates.details import CopyDisposal

    several = len({one.store for one in copies}) > 1
    for one in copies:
        yield CopyDisposal(
            copy=_name(one, several=several),
            role=one.role,
            technique=str(one.evidence.get("technique") or _TECHNIQUES.get(one.role, "not stated")),
            basis=_basis(one),
            state=cast('Literal["absent", "residual", "unknown"]', one.state),
            proved_at=None if _is_closed(one) else one.proved_at,
            media=(
                (labels.get(one.medium, one.medium),)
                if one.medium and not places.is_place(one.medium)
                else ()
            ),
        )


def _name(one: DisposalCopy, *, several: bool) -> str:
    name = "live store" if one.copy_ == LIVE else one.copy_
    if places.is_place(one.medium):
        name += f", former place {one.medium}"
    return f"{name}, store {one.store}" if several else name


def _basis(one: DisposalCopy) -> Basis:
    return "attested" if one.evidence.get("basis") == "attested" else "measured"


def _is_closed(one: DisposalCopy) -> bool:
    """Say whether a place is free by what two people have said, and by nothing else."""
    return bool(one.evidence.get("place"))


def _verification(
    copies: Sequence[DisposalCopy],
    labels: dict[str, str],
    settled: Sequence[str],
    *,
    held: int,
    withheld: int,
) -> Verification:
    from orchestrator.certificates.parts import Verification

    attested = [one for one in copies if _basis(one) == "attested"]
    closed = [one for one in attested if _is_closed(one)]
    apart = ", former places apart," if closed else ""
    how = (
        f"every place that may hold the records{apart} was looked at after the work, by listing "
        "and by content, and none of them was found"
    )
    findings = []
    if attested:
        where = ", ".join(
            _name(one, several=False) if _is_closed(one) else labels.get(one.medium) or one.copy_
            for one in attested
        )
        grounds = ["an accepted sanitization"] if len(closed) < len(attested) else []
        grounds += ["what two people have stated of a former place"] if closed else []
        how += f"; where the table above says attested, it rests on {' or on '.join(grounds)}"
        findings.append(
            f"Measured on {len(copies) - len(attested)} of {len(copies)} places; attested for "
            f"{where}."
        )
    if withheld:
        findings.append(
            f"Left out of the proposed batch and kept: {withheld}, of these on hold: {held}."
        )
    return Verification(
        basis="measured",
        result="verified",
        how=how,
        coverage=(
            f"all {len(copies)} places: the live store, every copy and every medium"
            + (", and where copies were before" if closed else "")
        ),
        at=max(
            one.proved_at for one in copies if one.proved_at is not None and not _is_closed(one)
        ),
        findings=(*findings, *settled),
    )


def _persons(site: Site, row: Disposal, copies: Sequence[DisposalCopy]) -> Iterator[Person]:
    def named(actor: str | None, part: Part, at: datetime | None) -> Person:
        day = (at or row.proposed_at).astimezone(site.config.timezone).date()
        return certificates.person(site, actor or SYSTEM, part, day)

    yield named(row.proposed_by, "requested", row.proposed_at)
    if row.decided_by is not None:
        yield named(row.decided_by, "approved", row.decided_at)
    yield named(row.executed_by, "performed", row.executed_at)
    for one in copies:
        if one.evidence.get("sanitization"):
            yield named(one.evidence.get("by"), "validated", one.proved_at)
    for actor, part, at in sorted(set(_attesting(copies))):
        yield named(actor, part, at)
    looked = [one for one in copies if not one.evidence.get("sanitization") and not _is_closed(one)]
    last = max(looked, key=lambda one: cast("datetime", one.proved_at), default=None)
    if last is not None:
        yield named(last.evidence.get("by"), "verified", last.proved_at)


def _attesting(copies: Sequence[DisposalCopy]) -> Iterator[tuple[str, Part, datetime]]:
    """Yield who has stated what became of former places: the first of two, and the second."""
    for one in copies:
        if _is_closed(one) and one.proved_at is not None:
            yield str(one.evidence.get("asked_by")), "recorded", one.proved_at
            yield str(one.evidence.get("by")), "concurred", one.proved_at


def _evidence(site: Site, row: Disposal, copies: Sequence[DisposalCopy]) -> dict[str, str]:
    """Keep what the proofs saw beside the ledger, and return the hashes."""
    from orchestrator.actions.certificates.files import keep_evidence

    proofs = [
        {
            "store": one.store,
            "copy": one.copy_ or "live",
            "medium": one.medium or None,
            "proved_at": one.proved_at.isoformat() if one.proved_at is not None else None,
            "evidence": _plain(one.evidence),
        }
        for one in copies
    ]
    content = canonical.encode({"disposal": row.id, "proofs": proofs})
    return {"plan": row.plan_digest, "proofs": keep_evidence(site, content)}


def _plain(value: Any) -> Any:
    """Return JSON values without floats, which have no canonical form here."""
    if isinstance(value, float):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
