"""Fetches each file once, whole, into a private file, and says whether its bytes are right.

For places that cannot be trusted: whoever holds a credential of a bucket may have put anything
there. A part of a file can be sent on as soon as it has arrived; the whole is hashed all the same,
and what turns out wrong is remembered. A wrong file is not sent again, but for a pack of which
there is no other version: restic authenticates each blob in it, so one bad sector does not take
everything else in the pack along. Nothing is left on the disk, however this process ends.

Knows nothing of sockets and of restic; which versions of a file may be the right one is told.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from orchestrator.engines.disk_reading import PIECE_BYTES, in_threads
from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.layout import FileKey
from orchestrator.engines.meter import Meter
from orchestrator.engines.spooled import Arriving, SmallFiles, wrong_bytes
from orchestrator.errors import (
    DamageError,
    EngineError,
    NotFoundError,
    OrchestratorError,
    StoppedError,
)

CAP_BYTES = 1 << 30
"""How much of what was fetched is kept on the disk, unless told otherwise: 16 packs."""

MOST_FILES = 128  # larger files that are kept open at once
CONNECTIONS = 6  # files that are fetched at once; restic asks on five connections


class Spool:
    """What was fetched from a place; a context manager, safe to use from several threads.

    Args:
        place: Where the bytes are.
        meter: Counts what is asked of the place, and may cap it.
        config_digest: SHA-256 of ``config`` in hex, which is not named by its content; None
            leaves its check to restic, which authenticates it.
        candidates: The versions that may be the right one, in the order in which they are tried,
            for files that have several. Such a file is sent when the right one was found; all
            others are sent while they arrive.
        folder: Existing folder for the files; the system's temporary one unless given.
        cap_bytes: How much to keep there. What is being read is kept in any case.
    """

    def __init__(
        self,
        place: Place,
        meter: Meter,
        *,
        config_digest: str | None = None,
        candidates: Mapping[FileKey, Sequence[StoredFile]] | None = None,
        folder: Path | None = None,
        cap_bytes: int = CAP_BYTES,
    ) -> None:
        self._place = place
        self._meter = meter
        self._config_digest = config_digest
        self._candidates = dict(candidates or {})
        self._folder = folder
        self._cap_bytes = cap_bytes
        self._changed = threading.Condition()
        self._entries: OrderedDict[FileKey, Arriving] = OrderedDict()
        self._small = SmallFiles(folder)
        self._pool = ThreadPoolExecutor(CONNECTIONS, "spool")
        self._right: dict[FileKey, StoredFile] = {}
        self._bad: set[FileKey] = set()
        self._stopped = False

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._changed:
            for entry in self._entries.values():
                entry.close()
            self._entries.clear()
            self._small.close()

    def stop(self) -> None:
        """Fetch no more, and let everybody go who waits."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def bad_files(self) -> list[FileKey]:
        """Kind and name of the files that were found to have wrong bytes, sorted.

        Waits for what is being fetched, so that nothing that was sent on is left out.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopped or not any(e.is_coming for e in self._entries.values())
            )
            return sorted(self._bad)

    def settled(self, stored: StoredFile) -> StoredFile:
        """Return the version of a file that `read` will give; several are compared first.

        Args:
            stored: Any version of the file.

        Raises:
            DamageError: No version is right.
            OrchestratorError: As `interface.Place.read`, or a cap was reached.
        """
        key = stored.file.key
        if key in self._right:
            return self._right[key]
        return self._whole(stored) if len(self._candidates.get(key, ())) > 1 else stored

    def verified(self, files: Iterable[StoredFile]) -> Iterator[tuple[StoredFile, bool]]:
        """Fetch files whole, several at once, and yield the right version of each, in order.

        Yields:
            The right version and True; or, if none is, what was asked for and False.

        Raises:
            OrchestratorError: As `interface.Place.read`, or a cap was reached.
        """

        def one(stored: StoredFile) -> tuple[StoredFile, bool]:
            try:
                return self._whole(stored), stored.file.key not in self._bad
            except (DamageError, NotFoundError):
                return stored, False

        return in_threads(one, files, threads=CONNECTIONS)

    def read(
        self, stored: StoredFile, *, offset: int, length: int
    ) -> Iterator[tuple[int, int, int]]:
        """Yield a part of a file as it arrives: descriptor, offset in it, and length.

        Args:
            stored: The version that `settled` gave.
            offset: Where the part begins.
            length: Its length in bytes, within the file.

        Raises:
            DamageError: The file's bytes are known to be wrong, and it is not sent.
            NotFoundError: The file is not there.
            OrchestratorError: As `interface.Place.read`, or a cap was reached.
        """
        at, end = offset, offset + length
        with self._using(stored) as entry:
            while at < end:
                self._wait(entry, beyond=at)
                until = min(entry.arrived, end, at + PIECE_BYTES)
                if until <= at:
                    raise EngineError("more was asked of a file than it has")
                yield entry.descriptor, entry.base + at, until - at
                at = until

    # ---- entries -----------------------------------------------------------------------------

    def _whole(self, stored: StoredFile) -> StoredFile:
        with self._using(stored) as entry:
            self._wait(entry)
            return entry.stored

    @contextmanager
    def _using(self, stored: StoredFile) -> Iterator[Arriving]:
        """Have a file fetched, unless it is there or on its way, and keep it meanwhile."""
        key = stored.file.key
        with self._changed:
            entry = self._entries.get(key)
            if key in self._bad and key[0] != "data":
                raise wrong_bytes(stored)
            if entry is None or (entry.error is not None and not self._stopped):
                entry = self._entries[key] = Arriving(self._right.get(key, stored))
                if not self._stopped:
                    self._pool.submit(self._fetch, entry)
            entry.users += 1
            self._entries.move_to_end(key)
        try:
            yield entry
        finally:
            with self._changed:
                entry.users -= 1
                if not entry.users and self._entries.get(key) is not entry:
                    entry.close()

    def _wait(self, entry: Arriving, *, beyond: int | None = None) -> None:
        """Wait for bytes beyond an offset; for the whole and its hash if none is given."""

        def is_ready() -> bool:
            return entry.settled or (beyond is not None and entry.arrived > beyond)

        with self._changed:
            self._changed.wait_for(lambda: self._stopped or entry.error is not None or is_ready())
            if entry.error is not None:
                raise entry.error
            if not is_ready():
                raise StoppedError("the lens was closed")

    # ---- fetching ----------------------------------------------------------------------------

    def _fetch(self, entry: Arriving) -> None:
        asked = entry.stored
        key = asked.file.key
        error: OrchestratorError | None = EngineError(f"a {asked.file.kind} file was not fetched")
        try:
            error = self._find_right(entry, self._candidates.get(key) or (asked,))
        except OrchestratorError as failure:
            error = failure
        except OSError as failure:
            error = EngineError(
                f"the folder for what is fetched cannot be used: {failure.strerror}",
                hint="free space there, or choose another folder",
            )
        finally:
            with self._changed:
                if error is None:
                    entry.arrived = entry.stored.file.size_bytes
                    self._right[key] = entry.stored
                elif isinstance(error, DamageError):
                    self._bad.add(key)
                    if key[0] == "data" and entry.arrived == entry.stored.file.size_bytes:
                        error = None  # it was shown, and is all there is
                entry.error, entry.settled = error, error is None
                self._changed.notify_all()

    def _find_right(
        self, entry: Arriving, candidates: Sequence[StoredFile]
    ) -> OrchestratorError | None:
        """Fetch versions until one is right; returns what is wrong if none is."""
        problem: OrchestratorError = wrong_bytes(entry.stored)
        tried = (entry.stored,) if entry.stored.file.key in self._right else candidates
        for stored in tried:
            try:
                if self._arrives_right(entry, stored, shown=len(tried) == 1):
                    return None
            except NotFoundError as gone:
                if len(tried) == 1:
                    problem = gone
        return problem

    def _arrives_right(self, entry: Arriving, stored: StoredFile, *, shown: bool) -> bool:
        """Fetch one version whole.

        Args:
            entry: Where its bytes go.
            stored: The version.
            shown: Whether they may be sent on before all are there.
        """
        with self._changed:
            self._make_room(stored.file.size_bytes)
            entry.begin(stored, self._small, self._folder)
        self._meter.fetch()
        digest = hashlib.sha256()
        done, size = 0, stored.file.size_bytes
        for piece in self._place.read(stored):
            if self._stopped:
                raise StoppedError("the lens was closed")
            self._meter.fetched(len(piece))
            digest.update(piece)
            if done + len(piece) > size:
                return False
            entry.write(done, piece)
            done += len(piece)
            if shown:
                with self._changed:
                    entry.arrived = done
                    self._changed.notify_all()
        expected = self._config_digest if stored.file.kind == "config" else stored.file.name
        return done == size and expected in (None, digest.hexdigest())

    def _make_room(self, size_bytes: int) -> None:
        """Let go of what was used longest ago."""
        large = {key: entry for key, entry in self._entries.items() if entry.kept_bytes}
        total, count = sum(entry.kept_bytes for entry in large.values()), len(large)
        for key, entry in large.items():
            if total + size_bytes <= self._cap_bytes and count < MOST_FILES:
                return
            if entry.settled and not entry.users:
                total, count = total - entry.kept_bytes, count - 1
                del self._entries[key]
                entry.close()
