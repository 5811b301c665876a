"""What doctor says about legal holds."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.actions.finding import Finding
from orchestrator.actions.holds.listing import hold_list
from orchestrator.actions.site import Site


def look_at_holds(site: Site) -> Iterator[Finding]:
    """Say how many holds are in force, how old the oldest is, and which keeps nothing."""
    found = hold_list(site)
    if not found:
        yield Finding("holds", "ok", "none is in force")
        return
    oldest = found[0]
    yield Finding(
        "holds",
        "ok",
        f"{len(found)} in force; the oldest is {oldest.hold} of {oldest.placed_at:%Y-%m-%d}",
    )
    for one in found:
        if one.state == "release_asked":
            yield Finding(
                "holds",
                "warn",
                f"{one.hold}: {one.release_asked_by} has asked for its release; a second person "
                "must confirm it, or it is withdrawn",
                f"orchestrator --as ANOTHER hold release {one.hold} --reason TEXT",
            )
