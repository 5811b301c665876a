"""Whether the recovery kit still opens everything, and whether a drill has proven it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.actions import kit
from orchestrator.actions.site import Site
from orchestrator.catalog import copies, facts, media, repositories, snapshots

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.copy_tables import CopyState

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
    yield from _behind(site)
    if (site.state_dir / "recovery-kit").exists():
        yield KitRemark(
            "warn",
            "is still on this machine",
            "print it or copy it to a stick, lock it away elsewhere, delete it here",
        )


def _behind(site: Site) -> Iterator[KitRemark]:
    """Name the copies from which only an older kit brings the site itself back."""
    with site.catalog.reading() as session:
        rotated = facts.get(session, kit.ROTATED)
        if rotated is None:
            return
        after = {
            row.id
            for row in snapshots.of_store(session, None, kind="state", forgotten=True)
            if row.at > rotated.at
        }
        found = {
            state.copy_ for state in _in_use(site, session) if not _held(session, state) & after
        }
    if found:
        yield KitRemark(
            "warn",
            f"the site key was changed on {rotated.at:%Y-%m-%d}; in {', '.join(sorted(found))} "
            "lies no state of after that: from there only the old kit brings the site itself back",
            "orchestrator backup; bring every medium; keep the old kit until then",
        )


def _in_use(site: Site, session: Session) -> list[CopyState]:
    """Return the copies, media each for itself, to which backups of the stores still go."""
    retired = {row.id for row in media.of_copy(session, retired=True) if row.retired_at is not None}
    current = {
        rows[-1].id
        for store in site.config.stores
        if (rows := repositories.of_store(session, store))
    }
    return [
        row
        for row in copies.states(session)
        if row.copy_ in site.config.copies
        and row.medium not in retired
        and row.repository_id in current
    ]


def _held(session: Session, state: CopyState) -> set[str]:
    key = (state.copy_, state.medium, state.repository_id)
    return {one.name for one in copies.inventory(session, key) if one.kind == "snapshots"}
