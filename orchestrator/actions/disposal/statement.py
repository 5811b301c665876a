"""The interim statement on a disposal under way: for whoever asks before the last copy is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.actions.disposal import listing, rests_on
from orchestrator.actions.disposal.ending import entries
from orchestrator.actions.disposal.places import ATTESTED, FREE
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.catalog import disposals
from orchestrator.catalog.disposals import COMPLETE, GOING, OPEN
from orchestrator.errors import EngineError, RefusedError

if TYPE_CHECKING:
    from orchestrator.actions.disposal.listing import Batch, Standing
    from orchestrator.catalog.disposal_tables import DisposalStudy
    from orchestrator.reports.disposal_statement import DisposalStatement, Gone, Remaining

_UNKNOWN = "not known"
_FORMS = {
    "live": "files in the store itself",
    "local": "in encrypted snapshots on a disk",
    "offline": "in encrypted snapshots on a medium",
    "immutable": "in encrypted snapshots under Object Lock",
    "unknown": "in encrypted snapshots",
}
_THEN = {
    "live": "removed when the disposal goes on",
    "local": "removed when the disposal goes on",
    "offline": "removed when the medium is connected, or the medium is sanitized",
    "immutable": "removed when the last lock has ended",
    "unknown": "looked at when the site file names it again",
    "former": "two people say what became of this place, where the copy was before",
}


def write(site: Site, name: str, target: Path) -> None:
    """Write the interim statement to a new file.

    Args:
        site: The site.
        name: The disposal.
        target: The new PDF; nothing may be there yet.

    Raises:
        NotFoundError: There is no such disposal.
        RefusedError: Nothing was removed yet, the disposal is complete, or the target exists.
        EngineError: It cannot be typeset or written.
        DamageError: The ledger cannot be read.
    """
    from orchestrator.reports.disposal_statement import render_pdf

    is_a4 = site.config.certificates.paper == "a4"
    content = render_pdf(contents(site, name), paper="a4" if is_a4 else "us-letter")
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    except FileExistsError:
        raise RefusedError(f"{target.name} exists already", hint="choose another name") from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"{target.name} cannot be written: {why}") from None


def contents(site: Site, name: str) -> DisposalStatement:
    """Return what the statement says.

    Raises:
        As `write`.
    """
    from orchestrator.certificates.wording import forbidden_in
    from orchestrator.reports.disposal_statement import DisposalStatement

    batch = listing.show(site, name)
    row = batch.row
    if row.state == COMPLETE:
        raise RefusedError(
            f"disposal {row.id} is complete: certificate {row.certificate} says so",
            hint=f"orchestrator certificate export {row.certificate} --to FILE",
        )
    if row.state not in OPEN:
        raise RefusedError(
            f"disposal {row.id} is {row.state}: nothing was removed, so there is nothing to state",
            hint=f"orchestrator disposal show {row.id}",
        )
    with site.catalog.reading() as session:
        studies = list(disposals.studies(session, row.id, states=GOING))
        proofs = {
            (one.store, one.copy_ or listing.LIVE_NAME, one.medium or None): one.evidence
            for one in disposals.copies(session, row.id)
        }
    found = DisposalStatement(
        practice=site.config.name,
        disposal=row.id,
        state=_state(site, batch),
        made_at=site.clock.now().astimezone(site.config.timezone),
        zone=site.config.timezone.key,
        facts=list(_facts(site, batch, studies)),
        rules=sorted(_rules(studies)),
        gone=[
            _gone(site, one, proofs.get((one.store, one.copy, one.medium or one.place), {}))
            for one in batch.copies
            if one.state in FREE
        ],
        remaining=[_remaining(site, one) for one in batch.copies if one.state not in FREE],
        left_out=sorted((why.replace("_", " "), count) for why, count in batch.withheld.items()),
        ledger=f"Ledger {site.ledger.origin}, entries "
        + ", ".join(str(index) for index, _ in entries(site, row)),
        product=f"imaging-orchestrator {__version__}",
    )
    wrong = forbidden_in([one.how for one in found.gone] + [one.what for one in found.remaining])
    if wrong:
        raise RefusedError(f"disposal {row.id}: the words {wrong[0]!r} must not be stated")
    return found


def _state(site: Site, batch: Batch) -> str:
    row = batch.row
    left = sum(one.state not in FREE for one in batch.copies)
    if row.paused is not None:
        return (
            f"The disposal is paused by legal hold {row.paused}: what remains is kept until the "
            "hold is released."
        )
    if not left:
        told = any(one.state == ATTESTED for one in batch.copies)
        how = "free of the records, as proved or attested below" if told else "proved free of them"
        return f"Every place is {how}; the certificate is not issued yet."
    words = "one place" if left == 1 else f"{left} places"
    when = _earliest(site, batch)
    return f"Copies remain in {words}, listed below. The disposal can be complete {when}."


def _earliest(site: Site, batch: Batch) -> str:
    """Say when a disposal can be complete; a medium may come back before it is due."""
    end = batch.earliest_completion
    if end is None:
        return "on a day that is not known"
    zone = site.config.timezone
    fixed = [
        one.residual_until.astimezone(zone).date() if one.residual_until else one.expected
        for one in batch.copies
        if one.state not in FREE and one.role != "offline"
    ]
    if all(day is not None and day < end for day in fixed):
        return f"on {_day(end)}, when the last medium is due back, or when it comes back earlier"
    return f"not before {_day(end)}"


def _day(value: date) -> str:
    """Return a day as it is printed."""
    return f"{value.day} {value:%B %Y}"


def _facts(site: Site, batch: Batch, studies: list[DisposalStudy]) -> Iterator[tuple[str, str]]:
    row = batch.row
    files = sum(one.files for one in studies)
    size = sum(one.size_bytes for one in studies)
    yield "Records", f"{len(studies):,} studies, {files:,} files, {size:,} bytes"
    yield "Stores", ", ".join(sorted({one.store for one in studies})) or _UNKNOWN
    yield "Record class", ", ".join(sorted({o.record_class.replace("_", " ") for o in studies}))
    days = [one for study in studies for one in (study.dates_from, study.dates_to) if one]
    if days:
        yield "Inclusive dates", f"{_day(min(days))} to {_day(max(days))}"
    yield "Requested by", _person(site, row.proposed_by, row.proposed_at)
    yield "Approved by", _person(site, row.decided_by, row.decided_at)
    yield "Performed by", _person(site, row.executed_by, row.executed_at)
    if row.holds_checked_at is not None:
        yield "Holds checked", _instant(site, row.holds_checked_at)
    if row.notice:
        yield "Notice given", row.notice
    settled = rests_on.known(row)
    if settled:
        yield "Doubts settled by two persons", rests_on.in_words(settled)


def _person(site: Site, actor: str | None, at: datetime | None) -> str:
    if actor is None or at is None:
        return _UNKNOWN
    known = site.config.actors.get(actor)
    name = f"{known.name}, {known.title}" if known is not None else actor
    if actor == SYSTEM:
        name = "the unattended program"
    return f"{name}, {_day(at.astimezone(site.config.timezone).date())}"


def _instant(site: Site, at: datetime) -> str:
    local = at.astimezone(site.config.timezone)
    return f"{_day(local.date())}, {local:%H:%M}"


def _rules(studies: list[DisposalStudy]) -> list[tuple[str, str, str, str]]:
    latest: dict[tuple[str, str, str], date] = {}
    for one in studies:
        key = (f"{one.schedule_id}, version {one.schedule_version}", one.rule, one.citation)
        latest[key] = max(latest.get(key, one.due), one.due)
    return [(*key, _day(due)) for key, due in latest.items()]


def _place(one: Standing) -> str:
    name = "the store itself" if one.role == "live" else f"copy {one.copy}"
    medium = f", medium {one.label or one.medium}" if one.medium else ""
    former = f", former place {one.place}" if one.place else ""
    return f"{name}{medium}{former} ({one.store})"


def _gone(site: Site, one: Standing, evidence: dict[str, object]) -> Gone:
    from orchestrator.reports.disposal_statement import Gone

    return Gone(
        place=_place(one),
        how=str(evidence.get("technique") or one.detail or "looked at and not found"),
        basis="attested" if evidence.get("basis") == "attested" else "measured",
        proved=_instant(site, one.proved_at)
        if one.proved_at is not None
        else "not proved"
        if one.state == ATTESTED
        else _UNKNOWN,
    )


def _remaining(site: Site, one: Standing) -> Remaining:
    from orchestrator.reports.disposal_statement import Remaining

    until = _until(site, one)
    what = _FORMS.get(one.role, _FORMS["unknown"])
    if one.state == "unknown":
        what = f"not known; at worst {what}"
    return Remaining(
        place=_place(one),
        what=f"{what}; {one.detail}" if one.detail else what,
        until=until,
        then=_THEN["former" if one.place else one.role if one.role in _THEN else "unknown"],
    )


def _until(site: Site, one: Standing) -> str:
    """Say until when something remains; the day of a medium is that of its return."""
    at, day = one.residual_until, one.expected
    if one.medium:
        due = at.astimezone(site.config.timezone).date() if at is not None else day
        return _UNKNOWN if due is None else f"due back {_day(due)}; it may come earlier"
    if at is not None:
        return f"not before {_instant(site, at)}"
    return _UNKNOWN if day is None else f"not before {_day(day)}"
