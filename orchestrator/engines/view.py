"""What a lens shows, where the bytes of each file come from, and how it went.

Chooses nothing and knows no protocol. A file comes from a spool where the place is not to be
trusted, straight from the place's own file where there is one, and else in pieces of the place.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from orchestrator.engines.interface import OpenPlace, Place, StoredFile
from orchestrator.engines.meter import Meter
from orchestrator.engines.spool import Spool
from orchestrator.errors import EngineError, OrchestratorError

PIECE_BYTES = 1 << 20
"""How much is sent, and counted, at a time."""

log = logging.getLogger(__name__)


class Region(NamedTuple):
    """Part of an open file that can be sent now, without a copy in memory.

    Attributes:
        descriptor: The open file.
        offset: Where the part begins.
        length: Its length in bytes, 1 or more.
    """

    descriptor: int
    offset: int
    length: int


class View:
    """What is shown, and how it went.

    Args:
        place: Where the bytes are.
        files: What to show.
        meter: What counts the traffic.
        spool: Through which files are fetched and verified whole; None for a place that is
            read directly.

    Attributes:
        failure: The first failure of the place (or a cap of the meter); None if all went well.
            After it, every read is refused.
    """

    def __init__(
        self, place: Place, files: Iterable[StoredFile], meter: Meter, *, spool: Spool | None = None
    ) -> None:
        self.meter = meter
        self.spool = spool
        self.failure: OrchestratorError | None = None
        self._place = place
        self._shown: dict[str, dict[str, StoredFile]] = {}
        for stored in files:
            self._shown.setdefault(stored.file.kind, {})[stored.file.name] = stored

    def shown(self, kind: str) -> dict[str, StoredFile]:
        """Return the shown files of a kind by name."""
        return self._shown.get(kind, {})

    def fail(self, error: OrchestratorError) -> None:
        """Remember the first failure."""
        if self.failure is None:
            self.failure = error
            log.warning("lens: %s", error.message)

    def settled(self, stored: StoredFile) -> StoredFile:
        """Return the version of a file that will be sent; it may have to be found out first.

        Raises:
            DamageError: No version of it is right.
            OrchestratorError: As `interface.Place.read`, or a cap was reached.
        """
        return stored if self.spool is None else self.spool.settled(stored)

    def content(
        self, stored: StoredFile, *, offset: int, length: int
    ) -> Iterator[Region] | Iterator[bytes]:
        """Yield a part of a file, as it can be sent; exactly `length` bytes if it ends well.

        Raises:
            DamageError: The file's bytes are known to be wrong.
            NotFoundError: The file is not there.
            OrchestratorError: As `interface.Place.read`, or a cap was reached.
        """
        if self.spool is not None:
            arrived = self.spool.read(stored, offset=offset, length=length)
            return (Region(*part) for part in arrived)
        self.meter.fetch()
        if isinstance(self._place, OpenPlace):
            return self._from_file(self._place, stored, offset, offset + length)
        return self._in_pieces(stored, offset, length)

    def _from_file(
        self, place: OpenPlace, stored: StoredFile, offset: int, end: int
    ) -> Iterator[Region]:
        with place.opened(stored) as descriptor:
            if os.fstat(descriptor).st_size != stored.file.size_bytes:
                raise _wrong_length()
            while offset < end:
                region = Region(descriptor, offset, min(PIECE_BYTES, end - offset))
                self.meter.fetched(region.length)
                yield region
                offset += region.length

    def _in_pieces(self, stored: StoredFile, offset: int, length: int) -> Iterator[bytes]:
        left = length
        for piece in self._place.read(stored, offset=offset, length=length):
            left -= len(piece)
            if left < 0:
                break
            self.meter.fetched(len(piece))
            yield piece
        if left != 0:
            raise _wrong_length()


def _wrong_length() -> EngineError:
    return EngineError("a file in the copy does not have the length it was listed with")
