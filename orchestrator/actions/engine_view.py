"""restic on any copy, read-only: a folder as it is, a bucket through the lens, as of any time.

Knows how a copy is looked at; chooses no snapshot and judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.places import OpenCopy
from orchestrator.actions.site import Site
from orchestrator.errors import OrchestratorError, RefusedError

if TYPE_CHECKING:
    from orchestrator.engines.lens import Lens
    from orchestrator.engines.meter import Meter
    from orchestrator.engines.restic.repository import Repository


@dataclass(frozen=True, slots=True)
class EngineView:
    """restic on a copy.

    Attributes:
        engine: restic, read-only.
        lens: What restic looks through: it counts the traffic and knows the files whose bytes
            are wrong. None where restic reads a folder itself.
    """

    engine: Repository
    lens: Lens | None


@contextmanager
def engine_on(
    site: Site,
    opened: OpenCopy,
    repository: str,
    *,
    as_of: datetime | None = None,
    meter: Meter | None = None,
    spool: Path | None = None,
) -> Iterator[EngineView]:
    """Open a copy's repository with restic, without locks and without its cache.

    Args:
        site: The site.
        opened: The copy.
        repository: Repository name.
        as_of: Show a bucket as it was then; means nothing for a folder, where only the choice
            of the snapshot goes by time. Aware.
        meter: Counts or caps the traffic; a folder then is looked at through the lens, too.
        spool: Existing folder for what is fetched from a bucket; the site's own unless given.

    Raises:
        OrchestratorError: The copy cannot be listed.
    """

    def engine_at(location: str) -> Repository:
        return site.copy_engine(repository, location, opened.name)

    with view_on(opened, engine_at, as_of=as_of, meter=meter, spool=spool) as view:
        yield view


@contextmanager
def view_on(
    opened: OpenCopy,
    engine_at: Callable[[str], Repository],
    *,
    as_of: datetime | None = None,
    meter: Meter | None = None,
    spool: Path | None = None,
) -> Iterator[EngineView]:
    """As `engine_on`, for whoever has no site: the recovery kit's drill.

    Args:
        opened: The copy.
        engine_at: Makes restic for the folder or address it is given.
        as_of: As for `engine_on`.
        meter: As for `engine_on`.
        spool: Existing folder for what is fetched from a bucket; the system's temporary folder
            unless given.

    Raises:
        OrchestratorError: The copy cannot be listed.
    """
    if opened.folder is not None and meter is None:
        yield EngineView(engine_at(str(opened.folder)), None)
        return
    from orchestrator.engines.lens import Lens

    if as_of is not None and opened.folder is None:
        raise RefusedError(f"copy {opened.name}: it cannot be shown as of another time yet")
    with Lens(opened.place, meter=meter) as lens:
        try:
            yield EngineView(engine_at(lens.repository), lens)
        except OrchestratorError as error:
            # restic only sees a server that fails; the lens knows why.
            raise lens.failure or error from error
