"""Whether destroyed keys are gone, and whether a destruction waits for somebody."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.actions.finding import Finding
from orchestrator.actions.key_destruction.record import BEGUN, DESTROYED, came_back, listing
from orchestrator.actions.site import Site

_NAME = "destroyed keys"


def look_at_destroyed_keys(site: Site) -> Iterator[Finding]:
    """Yield what is to be said; nothing where no key was ever to be destroyed."""
    found = listing(site)
    back = {one.id for one in came_back(site, found)}
    for one in found:
        command = f"orchestrator --as ACTOR key destroy run {one.id}"
        if one.id in back:
            yield Finding(
                _NAME,
                "fail",
                f"the key of repository {one.repository} was destroyed and is in the keyring "
                "again: a keyring of before was put back",
                command,
            )
        elif one.state == BEGUN:
            yield Finding(
                _NAME, "warn", f"destruction {one.id} was begun and has no outcome", command
            )
        elif one.state == DESTROYED and one.certificate is None:
            yield Finding(
                _NAME,
                "warn",
                f"destruction {one.id} is done and has no certificate: nobody has validated it",
                f"orchestrator --as ACTOR key destroy validate {one.id} --accept",
            )
    done = [one for one in found if one.state == DESTROYED and one.id not in back]
    if done:
        yield Finding(_NAME, "ok", f"{len(done)}; the keyring has none of them")
