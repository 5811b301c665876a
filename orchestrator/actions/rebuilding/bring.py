"""Bringing into a catalog what the ledger knows and it does not: one noun after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable

from orchestrator.actions.rebuilding import (
    certificates,
    disposals,
    drills,
    media,
    records,
    sanitizations,
    suppressed,
)
from orchestrator.actions.rebuilding.told import Brought, Told, told
from orchestrator.actions.site import Site
from orchestrator.errors import OrchestratorError, StoppedError

_log = logging.getLogger(__name__)

_STEPS: tuple[tuple[str, Callable[[Site, list[Told], Brought], None]], ...] = (
    ("medium", media.bring_back),
    ("certificate", certificates.bring_back),
    ("certificate", records.bring_back_vendors),
    ("sanitization", sanitizations.bring_back),
    ("drill", drills.bring_back),
    ("missed", records.bring_back_missed),
    ("retention", records.bring_back_adopted),
    ("disposal", disposals.bring_back),
    ("disposal", suppressed.bring_back),
)
"""Later ones look at what earlier ones have brought."""


def bring_back(site: Site) -> Brought:
    """Bring back everything; the newest suppression list must have been looked for before.

    What fails is told and keeps nothing else from coming back.

    Raises:
        StoppedError: The work was told to stop.
    """
    brought = Brought()
    try:
        found = told(site)
    except StoppedError:
        raise
    except OrchestratorError as error:
        # No disposal begins or ends without a ledger, and doctor says so.
        _log.error("the ledger could not be read: %s", error.message)
        brought.lost.append(
            f"the ledger cannot be read, so that nothing is known that is younger than the state: "
            f"{error.message}"
        )
        return brought
    for noun, step in _STEPS:
        site.check_stop()
        try:
            step(site, found[noun], brought)
        except StoppedError:
            raise
        except (OrchestratorError, LookupError, TypeError, ValueError) as error:
            words = error.message if isinstance(error, OrchestratorError) else type(error).__name__
            _log.error("what the ledger says of each %s was not taken: %s", noun, words)
            brought.lost.append(f"what the ledger says of each {noun} was not taken: {words}")
    brought.counts = +brought.counts
    return brought
