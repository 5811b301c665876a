"""The doctor's look at what drills need: kit, decoders, a folder to restore to, nothing left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator.actions.drills.erasing import why_not_overwritten
from orchestrator.actions.drills.sandbox import check_apart, leftovers, sandbox_folder
from orchestrator.actions.finding import Finding
from orchestrator.actions.kit_standing import kit_remarks
from orchestrator.actions.site import Site
from orchestrator.catalog import drills, repositories

_FOLDER = "folder for drills"
_NAME_ANOTHER = 'name a folder on another disk in site.toml: [drills] sandbox = "…"'


def look_at_kit(site: Site) -> Iterator[Finding]:
    """Check that the kit covers what the site has, and that a drill has proven it."""
    for remark in kit_remarks(site):
        yield Finding("recovery kit", remark.state, remark.detail, remark.hint)


def look_at_decoders(_site: Site) -> Iterator[Finding]:
    """Check that drills can show what imaging devices commonly write."""
    from orchestrator.dicom import decoders

    missing = decoders.missing()
    if missing:
        yield Finding(
            "decoders",
            "warn",
            f"none here for {', '.join(missing)}: drills cannot show such images",
            "pip install 'imaging-orchestrator[decoders]'",
        )
    else:
        yield Finding("decoders", "ok", f"for {', '.join(decoders.KINDS)}")


def look_at_sandbox(site: Site) -> Iterator[Finding]:
    """Check that drills have somewhere to restore to; nothing is written.

    Raises:
        RefusedError: The folder lies in or around a store or copy.
    """
    folder = sandbox_folder(site)
    check_apart(site, folder)
    real = _nearest(folder)
    if not os.access(real, os.W_OK | os.X_OK):
        yield Finding(_FOLDER, "fail", "may not be written by this user", _NAME_ANOTHER)
        return
    free = shutil.disk_usage(real).free
    with site.catalog.reading() as session:
        states = [repositories.store_state(session, store) for store in site.config.stores]
        open_drills = drills.unfinished(session)
    largest = max((state.size_bytes for state in states if state is not None), default=0)
    if free < largest:
        yield Finding(
            _FOLDER,
            "warn",
            f"{free / 1e9:.1f} GB free; a whole store takes {largest / 1e9:.1f} GB",
            _NAME_ANOTHER,
        )
    else:
        yield Finding(_FOLDER, "ok", f"{free / 1e9:.1f} GB free, enough for the largest store")
    why = why_not_overwritten(real)
    if why is not None:
        yield Finding(_FOLDER, "ok", f"restored images are removed there, not overwritten: {why}")
    left = leftovers(site)
    if left:
        yield Finding(
            _FOLDER,
            "warn",
            f"{len(left)} drills that were cut off have left images there",
            "any drill removes them: orchestrator drill run STORE",
        )
    for drill in open_drills:
        yield Finding("drills", "warn", f"drill {drill.id} has no end: at work, or killed")


def _nearest(folder: Path) -> Path:
    """Return the folder, or the one in which it would be made."""
    while not folder.exists():
        folder = folder.parent
    return folder
