"""What doctor says about disposals: which are under way, and where the list of the gone lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestrator.actions.disposal import suppression
from orchestrator.actions.disposal.returned import returned
from orchestrator.actions.finding import Finding
from orchestrator.actions.retention.overdue import of_disposals
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, media, places
from orchestrator.catalog.disposal_tables import LIVE

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.disposal_tables import Disposal

_RECOVER = "orchestrator catalog suppression --recover"


def look_at_suppression(site: Site) -> Iterator[Finding]:
    """Say whether the list of disposed studies would survive this site."""
    found = suppression.standing(site)
    for name in found.unasked:
        yield Finding(
            "disposed studies",
            "fail",
            f"the catalog was rebuilt, and copy {name} may hold a newer list of disposed studies: "
            "a restore may bring one back",
            _RECOVER,
        )
    for name in found.outstanding:
        yield Finding(
            "disposed studies",
            "warn",
            f"copy {name} has not got the newest list of disposed studies",
            "the next nightly settling tries again",
        )
    with site.catalog.reading() as session:
        back = returned(session)
    for store, studies in back.items():
        yield Finding(
            "disposed studies",
            "warn",
            f"{len(studies)} have files in store {store} or its snapshots again, and every restore "
            "leaves them out",
            f"orchestrator retention plan {store} --verdict review",
        )
    if not found.unasked and not found.outstanding and not back:
        yield Finding("disposed studies", "ok", f"{found.studies} are left out of every restore")


def look_at_disposals(site: Site) -> Iterator[Finding]:
    """Name every disposal that is not at its end, where something is left, and what waits too long.

    Reads rows only: no copy is looked at.
    """
    with site.catalog.reading() as session:
        overdue = {one.subject: one.words for one in of_disposals(site, session, site.clock.now())}
        rows = disposals.listing(session, states=(*disposals.UNDECIDED, *disposals.OPEN))
        found = [(row.id, _standing(session, row)) for row in rows]
    if not found:
        yield Finding("disposals", "ok", "none is under way")
    for name, words in found:
        late = overdue.get(name)
        detail = f"{name}: {words}"
        yield Finding(
            "disposals",
            "ok" if late is None else "warn",
            detail
            if late is None
            else f"{detail}; overdue: {late.removeprefix(f'disposal {name}: ')}",
            f"orchestrator disposal show {name}",
        )


def _standing(session: Session, row: Disposal) -> str:
    studies = disposals.studies(session, row.id)
    going = sum(one.state != disposals.WITHHELD for one in studies)
    words = f"{row.state}, {going} studies"
    labels = {one.id: one.label for one in media.of_copy(session, None, retired=True)}
    left = [
        "store" if one.copy_ == LIVE else one.copy_ + _of_medium(labels, one.medium)
        for one in disposals.copies(session, row.id)
        if one.state != disposals.ABSENT
    ]
    if left:
        words += f"; left on {', '.join(left)}"
    if row.paused is not None:
        words += f"; paused by hold {row.paused}"
    return words


def _of_medium(labels: dict[str, str], medium: str) -> str:
    if places.is_place(medium):
        return f" (former place {medium})"
    return f" (medium {labels.get(medium, medium[:8])})" if medium else ""
