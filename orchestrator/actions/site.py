"""A site put together: what every action works with.

Wiring makes it; parts are opened when they are first used, so that a command pays only for what
it needs. Holds no rules of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.named import Named
from orchestrator.actions.progress import Progress, Silent
from orchestrator.clock import Clock
from orchestrator.config.references import SecretRef
from orchestrator.config.site import SiteConfig
from orchestrator.errors import NotFoundError, RefusedError, StoppedError
from orchestrator.keys.secret import Secret

if TYPE_CHECKING:
    from orchestrator.actions.ledger.opening import SiteLedger
    from orchestrator.catalog.database import Catalog
    from orchestrator.catalog.tables import Repository as RepositoryRow
    from orchestrator.engines.bucket.bucket import Bucket
    from orchestrator.engines.restic.binary import Binary
    from orchestrator.engines.restic.repository import Repository
    from orchestrator.keys.keyring import Keyring
    from orchestrator.stores.interface import Store

SYSTEM = "system"
"""The actor of unattended work."""

CATALOG_FILE = "catalog.sqlite"
"""Name of the SQLite catalog in the state folder."""


@dataclass
class Site(Named):
    """One installation with everything an action may touch.

    Attributes:
        config: What the site file says.
        clock: Reads the time.
        resolve: Turns a secret reference into the secret; may raise `CredentialError`.
        actor: Who acts, as named in the site file, or `system`.
        progress: Told what happens.
        stop: Set when the work must end.
    """

    config: SiteConfig
    clock: Clock
    resolve: Callable[[SecretRef], Secret]
    actor: str = SYSTEM
    progress: Progress = field(default_factory=Silent)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def state_dir(self) -> Path:
        """The folder of catalog, keyring, locks and scratch files."""
        return self.config.state_dir

    @property
    def lock_dir(self) -> Path:
        """The folder of the stores' locks."""
        return self.state_dir / "locks"

    @property
    def engine_dir(self) -> Path:
        """The folder where running engine processes are recorded."""
        return self.state_dir / "engines"

    @property
    def manifest_dir(self) -> Path:
        """The folder of the sealed manifests of the newest run of each store."""
        return self.state_dir / "manifests"

    @cached_property
    def keyring(self) -> Keyring:
        """The keyring, opened."""
        from orchestrator.keys.keyring import Keyring

        return Keyring.open(keyring_path(self.state_dir), key_file_path(self.state_dir))

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog, opened and migrated."""
        return self.open_catalog(create=False)

    def open_catalog(self, *, create: bool, file: str = CATALOG_FILE) -> Catalog:
        """Open the catalog, making it first if asked.

        Args:
            create: Make it if it is not there.
            file: Name of the file in the state folder; means nothing for PostgreSQL.

        Raises:
            NotFoundError: It does not exist and may not be created.
            OrchestratorError: It cannot be reached, or is damaged.
        """
        from orchestrator.catalog.database import Catalog
        from orchestrator.catalog.encryption import FieldCipher, Pseudonyms

        wanted = self.config.catalog
        password = self.resolve(wanted.password) if wanted.password is not None else None
        return Catalog.open(
            wanted.url or f"sqlite:///{self.state_dir / file}",
            password,
            FieldCipher(self.keyring.catalog_key()),
            Pseudonyms(self.keyring.pseudonym_key()),
            create=create,
            clock=self.clock,
        )

    @cached_property
    def ledger(self) -> SiteLedger:
        """The ledger that is written, opened when its log is first used.

        Raises:
            RefusedError: There is none yet, or it was lost.
            DamageError: It cannot be read.
        """
        from orchestrator.actions.ledger.opening import open_ledger

        return open_ledger(self.state_dir, self.keyring)

    @cached_property
    def restic(self) -> Binary:
        """The restic program, found and of a supported version."""
        from orchestrator.engines.restic.binary import find_binary

        return find_binary()

    def store(self, name: str) -> Store:
        """Return a store, ready to be walked and read."""
        from orchestrator.stores.folder import FolderStore as Folder

        wanted = self.store_config(name)
        # Resolved: a root that is a link is common, and restic must see the folder behind it.
        return Folder(wanted.name, wanted.path.resolve(), sentinel=wanted.sentinel)

    def repository(self, store: str) -> RepositoryRow:
        """Return the catalog's row of the repository that takes a store's new snapshots.

        Raises:
            NotFoundError: The store was never set up.
        """
        from orchestrator.catalog import repositories

        with self.catalog.reading() as session:
            rows = repositories.of_store(session, store)
        if not rows:
            raise NotFoundError(
                f"store {store} has no repository yet",
                hint=f"orchestrator init {self.config.path.parent}",
            )
        return rows[-1]

    def primary_root(self, repository: str) -> Path:
        """Return the folder of a repository in the primary copy."""
        return self.config.primary.path / repository

    def primary_engine(
        self, store: str, repository: str, *, lock_fd: int | None = None
    ) -> Repository:
        """Return restic on the primary copy of a repository.

        Args:
            store: Store name.
            repository: Repository name.
            lock_fd: The store lock, which restic's process then holds too.
        """
        from orchestrator.engines.restic.repository import Repository

        return Repository(
            self.restic,
            str(self.primary_root(repository)),
            lambda: self.keyring.password(repository),
            name=f"{self.config.primary.name}/{repository}",
            cache_dir=self.state_dir / "cache",
            lock_fd=lock_fd,
            record_dir=self.engine_dir / store,
            stop=self.stop,
        )

    def copy_engine(self, repository: str, location: str, copy: str) -> Repository:
        """Return restic on any copy, read-only, without locks and without its cache.

        Args:
            repository: Repository name.
            location: What restic calls the repository: a folder or a URL.
            copy: The copy's name, for messages.
        """
        from orchestrator.engines.restic.repository import Repository

        return Repository(
            self.restic,
            location,
            lambda: self.keyring.password(repository),
            name=f"{copy}/{repository}",
            read_only=True,
            stop=self.stop,
        )

    def bucket(self, name: str) -> Bucket:
        """Return the bucket of an immutable copy."""
        from orchestrator.engines.bucket.bucket import Bucket
        from orchestrator.engines.bucket.settings import BucketSettings

        copy = self.bucket_config(name)
        sweeper = copy.sweeper
        return Bucket(
            BucketSettings(
                copy=copy.name,
                endpoint=copy.endpoint,
                region=copy.region,
                bucket=copy.bucket,
                prefix=copy.prefix,
                lock_period=copy.lock_period,
                ca_file=copy.ca_file,
                access_key=self.resolve(copy.writer.access_key).reveal(),
                secret_key=self.resolve(copy.writer.secret_key),
                sweeper=None
                if sweeper is None
                else (
                    self.resolve(sweeper.access_key).reveal(),
                    self.resolve(sweeper.secret_key),
                ),
            ),
            self.clock,
        )

    def demand_role(self, *roles: str) -> None:
        """Refuse a person who does not have one of these roles; unattended work may pass.

        Raises:
            RefusedError: The actor has none of them.
        """
        if self.actor == SYSTEM:
            return
        actor = self.config.actors[self.actor]
        if not actor.roles & set(roles):
            raise RefusedError(
                f"actor {self.actor} may not do this: it takes the role {' or '.join(roles)}",
                hint="use --as ACTOR, or give the role in the site file",
            )

    def check_stop(self) -> None:
        """End the work if it was asked to.

        Raises:
            StoppedError: It was.
        """
        if self.stop.is_set():
            raise StoppedError("stopped", hint="the next run goes on from here")


def keyring_path(state_dir: Path) -> Path:
    """Return where the keyring is."""
    return state_dir / "keys" / "keyring.json"


def key_file_path(state_dir: Path) -> Path:
    """Return where the key file is that unwraps the keyring."""
    return state_dir / "keys" / "site.key"
