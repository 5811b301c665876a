"""Writes the right version of each file of a bucket into a clean repository folder.

A file gets its name when it is whole, has the right hash and is durable; one that is there already
with the right bytes is left alone, so that a rescue that was cut off goes on. Knows no keys and
nothing of the catalog.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.engines.digest import sha256_of
from orchestrator.engines.disk_errors import disk_errors
from orchestrator.engines.disk_reading import in_threads
from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.layout import WRITE_ORDER, FileKey, file_path
from orchestrator.errors import NotFoundError, RefusedError

PART = ".part"
"""End of the names of files that are not whole yet."""

_MODE = 0o400  # as restic's own files


@dataclass(slots=True)
class Rescued:
    """What a rescue came to.

    Attributes:
        files: Files in the folder, each with the right bytes.
        size_bytes: Their total length.
        already: Of those, how many were there before.
        damaged: Names of which no version has the right bytes.
    """

    files: int = 0
    size_bytes: int = 0
    already: int = 0
    damaged: list[FileKey] = field(default_factory=list)


class Rescue:
    """Fills one folder from one place.

    Args:
        copy: Name of the copy, for messages.
        place: Where the bytes are.
        folder: The repository's folder; made if its parent is there.
        config_digest: SHA-256 of ``config`` in hex; None takes the version that is tried first.
    """

    def __init__(
        self, copy: str, place: Place, folder: Path, *, config_digest: str | None = None
    ) -> None:
        self._copy = copy
        self._place = place
        self._folder = folder
        self._config_digest = config_digest

    def write(
        self,
        candidates: Mapping[FileKey, Sequence[StoredFile]],
        *,
        on_file: Callable[[Rescued], None] = lambda _: None,
    ) -> Rescued:
        """Write the right version of each name, in an order that keeps the repository valid.

        Args:
            candidates: The versions to try for each name.
            on_file: Called after each file with the count so far; may raise to end the work.

        Raises:
            RefusedError: The folder holds something else.
            OrchestratorError: The folder cannot be written, or as `interface.Place.read`.
        """
        result = Rescued()
        with disk_errors(self._copy, "writing the recovered files"):
            self._prepare(candidates)
            for kind in WRITE_ORDER:
                keys = [key for key in candidates if key[0] == kind]
                self._write_kind(keys, candidates, result, on_file)
                self._make_names_durable(keys)
        return result

    def _write_kind(
        self,
        keys: Sequence[FileKey],
        candidates: Mapping[FileKey, Sequence[StoredFile]],
        result: Rescued,
        on_file: Callable[[Rescued], None],
    ) -> None:
        def one(key: FileKey) -> tuple[FileKey, int | None, bool]:
            size = self._already(key)
            if size is not None:
                return key, size, True
            return key, self._fetch(key, candidates[key]), False

        for key, size, already in in_threads(one, keys, threads=self._place.workers):
            if size is None:
                result.damaged.append(key)
            else:
                result.files += 1
                result.size_bytes += size
                result.already += already
            on_file(result)

    def _prepare(self, candidates: Iterable[FileKey]) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        expected = {self._path(key) for key in candidates}
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                if name.endswith(PART):
                    path.unlink()
                elif path not in expected:
                    raise RefusedError(
                        "the folder to recover to holds files that do not belong to this recovery",
                        hint="choose a new or an empty folder",
                    )
        for parent in {path.parent for path in expected}:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _already(self, key: FileKey) -> int | None:
        """Return the length of a file that is there with the right bytes."""
        path = self._path(key)
        with suppress(FileNotFoundError):
            expected = self._expected(key)
            if expected is not None and sha256_of(path) == expected:
                return path.stat().st_size
        return None

    def _fetch(self, key: FileKey, versions: Sequence[StoredFile]) -> int | None:
        """Write the first version that is right; None if none is."""
        path = self._path(key)
        part = path.with_name(path.name + PART)
        for stored in versions:
            with suppress(NotFoundError):
                if self._arrives_right(stored, part):
                    part.rename(path)
                    return stored.file.size_bytes
        part.unlink(missing_ok=True)
        return None

    def _arrives_right(self, stored: StoredFile, part: Path) -> bool:
        digest, size = hashlib.sha256(), 0
        part.unlink(missing_ok=True)
        with open(part, "xb", buffering=0, opener=_private) as file:
            for piece in self._place.read(stored):
                digest.update(piece)
                size += len(piece)
                left = memoryview(piece)
                while left:
                    left = left[file.write(left) :]
            os.fsync(file.fileno())
        expected = self._expected(stored.file.key)
        return size == stored.file.size_bytes and expected in (None, digest.hexdigest())

    def _make_names_durable(self, keys: Iterable[FileKey]) -> None:
        for folder in {self._path(key).parent for key in keys}:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _expected(self, key: FileKey) -> str | None:
        return self._config_digest if key[0] == "config" else key[1]

    def _path(self, key: FileKey) -> Path:
        return self._folder / file_path(*key)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _MODE)
