"""Which of several versions of a name is the right one.

Decides by recorded version ids and by content, never by time: the server's clock has whole
seconds, and an attacker writes later than we did. Knows nothing of retention.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from orchestrator.engines.bucket.door import Door
from orchestrator.engines.bucket.versions import VersionFact


class Selection:
    """Chooses versions for one repository, and remembers what it had to find out.

    Args:
        door: How to read versions that must be compared.
        known: Version id by path, as recorded when the files were put.
        config_digest: SHA-256 of ``config`` in hex, the one file not named by its content.
    """

    def __init__(self, door: Door, known: Mapping[str, str], config_digest: str | None) -> None:
        self._door = door
        self._known = known
        self._config_digest = config_digest
        self._found: dict[str, str] = {}

    def remember(self, path: str, version_id: str) -> None:
        """Take a version for the right one of a path from now on."""
        self._found[path] = version_id

    def choose(self, versions: Sequence[VersionFact]) -> VersionFact:
        """Return the right version of one repository file, or the oldest if none is right.

        Args:
            versions: All versions of the file without delete markers, the latest first; not empty.

        Raises:
            OrchestratorError: As `Door.stream`; only where versions must be compared.
        """
        path = versions[0].path
        for wanted in (self._known.get(path), self._found.get(path)):
            for version in versions:
                if version.version_id == wanted:
                    return version
        oldest = versions[-1]
        if len(versions) == 1:
            return oldest
        digest = self._digest_of(oldest)
        # the oldest first: what an attacker puts comes after what we put
        for version in reversed(versions) if digest is not None else ():
            if self._hash(version) == digest:
                self.remember(path, version.version_id)
                return version
        return oldest

    def _digest_of(self, version: VersionFact) -> str | None:
        parsed = version.parsed
        if parsed is None:
            return None
        return self._config_digest if parsed[0] == "config" else parsed[1]

    def _hash(self, version: VersionFact) -> str:
        total = hashlib.sha256()
        pieces = self._door.stream(
            version.key,
            f"comparison of the versions of {version.path}",
            version_id=version.version_id,
            offset=0,
            length=version.size_bytes,
        )
        for piece in pieces:
            total.update(piece)
        return total.hexdigest()
