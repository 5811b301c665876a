"""What drills there were: the trend, one drill in full, and management's signature under it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.drills.report import report_dir, write_report
from orchestrator.actions.drills.status import CopyDrills, of_copies
from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.missed import Missed, shown
from orchestrator.actions.run import run
from orchestrator.actions.site import SYSTEM, Site
from orchestrator.catalog import drills
from orchestrator.config.jobs import load_jobs
from orchestrator.drills.result import DrillResult, SignOff
from orchestrator.errors import (
    ConfigError,
    EngineError,
    NotFoundError,
    OrchestratorError,
    RefusedError,
    UsageError,
)

if TYPE_CHECKING:
    from orchestrator.catalog.drill_tables import Drill

NOTE_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class DrillFacts:
    """One drill as it was recorded.

    Attributes:
        result: The drill; its verdict is `could_not_run` as long as it has no end.
        has_ended: Whether it has one.
        html: Its report; None if there is none.
        pdf: The same for paper.
        signs: The signatures under it, oldest first.
    """

    result: DrillResult
    has_ended: bool
    html: Path | None
    pdf: Path | None
    signs: list[SignOff]


@dataclass(frozen=True, slots=True)
class Trend:
    """The drills of a site.

    Attributes:
        drills: Newest first.
        coverage: What is proven on each copy, by store.
        missed: Drills that were due and did not happen, newest first.
    """

    drills: list[Drill]
    coverage: dict[str, list[CopyDrills]]
    missed: list[Missed]


def trend(site: Site, stores: list[str], *, limit: int) -> Trend:
    """Return the newest drills of stores.

    Args:
        site: The site.
        stores: Store names.
        limit: At most so many drills of each store, 1 or more.
    """
    found: list[Drill] = []
    with site.catalog.reading() as session:
        for store in stores:
            found += drills.recent(session, store, limit=limit)
        coverage = {store: of_copies(site, session, store) for store in stores}
    try:
        jobs = load_jobs(site.config).active
    except ConfigError:
        jobs = {}  # what was missed is on record all the same
    late = [one for one in shown(site, jobs) if one.action == "drill"]
    found.sort(key=lambda row: (row.started_at, row.id), reverse=True)
    return Trend(found, coverage, late)


def show(site: Site, drill: str) -> DrillFacts:
    """Return a drill by its id or the beginning of it.

    Raises:
        NotFoundError: There is no such drill.
        UsageError: There are several.
        DamageError: The catalog holds something else.
    """
    with site.catalog.reading() as session:
        row = drills.get(session, drill)
        signs = drills.signs(session, row.id)
    return DrillFacts(
        drills.result_of(row),
        row.ended_at is not None,
        _file(site, row.id, "html"),
        _file(site, row.id, "pdf"),
        signs,
    )


def made(site: Site, result: DrillResult) -> DrillFacts:
    """Return a drill that was just made, also where no catalog could record it."""
    try:
        return show(site, result.drill)
    except OrchestratorError:
        if not result.kit_only:
            raise
        # A bare machine with the kit: there is nothing to look it up in.
        return DrillFacts(result, has_ended=True, html=None, pdf=None, signs=[])


def export_report(site: Site, drill: str, to: Path) -> Path:
    """Copy a drill's report to a file: the PDF if its name ends so, else the page.

    Args:
        site: The site.
        drill: The drill's id or the beginning of it.
        to: A file that is not there yet, ``.pdf`` or ``.html``.

    Raises:
        NotFoundError: There is no such drill, or it has no such report.
        UsageError: The file is there, or is of another kind.
        EngineError: The disk refuses.
    """
    if to.suffix not in (".pdf", ".html"):
        raise UsageError(f"{to.name}: a report is a .pdf or an .html file")
    facts = show(site, drill)
    source = facts.pdf if to.suffix == ".pdf" else facts.html
    if source is None:
        raise NotFoundError(
            f"drill {facts.result.drill} has no report as {to.suffix}",
            hint="orchestrator drill show ID",
        )
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with source.open("rb") as report, os.fdopen(os.open(to, flags, 0o600), "wb") as out:
            shutil.copyfileobj(report, out)
    except FileExistsError:
        raise UsageError(f"{to} is there already; give another name") from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EngineError(f"the report cannot be written to {to}: {why}") from None
    return to


def sign(site: Site, drill: str, note: str) -> DrillFacts:
    """Record a person's signature under a drill's report, and write the report anew with it.

    The ledger gets the new report's hash: the one that stands with the drill is of the report
    before anybody signed.

    Args:
        site: The site.
        drill: The drill's id or the beginning of it.
        note: Corrective action, or what was seen; 1 to `NOTE_LENGTH` characters, no patient's
            name.

    Raises:
        RefusedError: Nobody is named, or the drill has no end.
        UsageError: The note is empty or too long.
        NotFoundError: There is no such drill.
        OrchestratorError: The report or the ledger cannot be written.
    """
    if site.actor == SYSTEM:
        raise RefusedError(
            "a signature needs a person", hint="orchestrator --as ACTOR drill sign ID --note TEXT"
        )
    words = " ".join(note.split())
    if not words or len(words) > NOTE_LENGTH or not words.isprintable():
        raise UsageError(f"--note: write 1 to {NOTE_LENGTH} characters")
    facts = show(site, drill)
    if not facts.has_ended:
        raise RefusedError(f"drill {facts.result.drill} has no end: there is nothing to sign yet")
    person = site.config.actors[site.actor]
    with run(site, "drill-sign"):
        with site.catalog.transaction() as session:
            signature = SignOff(person.name, person.title, site.clock.now(), words)
            drills.sign(session, facts.result.drill, actor=site.actor, sign_off=signature)
        files = write_report(site, facts.result)
        record(
            site,
            [
                Event(
                    "drill.signed",
                    {"drill": facts.result.drill, "verdict": facts.result.verdict},
                    evidence={"report": files.sha256},
                )
            ],
        )
    return show(site, facts.result.drill)


def _file(site: Site, drill: str, kind: str) -> Path | None:
    path = report_dir(site) / f"{drill}.{kind}"
    return path if path.is_file() else None
