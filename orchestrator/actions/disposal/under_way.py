"""Which disposals are not at their end, in a few words each; from rows alone, for `status`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.actions.disposal.listing import LIVE_NAME
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals, media, places
from orchestrator.catalog.disposal_tables import DisposalCopy
from orchestrator.catalog.disposals import ABSENT, OPEN, UNDECIDED


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A disposal that is not at its end.

    Attributes:
        disposal: Its id.
        state: ``proposed``, ``approved``, ``executing`` or ``residual``.
        paused: The hold by which it stands still; None for none.
        left: Places that are not proved free, media by their label, former places by their id.
        residual_until: When the last of them can be free at the earliest, by what was seen last;
            None if nobody knows that of one.
    """

    disposal: str
    state: str
    paused: str | None
    left: tuple[str, ...] = ()
    residual_until: datetime | None = None


def under_way(site: Site) -> list[UnderWay]:
    """Return the disposals that are not at their end, oldest first; looks at no copy."""
    now = site.clock.now()
    found = []
    with site.catalog.reading() as session:
        rows = disposals.listing(session, states=(*UNDECIDED, *OPEN))
        labels = {one.id: one.label for one in media.of_copy(session, None, retired=True)}
        for row in rows:
            left = [one for one in disposals.copies(session, row.id) if one.state != ABSENT]
            names = sorted({_name(one, labels) for one in left})
            ends = [_end(one, now) for one in left]
            known = [at for at in ends if at is not None]
            until = max(known) if known and len(known) == len(ends) else None
            is_paused = row.paused is not None
            found.append(
                UnderWay(row.id, row.state, row.paused, tuple(names), None if is_paused else until)
            )
    return found


def _name(one: DisposalCopy, labels: dict[str, str]) -> str:
    name = one.copy_ or LIVE_NAME
    if places.is_place(one.medium):
        return f"{name} (former place {one.medium})"
    return f"{name} (medium {labels.get(one.medium, one.medium[:8])})" if one.medium else name


def _end(one: DisposalCopy, now: datetime) -> datetime | None:
    """Return until when something is left there; a medium that is overdue says nothing."""
    until = one.residual_until
    return None if one.medium and until is not None and until < now else until
