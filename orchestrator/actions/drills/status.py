"""What drills say about a site: what is proven on each copy, what was found, what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.actions.kit_standing import kit_remarks
from orchestrator.actions.missed import Missed
from orchestrator.actions.site import Site
from orchestrator.actions.verdict import CopyFacts
from orchestrator.catalog import drill_history, drills
from orchestrator.drills.result import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlmodel import Session

WORDS = {"verified": "verified", "not_verified": "not verified", "could_not_run": "could not run"}


@dataclass(frozen=True, slots=True)
class CopyDrills:
    """What drills have proven on one copy of one store.

    Attributes:
        copy: Name.
        coverage: Which share of the store's studies, within which time.
        last: Id of the newest ended drill; None if there was none.
        last_at: When it began.
        last_verdict: How it ended.
    """

    copy: str
    coverage: Coverage
    last: str | None = None
    last_at: datetime | None = None
    last_verdict: str | None = None


def of_copies(site: Site, session: Session, store: str) -> list[CopyDrills]:
    """Return what drills have proven on each copy of a store, in the order of the site file."""
    now = site.clock.now()
    found = []
    for copy in site.config.copies:
        covered = drills.coverage(session, store, copy, now)
        last = next((one for one in drills.recent(session, store, copy) if one.verdict), None)
        found.append(
            CopyDrills(copy, covered)
            if last is None
            else CopyDrills(copy, covered, last.id, last.started_at, last.verdict)
        )
    return found


def damage(session: Session, store: str, known: CopyFacts) -> str | None:
    """Say that a drill found damage on a copy, and no later one that it is gone."""
    found = drill_history.open_damage(session, store, known.copy, known.medium)
    if found is None:
        return None
    return f"drill {found.id} of {found.started_at:%Y-%m-%d} found damage on it"


def warnings_of_store(store: str, copies: Iterable[CopyDrills]) -> list[str]:
    """Say which copies were never drilled, and where the newest drill was not good."""
    found = []
    for one in copies:
        place = f"store {store}, copy {one.copy}"
        if one.last_verdict is None or one.last_at is None:
            found.append(f"{place}: was never drilled")
        elif one.last_verdict != "verified":
            words = WORDS.get(one.last_verdict, one.last_verdict)
            found.append(f"{place}: drill {one.last} of {one.last_at:%Y-%m-%d}: {words}")
    return found


def warnings_of_site(site: Site, missed: Iterable[Missed]) -> list[str]:
    """Say what is wrong with the kit, and what was missed and not made up for since."""
    found = [
        f"recovery kit: {remark.detail}" for remark in kit_remarks(site) if remark.state != "ok"
    ]
    newest: dict[str, Missed] = {}
    count: dict[str, int] = {}
    for one in missed:
        if not one.made_up:
            newest.setdefault(one.job, one)
            count[one.job] = count.get(one.job, 0) + 1
    for job, one in newest.items():
        kind = one.kind.replace("_", " ")
        more = f", and {count[job] - 1} before" if count[job] > 1 else ""
        found.append(f"job {job}: due {one.due_at:%Y-%m-%d %H:%M} UTC: {kind}{more}")
    return found
