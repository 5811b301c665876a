"""One repository's bytes in an Object-Lock bucket: the Place port.

Puts every object whole, locked and read back; finds the right version of each name whatever was
put over it. Knows nothing of restic's keys, of the catalog or of which files are still needed.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.engines.bucket.as_of import Recall, recall
from orchestrator.engines.bucket.door import PIECE_BYTES, Door
from orchestrator.engines.bucket.faults import is_passing
from orchestrator.engines.bucket.lock import (
    MODE,
    held_until,
    lengthen,
    read_retention,
    retain_until,
)
from orchestrator.engines.bucket.selection import Selection
from orchestrator.engines.bucket.versions import VersionFact, by_key, list_versions
from orchestrator.engines.interface import Receipt, StoredFile
from orchestrator.engines.layout import LIST_ORDER, RepositoryFile
from orchestrator.errors import DamageError, EngineError, NotFoundError, OrchestratorError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Content:
    """What a file in the primary holds."""

    sha256: str
    md5: bytes
    size_bytes: int


class BucketPlace:
    """The Place of one repository in one bucket; safe to use from several threads.

    Args:
        door: The writer's way in.
        base: Key prefix of the repository, with its slash.
        sweep: Removes a version whose lock has ended.
        known: Version id by path, as recorded when the files were put.
        config_digest: SHA-256 of ``config`` in hex, the one file not named by its content.
    """

    def __init__(
        self,
        door: Door,
        base: str,
        *,
        sweep: Callable[[VersionFact], None],
        known: Mapping[str, str],
        config_digest: str | None,
    ) -> None:
        self._door = door
        self._base = base
        self._sweep = sweep
        self._known = known
        self._selection = Selection(door, known, config_digest)
        self.config_digest = config_digest

    @property
    def workers(self) -> int:
        """How many `put` calls may usefully run at once."""
        return self._door.settings.workers

    @property
    def requests(self) -> int:
        """How many requests were made with the writer's credential so far."""
        return self._door.requests

    @property
    def removes_at_once(self) -> bool:
        """Object Lock keeps files; they leave by the sweeper when their lock has ended."""
        return False

    def flush(self) -> None:
        """Do nothing: a put is durable when the server has answered."""

    def list(self) -> Iterator[StoredFile]:
        """List every file in `layout.LIST_ORDER`, each with the version that is right.

        As `Selection.choose`: where no version is right the oldest is listed, and whoever reads
        it finds the damage. A name of which only delete markers are left is not listed.

        Raises:
            OrchestratorError: As `interface.Place.list`.
        """
        for facts in self._names():
            parsed = facts[0].parsed
            versions = [fact for fact in facts if not fact.is_marker]
            if parsed is None or not versions:
                continue
            right = self._selection.choose(versions)
            yield StoredFile(
                file=RepositoryFile(*parsed, right.size_bytes),
                version_id=right.version_id,
                versions=len(versions),
                hidden=facts[0].is_marker and facts[0].is_latest,
            )

    def recall(self, at: datetime | None = None) -> Recall:
        """Say what was there at an instant, as far as that can be said without reading.

        Args:
            at: The instant, aware; None for now.

        Raises:
            OrchestratorError: As `interface.Place.list`.
        """
        return recall(self._names(), known=self._known, at=at)

    def _names(self) -> Iterator[Sequence[VersionFact]]:
        """Yield all versions and markers name by name, in `layout.LIST_ORDER`."""
        below = ("config" if kind == "config" else f"{kind}/" for kind in LIST_ORDER)
        listings = (list_versions(self._door, self._base, below=one) for one in below)
        return by_key(chain.from_iterable(listings))

    def put(self, file: RepositoryFile, source: Path, digest: str) -> Receipt:
        """Store one file whole, locked, and read its size and lock back.

        Raises:
            DamageError: The source's bytes do not have this digest; nothing was stored.
            OrchestratorError: As `interface.Place.put`.
        """
        content = self._inspect(file, source, digest)
        until = retain_until(self._door.clock.now(), self._door.settings.lock_period)
        version_id = self._store(file, source, content, until)
        held = self._read_back(file, version_id, content)
        if held is None or held < until:
            log.warning("copy %s: an upload was not locked; locking it now", self._copy)
            held = lengthen(self._door, self._base + file.path, version_id, until)
        self._selection.remember(file.path, version_id)
        stored = RepositoryFile(file.kind, file.name, content.size_bytes)
        return Receipt(file=stored, version_id=version_id, retain_until=held)

    def read(
        self, stored: StoredFile, *, offset: int = 0, length: int | None = None
    ) -> Iterator[bytes]:
        """Yield the content of a file's version in pieces of at most 1 MiB.

        Raises:
            OrchestratorError: As `interface.Place.read`.
        """
        left = max(0, stored.file.size_bytes - offset)
        wanted = left if length is None else min(length, left)
        return self._door.stream(
            self._base + stored.file.path,
            f"reading of {stored.file.path}",
            version_id=stored.version_id,
            offset=offset,
            length=wanted,
        )

    def remove(self, stored: StoredFile) -> None:
        """Remove a file's version, if its lock has ended, with the sweeper's credential.

        Other versions and delete markers of the name stay; `Bucket.versions` lists them.

        Raises:
            RefusedError: It is still locked, or there is no sweeper.
            OrchestratorError: As `interface.Place.remove`.
        """
        self._sweep(
            VersionFact(
                key=self._base + stored.file.path,
                path=stored.file.path,
                version_id=self._version(stored),
                is_marker=False,
                is_latest=not stored.hidden,
                size_bytes=stored.file.size_bytes,
                etag="",
                modified=datetime.fromtimestamp(0, UTC),
            )
        )

    def retention(self, stored: StoredFile) -> datetime | None:
        """Return until when a file's version is locked by COMPLIANCE; None if it is not.

        Raises:
            OrchestratorError: As `Door.call`.
        """
        key = self._base + stored.file.path
        return read_retention(self._door, key, self._version(stored))

    def extend(self, stored: StoredFile, until: datetime) -> datetime:
        """Lock a file's version at least until an instant; returns what was read back.

        Raises:
            OrchestratorError: As `lock.lengthen`.
        """
        key = self._base + stored.file.path
        return lengthen(self._door, key, self._version(stored), until)

    @property
    def _copy(self) -> str:
        return self._door.settings.copy

    def _version(self, stored: StoredFile) -> str:
        if stored.version_id is None:
            raise NotFoundError(f"copy {self._copy}: {stored.file.path} has no version id")
        return stored.version_id

    def _inspect(self, file: RepositoryFile, source: Path, digest: str) -> _Content:
        """Hash the source in one pass, and let no wrong byte through."""
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        try:
            with source.open("rb", buffering=0) as stream:
                while piece := stream.read(PIECE_BYTES):
                    sha256.update(piece)
                    md5.update(piece)
                    size += len(piece)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise EngineError(
                f"copy {self._copy}: {file.path} cannot be read in the primary: {reason}"
            ) from error
        found = sha256.hexdigest()
        if found != digest or (file.kind != "config" and found != file.name):
            raise DamageError(
                f"copy {self._copy}: {file.path} is damaged in the primary; it was not sent",
                hint="orchestrator check",
            )
        return _Content(found, md5.digest(), size)

    def _store(self, file: RepositoryFile, source: Path, content: _Content, until: datetime) -> str:
        """Upload, and look before trying again: the answer may be all that was lost."""
        tried = 0
        while True:
            try:
                return self._upload(file, source, content, until)
            except OrchestratorError as error:
                tried += 1
                if tried >= self._door.settings.attempts or not is_passing(error):
                    raise
                log.info("%s; trying again", error.message)
            self._door.wait(tried)
            arrived = self._find(file, content)
            if arrived is not None:
                return arrived
            content = self._inspect(file, source, content.sha256)

    def _upload(
        self, file: RepositoryFile, source: Path, content: _Content, until: datetime
    ) -> str:
        with source.open("rb") as stream:
            answer = self._door.once(
                "put_object",
                f"upload of {file.path}",
                Key=self._base + file.path,
                Body=stream,
                ContentLength=content.size_bytes,
                ContentMD5=base64.b64encode(content.md5).decode("ascii"),
                ObjectLockMode=MODE,
                ObjectLockRetainUntilDate=until,
            )
        version_id = answer.get("VersionId")
        if not version_id or version_id == "null":
            raise EngineError(
                f"copy {self._copy}: the bucket keeps no versions, so nothing in it is locked",
                hint="orchestrator doctor",
            )
        return str(version_id)

    def _find(self, file: RepositoryFile, content: _Content) -> str | None:
        """Return the version of an upload whose answer never came, if it arrived whole."""
        for fact in list_versions(self._door, self._base, below=file.path):
            same = fact.path == file.path and fact.size_bytes == content.size_bytes
            if same and not fact.is_marker and fact.etag == content.md5.hex():
                return fact.version_id
        return None

    def _read_back(
        self, file: RepositoryFile, version_id: str, content: _Content
    ) -> datetime | None:
        answer: dict[str, Any] = self._door.call(
            "head_object",
            f"read-back of {file.path}",
            Key=self._base + file.path,
            VersionId=version_id,
        )
        if answer["ContentLength"] != content.size_bytes:
            raise EngineError(
                f"copy {self._copy}: {file.path} was stored with {answer['ContentLength']} bytes "
                f"instead of {content.size_bytes}"
            )
        # some servers show a lock only to who asks for nothing else
        return held_until(answer) or read_retention(self._door, self._base + file.path, version_id)
