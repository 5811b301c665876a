"""An Object-Lock bucket: what it is, its places, its versions, and the proof that it holds.

The one class that actions use. Knows nothing of restic, of the catalog or of stores; a repository
is a name to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import TracebackType

from orchestrator.clock import Clock
from orchestrator.engines.bucket.door import Door
from orchestrator.engines.bucket.lock import (
    BucketFacts,
    bucket_facts,
    create_bucket,
    read_retention,
    remove_version,
)
from orchestrator.engines.bucket.place import BucketPlace
from orchestrator.engines.bucket.probe import PROBE_FOLDER, Probe, ProbeResult
from orchestrator.engines.bucket.records import Records
from orchestrator.engines.bucket.settings import BucketSettings
from orchestrator.engines.bucket.versions import VersionFact, list_versions
from orchestrator.errors import RefusedError


class Bucket:
    """One immutable copy; a context manager that closes its connections.

    Args:
        settings: Where it is and who speaks to it.
        clock: The time.
    """

    def __init__(self, settings: BucketSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._writer = Door(
            settings, clock, access_key=settings.access_key, secret_key=settings.secret_key
        )
        self._sweeper: Door | None = None
        if settings.sweeper is not None:
            access_key, secret_key = settings.sweeper
            self._sweeper = Door(settings, clock, access_key=access_key, secret_key=secret_key)

    def __enter__(self) -> Bucket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; they open again when needed."""
        self._writer.close()
        if self._sweeper is not None:
            self._sweeper.close()

    def facts(self) -> BucketFacts:
        """Ask the bucket what it is; a missing bucket is a fact, not an error.

        Raises:
            OrchestratorError: As `Door.call`.
        """
        return bucket_facts(self._writer)

    def create(self) -> BucketFacts:
        """Create the bucket with Object Lock, or accept one that already has it.

        Raises:
            RefusedError: It exists without Object Lock.
            OrchestratorError: As `Door.call`.
        """
        return create_bucket(self._writer)

    def place(
        self,
        repository: str,
        known: Mapping[str, str] | None = None,
        *,
        config_digest: str | None = None,
    ) -> BucketPlace:
        """Return the place of one repository.

        Args:
            repository: Its name; the keys begin with ``<prefix>/<repository>/``.
            known: Version id by path below it, as recorded when the files were put.
            config_digest: SHA-256 of its ``config`` in hex, if recorded.

        Raises:
            ValueError: The name is empty, has a slash, or begins with a dot.
        """
        if not repository or "/" in repository or repository.startswith("."):
            raise ValueError(f"{repository!r} is no repository name")
        return BucketPlace(
            self._writer,
            self.settings.key_base(repository),
            sweep=self.sweep,
            known=known or {},
            config_digest=config_digest,
        )

    def records(self, folder: str) -> Records:
        """Return the files of a folder that are written once; no repository has its name.

        Args:
            folder: Key prefix below the copy's own, without slashes at its ends.
        """
        return Records(self._writer, self.settings.key_base(folder))

    def versions(self, repository: str) -> Iterator[VersionFact]:
        """Yield every version and delete marker of a repository, foreign names too.

        Raises:
            OrchestratorError: As `Door.call`.
        """
        return list_versions(self._writer, self.settings.key_base(repository))

    def retention(self, version: VersionFact) -> datetime | None:
        """Return until when a version is locked by COMPLIANCE; None if it is not.

        Raises:
            OrchestratorError: As `Door.call`.
        """
        return read_retention(self._writer, version.key, version.version_id)

    def sweep(self, version: VersionFact) -> None:
        """Remove a version whose lock has ended, or a delete marker, as the sweeper.

        Raises:
            RefusedError: It is still locked, or no sweeper is configured.
            OrchestratorError: As `Door.call`.
        """
        if self._sweeper is None:
            raise RefusedError(
                f"copy {self.settings.copy}: no credential may remove versions",
                hint=f"add [copies.{self.settings.copy}.sweeper], or a life-cycle rule",
            )
        remove_version(self._sweeper, version, self._clock.now())

    def probe(self) -> ProbeResult:
        """Try to tamper with a canary, with the production credential and the sweeper's.

        Never raises for what the server or the network does: that is the verdict.
        """
        return Probe(self._writer, self._sweeper, self.settings.key_base(PROBE_FOLDER)).run()
