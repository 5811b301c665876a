"""Drills that a job makes: from which copy, of which slice, with which kit."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.actions.attach import look
from orchestrator.actions.drills.drill import drill
from orchestrator.actions.drills.wish import Wish
from orchestrator.actions.returned import returned
from orchestrator.actions.run import Occasion
from orchestrator.actions.site import Site
from orchestrator.actions.targets import copies_of, stores_of
from orchestrator.catalog import drill_history, drills
from orchestrator.config.jobs import Job
from orchestrator.config.site import OfflineCopy
from orchestrator.drills.result import DrillResult
from orchestrator.drills.scope import slice_of
from orchestrator.errors import AbsentCopyError, NotFoundError, OrchestratorError, StoppedError
from orchestrator.keys.kit import TEXT_NAME


def drill_all(site: Site, job: Job, occasion: Occasion) -> list[DrillResult]:
    """Make the drills of a job, one after the other: one that fails keeps no other from its turn.

    Args:
        site: The site.
        job: A job whose action is ``drill``.
        occasion: Why they happen.

    Raises:
        AbsentCopyError: No medium has come back.
        NotFoundError: The kit is not on this machine.
        StoppedError: The work was told to stop.
        OrchestratorError: A drill could not even begin; the others had their turn.
    """
    wishes = _of_media(site, job) if job.schedule is None else _of_copies(site, job)
    found: list[DrillResult] = []
    trouble: list[OrchestratorError] = []
    for wish in wishes:
        try:
            found.append(drill(site, wish, occasion=occasion))
        except StoppedError:
            raise
        except OrchestratorError as error:
            trouble.append(error)
    if trouble:
        raise trouble[0]
    return found


def _of_media(site: Site, job: Job) -> list[Wish]:
    back = returned(site, job)
    if not back:
        raise AbsentCopyError(
            "no medium has come back and was written since it was last drilled",
            hint="connect one, then: orchestrator replicate",
        )
    return [Wish(store=one.store, copy=one.copy) for one in back]


def _of_copies(site: Site, job: Job) -> list[Wish]:
    kit = _kit(site, job) if job.drill.from_kit else None
    within = job.drill.random_within
    return [
        Wish(
            store=store,
            copy=copy,
            scope=next_slice(site, store, copy, job.slices) if job.slices > 1 else "all",
            random_within=within,
            kit=kit,
        )
        for store in stores_of(site, job)
        for copy in _chosen(site, job)
    ]


def next_slice(site: Site, store: str, copy: str, slices: int) -> str:
    """Return the scope of the slice whose turn it is: the one that was restored longest ago.

    A slice that could not be restored keeps its turn, so that so many drills cover everything
    however many were missed. One that holds nothing has no turn: a small store has fewer studies
    than slices.
    """
    with site.catalog.reading() as session:
        done = drill_history.last_by_scope(session, store, copy)
        filled = {slice_of(member, slices) for member in drills.members(session, store)}
    never = datetime.min.replace(tzinfo=UTC)
    turns = [f"{n}/{slices}" for n in sorted(filled or range(1, slices + 1))]
    return min(turns, key=lambda turn: done.get(turn, never))


def _chosen(site: Site, job: Job) -> list[str]:
    names = copies_of(site, job)
    if job.drill.pick == "each":
        return names
    # An offline copy that is away is no candidate: drawing it would only waste the day.
    there = [name for name in names if not _is_away(site, name)]
    return [secrets.choice(there or names)]


def _is_away(site: Site, name: str) -> bool:
    copy = site.config.copies[name]
    return isinstance(copy, OfflineCopy) and not copy.mount and not look(site, copy)


def _kit(site: Site, job: Job) -> Path:
    kit = job.drill.kit or site.state_dir / "recovery-kit" / TEXT_NAME
    if not kit.exists():
        raise NotFoundError(
            "the recovery kit is not on this machine, which is as it should be: fetch it for a "
            "drill and lock it away again",
            hint="orchestrator drill run STORE --kit FILE",
        )
    return kit
