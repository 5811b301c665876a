"""What doctor and status say about places where copies were before."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.actions.finding import Finding
from orchestrator.actions.place_register import standing
from orchestrator.actions.site import Site

_LIST = "orchestrator place list"


def look_at_places(site: Site) -> Iterator[Finding]:
    """Name every former place that nobody has closed: what is there keeps disposals open."""
    found = standing.listing(site)
    open_ones = [one for one in found if one.state in standing.OPEN_STATES]
    for one in open_ones:
        since = "" if one.left_at is None else f" since {one.left_at:%Y-%m-%d}"
        yield Finding(
            "former places",
            "warn",
            f"copy {one.copy} was at another place before ({one.place}, left{since}): what is "
            "there nobody looks at, and no disposal ends",
            _LIST,
        )
    if not open_ones:
        yield Finding("former places", "ok", "none is open")


def warnings_of_places(site: Site) -> list[str]:
    """Say the same in one sentence each, for the status."""
    return [
        f"{one.name}: {one.detail}: {one.hint}" for one in look_at_places(site) if one.state != "ok"
    ]
