"""What doctor says about disposed studies: whether their list lies where it must."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.actions.disposal import suppression
from orchestrator.actions.finding import Finding
from orchestrator.actions.site import Site

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
    if not found.unasked and not found.outstanding:
        yield Finding("disposed studies", "ok", f"{found.studies} are left out of every restore")
