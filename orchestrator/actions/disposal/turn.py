"""One batch is proposed, decided or completed at a time: no two get one number or one study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.actions.lock import marked
from orchestrator.actions.site import Site
from orchestrator.errors import LockedError

_WAIT_S = 60.0
_PAUSE_S = 0.05


@contextmanager
def turn(site: Site) -> Iterator[None]:
    """Hold the right to propose, decide and complete disposals.

    Raises:
        LockedError: Another process holds it and does not end.
        StoppedError: The work was told to stop meanwhile.
    """
    until = site.clock.monotonic() + _WAIT_S
    while True:
        with marked(site.lock_dir, "disposals") as held:
            if held:
                yield
                return
        if site.clock.monotonic() > until:
            raise LockedError("another process is at a disposal and does not end")
        site.check_stop()
        site.stop.wait(_PAUSE_S)
