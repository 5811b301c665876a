"""Whether the recovery kit still opens everything, and whether a drill has proven it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from orchestrator.actions import kit
from orchestrator.actions.site import Site
from orchestrator.catalog import facts

DRILLED = "kit_drilled"
"""The fact that a drill has restored with a kit; its value is that kit's checksum."""

_MAKE = "orchestrator key kit"
_DRILL = "orchestrator drill run STORE --kit FILE"


@dataclass(frozen=True, slots=True)
class KitRemark:
    """One thing to say about the kit.

    Attributes:
        state: `fail` if it may not open everything, `warn` if nobody knows or it lies about.
        detail: What was found.
        hint: What to do about it.
    """

    state: Literal["ok", "warn", "fail"]
    detail: str
    hint: str | None = None


def kit_remarks(site: Site) -> Iterator[KitRemark]:
    """Yield what is to be said about the kit, the worst first; never nothing."""
    with site.catalog.reading() as session:
        made = facts.get(session, kit.MADE)
        checksum = facts.get(session, kit.CHECKSUM)
        drilled = facts.get(session, DRILLED)
        rows = kit.covered(site, session)
    if made is None:
        yield KitRemark("fail", "was never made", _MAKE)
        return
    if made.value != kit.fingerprint(site, rows):
        yield KitRemark(
            "fail",
            f"made {made.at:%Y-%m-%d}, before the last change of repositories or copies",
            f"{_MAKE}, and replace the one in the safe",
        )
        return
    day = f"made {made.at:%Y-%m-%d}"
    if drilled is None:
        yield KitRemark("warn", f"{day}; it was never drilled", _DRILL)
    elif checksum is None or drilled.value != checksum.value:
        yield KitRemark(
            "warn", f"{day}; the last drill, {drilled.at:%Y-%m-%d}, was with an older one", _DRILL
        )
    else:
        yield KitRemark("ok", f"{day}, drilled {drilled.at:%Y-%m-%d}")
    if (site.state_dir / "recovery-kit").exists():
        yield KitRemark(
            "warn",
            "is still on this machine",
            "print it or copy it to a stick, lock it away elsewhere, delete it here",
        )
