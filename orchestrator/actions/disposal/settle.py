"""The nightly look at every disposal under way: go on, look again, complete what is gone."""

from __future__ import annotations

import logging

from orchestrator.actions.disposal.forward import forward
from orchestrator.actions.run import BY_HAND, Occasion, Run, run
from orchestrator.actions.site import Site
from orchestrator.catalog import disposals
from orchestrator.errors import OrchestratorError, StoppedError

_log = logging.getLogger(__name__)


def settle(site: Site, *, occasion: Occasion = BY_HAND) -> list[str]:
    """Go on with every disposal under way, and complete those of which nothing is left.

    Args:
        site: The site.
        occasion: Why it happens.

    Returns:
        What fell short, in words. That a medium is away or a lock still runs is not among it: it
        is told by each disposal.

    Raises:
        RefusedError: The actor has none of the roles.
        StoppedError: The work was told to stop.
        OrchestratorError: Ledger or catalog fail.
    """
    site.demand_role("operator", "compliance", "custodian")
    with run(site, "disposal-settle", exclusive=False, occasion=occasion) as current:
        with site.catalog.reading() as session:
            names = [row.id for row in disposals.open_batches(session)]
        done = 0
        for name in names:
            try:
                with current.step("settle"):
                    done += _one(current, name, occasion)
            except StoppedError:
                raise
            except OrchestratorError as error:
                # One that fails must not keep the others from their end.
                _log.warning("disposal %s: %s", name, error.message)
                current.fell_short(_told(name, error))
        current.metrics.update(disposals=len(names), completed=done)
    return list(current.shortfalls)


def _one(current: Run, name: str, occasion: Occasion) -> bool:
    from orchestrator.actions.disposal.execute import resume

    site = current.site
    try:
        resume(site, name, occasion=occasion)
    except StoppedError:
        raise
    except OrchestratorError as error:
        current.fell_short(_told(name, error))
    found = forward(site, name)
    for problem in found.problems:
        current.fell_short(problem)
    return found.state == disposals.COMPLETE


def _told(name: str, error: OrchestratorError) -> str:
    return error.message if name in error.message else f"disposal {name}: {error.message}"
