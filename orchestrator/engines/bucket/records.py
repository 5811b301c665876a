"""Small files in a bucket that are written once: the ledger's tiles and checkpoints.

Unlike a repository's files their names do not say what they hold, so whoever reads them must be
able to tell right bytes from wrong ones. Puts each file whole, locked, and reads its lock back;
never over one that is there, where the server can promise that.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.engines.bucket.door import Door
from orchestrator.engines.bucket.faults import code_of, is_passing
from orchestrator.engines.bucket.lock import (
    MODE,
    held_until,
    lengthen,
    read_retention,
    retain_until,
)
from orchestrator.engines.bucket.versions import VersionFact, list_versions
from orchestrator.errors import EngineError, OrchestratorError

log = logging.getLogger(__name__)

_THERE_ALREADY = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_UNCONDITIONAL = frozenset({"NotImplemented", "InvalidArgument", "InvalidRequest"})


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """One version that was put, or found.

    Attributes:
        version_id: The version.
        retain_until: Until when it is locked by COMPLIANCE.
        is_new: It was put now, and nothing was there before.
    """

    version_id: str
    retain_until: datetime | None
    is_new: bool


class Records:
    """The files of one folder of a bucket.

    Args:
        door: The writer's way in.
        base: Key prefix, with its slash.
    """

    def __init__(self, door: Door, base: str) -> None:
        self._door = door
        self._base = base
        self._is_conditional = True

    @property
    def requests(self) -> int:
        """How many requests were made with the writer's credential so far."""
        return self._door.requests

    def versions(self, below: str = "") -> Iterator[VersionFact]:
        """Yield every version and delete marker, by path in byte order, the latest first.

        Args:
            below: What the paths begin with.

        Raises:
            OrchestratorError: As `Door.call`.
        """
        return list_versions(self._door, self._base, below=below)

    def read(self, version: VersionFact, *, limit: int) -> bytes:
        """Return the content of a version.

        Args:
            version: Which one.
            limit: Most bytes it may have; a larger one is refused.

        Raises:
            EngineError: It is larger.
            OrchestratorError: As `Door.stream`.
        """
        if version.size_bytes > limit:
            raise EngineError(f"copy {self._copy}: a record of the ledger is far too large")
        return b"".join(
            self._door.stream(
                version.key,
                f"reading of {version.path}",
                version_id=version.version_id,
                offset=0,
                length=version.size_bytes,
            )
        )

    def put(self, path: str, data: bytes, *, until: datetime | None = None) -> KeptRecord:
        """Store a file that is not there yet, locked; one with the same bytes is taken as it is.

        Args:
            path: Below the folder.
            data: The whole content.
            until: Until when to lock it; None for the copy's lock period from now.

        Raises:
            EngineError: Something else is there under this name, or the lock does not hold.
            OrchestratorError: As `Door.call`.
        """
        wanted = retain_until(self._door.clock.now(), self._door.settings.lock_period)
        if until is not None:
            wanted = max(wanted, until)
        version_id, is_new = self._store(path, data, wanted)
        answer = self._door.call(
            "head_object",
            f"read-back of {path}",
            Key=self._base + path,
            VersionId=version_id,
        )
        if answer["ContentLength"] != len(data):
            raise EngineError(f"copy {self._copy}: {path} was stored with a wrong length")
        key = self._base + path
        held = held_until(answer) or read_retention(self._door, key, version_id)
        if held is None or held < wanted:
            held = lengthen(self._door, key, version_id, wanted)
        return KeptRecord(version_id, held, is_new)

    def extend(self, path: str, version_id: str, until: datetime) -> datetime:
        """Lock a version at least until an instant; returns what was read back.

        Raises:
            OrchestratorError: As `lock.lengthen`.
        """
        return lengthen(self._door, self._base + path, version_id, until)

    @property
    def _copy(self) -> str:
        return self._door.settings.copy

    def _store(self, path: str, data: bytes, until: datetime) -> tuple[str, bool]:
        """Upload, and look before trying again: the answer may be all that was lost."""
        tried = 0
        while True:
            try:
                return self._upload(path, data, until), True
            except OrchestratorError as error:
                tried += 1
                code = code_of(error)
                if code in _THERE_ALREADY:
                    return self._right_one(path, data), False
                if self._is_conditional and code in _UNCONDITIONAL:
                    self._is_conditional = False
                    continue
                if tried >= self._door.settings.attempts or not is_passing(error):
                    raise
                log.info("%s; trying again", error.message)
            self._door.wait(tried)
            found = self._find(path, data)
            if found is not None:
                return found, True

    def _upload(self, path: str, data: bytes, until: datetime) -> str:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if self._is_conditional else {}
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        answer = self._door.once(
            "put_object",
            f"upload of {path}",
            Key=self._base + path,
            Body=data,
            ContentMD5=base64.b64encode(digest).decode("ascii"),
            ObjectLockMode=MODE,
            ObjectLockRetainUntilDate=until,
            **condition,
        )
        version_id = answer.get("VersionId")
        if not version_id or version_id == "null":
            raise EngineError(
                f"copy {self._copy}: the bucket keeps no versions, so nothing in it is locked",
                hint="orchestrator doctor",
            )
        return str(version_id)

    def _right_one(self, path: str, data: bytes) -> str:
        found = self._find(path, data)
        if found is None:
            raise EngineError(
                f"copy {self._copy}: something else stands under the name of a ledger's file",
                hint="orchestrator ledger verify",
            )
        return found

    def _find(self, path: str, data: bytes) -> str | None:
        """Return the oldest version of a path that has these very bytes."""
        versions = [
            fact
            for fact in self.versions(path)
            if fact.path == path and not fact.is_marker and fact.size_bytes == len(data)
        ]
        for fact in reversed(versions):
            if self.read(fact, limit=len(data)) == data:
                return fact.version_id
        return None
