"""restic on any copy, read-only: a folder as it is, a bucket through the lens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.actions.places import OpenCopy
from orchestrator.actions.site import Site
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from orchestrator.engines.restic.repository import Repository


@contextmanager
def engine_on(site: Site, opened: OpenCopy, repository: str) -> Iterator[Repository]:
    """Open a copy's repository with restic, without locks and without its cache.

    Args:
        site: The site.
        opened: The copy.
        repository: Repository name.
    """
    if opened.folder is not None:
        yield site.copy_engine(repository, str(opened.folder), opened.name)
        return
    from orchestrator.engines.lens import Lens

    with Lens(opened.place) as lens:
        try:
            yield site.copy_engine(repository, lens.repository, opened.name)
        except OrchestratorError as error:
            # restic only sees a server that fails; the lens knows why.
            raise lens.failure or error from error
