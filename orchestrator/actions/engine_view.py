"""restic on any copy, read-only: a folder as it is, a bucket through the lens, as of any time.

Knows how a copy is looked at; chooses no snapshot and judges nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.places import OpenCopy
from orchestrator.actions.site import Site
from orchestrator.errors import DamageError, OrchestratorError

if TYPE_CHECKING:
    from orchestrator.engines.bucket.place import BucketPlace
    from orchestrator.engines.interface import StoredFile
    from orchestrator.engines.lens import Lens
    from orchestrator.engines.meter import Meter
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.engines.spool import Spool


@dataclass(frozen=True, slots=True)
class EngineView:
    """restic on a copy.

    Attributes:
        engine: restic, read-only.
        lens: What restic looks through: it counts the traffic and knows the files whose bytes
            are wrong. None where restic reads a folder itself.
        suspicious: Names in a bucket that have more than one version or are hidden, whatever the
            instant; somebody tampered with them. None for a folder, where nobody could tell.
    """

    engine: Repository
    lens: Lens | None
    suspicious: int | None = None


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

    if spool is None and opened.folder is None:
        spool = site.state_dir / "spool"
        spool.mkdir(mode=0o700, exist_ok=True)
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
        DamageError: The work failed, and files that were fetched have wrong bytes.
        OrchestratorError: The copy cannot be listed, or what the work raised.
    """
    if opened.folder is not None and meter is None:
        yield EngineView(engine_at(str(opened.folder)), None)
        return
    from orchestrator.engines.lens import Lens
    from orchestrator.engines.meter import Meter as Counter

    counted = meter or Counter()
    suspicious: int | None = None
    with ExitStack() as stack:
        if opened.folder is not None:
            lens = stack.enter_context(Lens(opened.place, meter=counted))
        else:
            place: BucketPlace = opened.place  # type: ignore[assignment]
            kept, files, suspicious = _recalled(stack, place, counted, as_of, spool)
            lens = stack.enter_context(Lens(place, files=files, meter=counted, spool=kept))
        engine = engine_at(lens.repository)
        if lens.environment:
            engine = dataclasses.replace(engine, environment=lens.environment)
        try:
            yield EngineView(engine, lens, suspicious)
        except OrchestratorError as error:
            raise _reason(opened.name, lens, error) from error


def _recalled(
    stack: ExitStack,
    place: BucketPlace,
    meter: Meter,
    as_of: datetime | None,
    folder: Path | None,
) -> tuple[Spool, Iterable[StoredFile], int]:
    """Say what a bucket shows; as of a time, only what is proven to be what it says it is."""
    from orchestrator.engines.spool import Spool

    found = place.recall(as_of)
    spool = stack.enter_context(
        Spool(
            place,
            meter,
            config_digest=place.config_digest or None,
            candidates=found.doubtful,
            folder=folder,
        )
    )
    if as_of is None:
        return spool, found.files, found.suspicious
    # Packs are compared when they are read. The rest is small, restic reads all of it anyway,
    # and gives up at the first forgery.
    data = [stored for stored in found.files if stored.file.kind == "data"]
    rest = [stored for stored in found.files if stored.file.kind != "data"]
    right = [stored for stored, is_right in spool.verified(rest) if is_right]
    return spool, [*right, *data], found.suspicious


def _reason(copy: str, lens: Lens, error: OrchestratorError) -> OrchestratorError:
    """Say why: restic only sees a server that fails, or bytes that are wrong."""
    if lens.failure is not None:
        return lens.failure
    wrong = len(lens.bad_files)
    if wrong and not isinstance(error, DamageError):
        return DamageError(
            f"copy {copy}: {wrong} files do not have the bytes they must have: {error.message}",
            hint=f"orchestrator check {copy}; restore from another copy, or --as-of a time before",
        )
    return error
