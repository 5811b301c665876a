"""Bringing replicas up to date without a backup: after a medium came back, or a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.actions import commit, primary
from orchestrator.actions.replicas import CopyResult, Replicas
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.errors import OrchestratorError, StoppedError, UsageError

if TYPE_CHECKING:
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.restic.repository import Repository


@dataclass(slots=True)
class StoreReplication:
    """What replication came to for one store.

    Attributes:
        store: Name.
        run: Run id; empty if it never began.
        outcome: As recorded.
        copies: One per copy asked for.
        error: Why it failed; None if it did not.
    """

    store: str
    run: str = ""
    outcome: str = "failed"
    copies: list[CopyResult] = field(default_factory=list)
    error: OrchestratorError | None = None


def replicate(
    site: Site,
    stores: list[str],
    *,
    copies: list[str] | None = None,
    occasion: Occasion = BY_HAND,
) -> list[StoreReplication]:
    """Bring the replicas of stores up to date with their primary.

    Args:
        site: The site.
        stores: Store names.
        copies: Copy names; None for every copy but the primary.
        occasion: Why it happens.

    Raises:
        UsageError: The primary itself was named.
        StoppedError: The work was told to stop.
        OrchestratorError: There is one store only, and its replication failed.
    """
    first = site.config.primary.name
    if copies is not None and first in copies:
        raise UsageError(
            f"copy {first} is the primary: the others are brought up to date from it",
            hint="orchestrator replicate",
        )
    names = copies or [name for name in site.config.copies if name != first]
    results = []
    for store in stores:
        result = StoreReplication(store)
        results.append(result)
        try:
            with run(site, "replicate", store=store, occasion=occasion) as current:
                result.run = current.id
                repository = site.repository(store)
                with current.step("look"):
                    primary.make_ready(current, repository, _engine(current, repository))
                with Replicas(current, repository, names) as replicas, current.step("replicate"):
                    final = [s.file for s in primary.place_of(site, repository).list()]
                    result.copies = replicas.settle(final)
                    current.metrics["copies"] = {one.copy: one.state for one in result.copies}
                    site.check_stop()
                    if replicas.damage is not None:
                        commit.refuse_damage(current, repository, replicas.refused, replicas.damage)
            result.outcome = current.outcome
        except StoppedError:
            raise
        except OrchestratorError as error:
            if len(stores) == 1:
                raise
            result.error = error
    return results


def _engine(current: Run, repository: RepositoryRow) -> Repository:
    """Return restic on the primary: a prune that was cut off is finished before anything else."""
    lock = current.lock
    return current.site.primary_engine(
        repository.store, repository.name, lock_fd=lock.fd if lock is not None else None
    )
