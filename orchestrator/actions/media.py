"""Offline media: attaching the right one, and its register of custody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions import attach, custody, observe
from orchestrator.actions.run import Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import media, repositories, sanitizations
from orchestrator.catalog.copy_tables import Medium, MediumEvent
from orchestrator.catalog.media import AWAY, IN_USE
from orchestrator.catalog.sanitization_tables import CustodyAct
from orchestrator.config.site import OfflineCopy
from orchestrator.engines import medium as engine
from orchestrator.engines import medium_release
from orchestrator.errors import AbsentCopyError, NotFoundError, RefusedError, UsageError

if TYPE_CHECKING:
    from sqlmodel import Session

CLOCK_SLACK = timedelta(minutes=5)
"""What was seen later than so much after the present was seen by a wrong clock."""


@dataclass(frozen=True, slots=True)
class MediumFacts:
    """One medium as a person wants to see it.

    Attributes:
        row: The register's row.
        connected: Where it is mounted now; None if it is not.
        overdue: It should have been back by now.
        gaps: What is missing in its chain of custody.
        unrecorded: What was just done with it does not stand in the ledger yet.
    """

    row: Medium
    connected: Path | None
    overdue: bool
    gaps: tuple[str, ...] = ()
    unrecorded: bool = False


def register(
    site: Site, name: str, mount_point: Path, *, label: str, allow_folder: bool = False
) -> MediumFacts:
    """Make a mounted, empty file system a medium of a copy and enter it into the register.

    Args:
        site: The site.
        name: Copy name.
        mount_point: Where it is mounted.
        label: What people call it, as written on it.
        allow_folder: Take a plain folder; it will never count as a separate medium.

    Raises:
        RefusedError: It is not a separate, empty or own file system, or it was retired.
        OrchestratorError: The disk fails.
    """
    copy = site.offline_config(name)
    if not any(mount_point.resolve().is_relative_to(path.resolve()) for path in copy.search):
        raise UsageError(
            f"copy {name}: {mount_point} is not below any of its search folders",
            hint="mount it below one of them, or add the folder to the site file",
        )
    with run(site, "medium-add") as current:
        now = site.clock.now()
        mounted = engine.add(
            mount_point,
            engine.NewMedium(copy=name, site=site.keyring.id, label=label),
            now=now,
            apart_from=attach.others_disks(site),
            allow_folder=allow_folder,
        )
        row = Medium(
            id=mounted.identity.medium,
            copy_=name,
            label=mounted.identity.label,
            serial=mounted.facts.serial,
            fs_uuid=mounted.fs_uuid or "",
            state=IN_USE,
            registered_at=now,
            last_seen=now,
            due_at=now + copy.due_every,
        )
        with site.catalog.transaction() as session:
            known = {medium.id: medium for medium in media.of_copy(session, None, retired=True)}
            if row.id in known and known[row.id].retired_at is not None:
                raise RefusedError(
                    f"copy {name}: this medium was retired",
                    hint="make a new file system on it to use it again as a new medium",
                )
            if row.id in known:
                row = _named(session, known[row.id], row)
            else:
                media.register(session, row, actor=site.actor)
    is_short = bool(current.shortfalls)
    return MediumFacts(row, mounted.mount_point, overdue=False, unrecorded=is_short)


def _named(session: Session, known: Medium, seen: Medium) -> Medium:
    """Enter again what only the medium itself could tell, after the catalog was made anew."""
    if known.label == known.id[:8] and seen.label != known.label:
        known.label, known.fs_uuid = seen.label, seen.fs_uuid
        known.serial = known.serial or seen.serial
        session.add(known)
        session.flush()
    return known


def listing(site: Site, *, retired: bool = False) -> list[MediumFacts]:
    """Return every medium with where it is and whether it is overdue."""
    now = site.clock.now()
    connected: dict[str, Path] = {}
    for copy in site.config.copies.values():
        if isinstance(copy, OfflineCopy):
            connected.update((m.identity.medium, m.mount_point) for m in attach.look(site, copy))
    with site.catalog.reading() as session:
        rows = media.of_copy(session, None, retired=retired)
    return [
        MediumFacts(row, connected.get(row.id), is_overdue(row, now), custody.chain(site, row).gaps)
        for row in rows
    ]


def mount(site: Site, name: str) -> MediumFacts:
    """Mount a copy's medium in the way the site file says.

    Raises:
        UsageError: The site file does not say how.
        OrchestratorError: It cannot be mounted, or is not a medium of this site.
    """
    copy = site.offline_config(name)
    with run(site, "medium-mount"):
        mounted = attach.connected(site, copy)
        if mounted is None:
            if not copy.mount:
                raise UsageError(
                    f"copy {name}: the site file does not say how to mount its media",
                    hint=f'mount it by hand, or add mount = ["mount", ...] to [copies.{name}]',
                )
            medium_release.mount(name, copy.mount)
            mounted = attach.connected(site, copy)
        if mounted is None:
            raise AbsentCopyError(
                f"copy {name}: what was mounted is no registered medium of this site",
                hint="orchestrator medium list",
            )
        return fresh(site, mounted.identity.medium, mounted.mount_point)


def release(
    site: Site,
    name: str,
    *,
    holder: str | None,
    location: str | None,
    seal: str | None = None,
) -> MediumFacts:
    """Write everything out, unmount the copy's medium and record who takes it where.

    Args:
        site: The site.
        name: Copy name, or a medium's id or label.
        holder: Who takes it; None if nobody says so.
        location: Where it goes; None if nobody says so.
        seal: Number of the seal it is under.

    Raises:
        AbsentCopyError: No medium of the copy is connected.
        OrchestratorError: It cannot be written out or unmounted: do not pull it out.
    """
    copy = site.offline_config(name if name in site.config.copies else find(site, name).copy_)
    with run(site, "medium-release") as current:
        mounted = attach.connected(site, copy)
        if mounted is None:
            raise AbsentCopyError(f"copy {copy.name}: no medium of this site is connected")
        handle = engine.open_medium(mounted, site=site.keyring.id, allow_folder=True)
        medium_release.release(handle, command=copy.unmount or None)
        if copy.power_off:
            medium_release.power_off(mounted, copy.power_off)
        act = CustodyAct(
            medium=mounted.identity.medium,
            at=site.clock.now(),
            given_by=site.actor,
            taken_by=holder,
            seal=seal,
        )
        note_act(site, act, "released", AWAY, holder=holder, location=location)
        _absent(site, copy.name)
    return fresh(site, act.medium, None, current)


def receive(
    site: Site,
    name: str,
    *,
    holder: str | None,
    location: str | None,
    seal: str | None = None,
) -> MediumFacts:
    """Record that a medium has come back.

    Args:
        site: The site.
        name: The medium's id, the beginning of it, or its label.
        holder: Who has it now; None for the actor.
        location: Where it is now; None if nobody says so.
        seal: Number of the seal it came under.
    """
    medium = find(site, name)
    with run(site, "medium-receive") as current:
        holder = holder or site.actor
        act = CustodyAct(
            medium=medium.id,
            at=site.clock.now(),
            given_by=medium.holder if medium.state == AWAY else None,
            taken_by=holder,
            seal=seal,
        )
        note_act(site, act, "received", IN_USE, holder=holder, location=location)
    return fresh(site, medium.id, None, current)


def find(site: Site, name: str, *, retired: bool = False) -> Medium:
    """Return a medium by its id, the beginning of it, or its label.

    Args:
        site: The site.
        name: What a person calls it.
        retired: Also look among those that were retired.

    Raises:
        NotFoundError: There is none.
        UsageError: There are several.
    """
    with site.catalog.reading() as session:
        rows = media.of_copy(session, None, retired=retired)
    found = [row for row in rows if name in (row.id, row.label)]
    found = found or [row for row in rows if len(name) >= 4 and row.id.startswith(name)]
    if not found:
        raise NotFoundError(f"no medium {name} is in use", hint="orchestrator medium list")
    if len(found) > 1:
        raise UsageError(f"several media are called {name}: use the id")
    return found[0]


def note_act(
    site: Site,
    act: CustodyAct,
    event: str,
    state: str,
    *,
    holder: str | None = None,
    location: str | None = None,
    note: str | None = None,
) -> None:
    """Record an act of custody, and what it changes of the medium."""
    with site.catalog.transaction() as session:
        media.record(
            session,
            MediumEvent(
                medium=act.medium,
                at=act.at,
                actor=site.actor,
                event=event,
                holder=holder,
                location=location,
                note=note,
            ),
            state=state,
        )
        sanitizations.keep_custody(session, act)


def _absent(site: Site, copy: str) -> None:
    with site.catalog.reading() as session:
        ids = [row.id for row in repositories.of_store(session)]
    for repository_id in ids:
        observe.record_absence(site, copy, repository_id, "the medium was released")


def fresh(site: Site, medium: str, at: Path | None, current: Run | None = None) -> MediumFacts:
    """Return a medium as it stands in the register now, after a run if one was made."""
    with site.catalog.reading() as session:
        row = media.get(session, medium)
    gaps, is_short = custody.chain(site, row).gaps, bool(current and current.shortfalls)
    return MediumFacts(row, at, is_overdue(row, site.clock.now()), gaps, is_short)


def is_overdue(row: Medium, now: datetime) -> bool:
    """Say whether a medium should be back; also if its day was set by a clock that was ahead."""
    late = row.due_at is not None and now > row.due_at
    is_dated_wrong = row.last_seen is not None and row.last_seen > now + CLOCK_SLACK
    return row.retired_at is None and (late or is_dated_wrong)
