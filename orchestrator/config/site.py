"""What a site's configuration says, as plain frozen values.

`load.load_site` makes them; wiring hands small parts of them to the rooms, which never see the
configuration itself. Nothing here reads a file, an environment variable or a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from orchestrator.config.caches import Cache
from orchestrator.config.issuing import Certificates, LedgerAnchors, Organization, Vendor
from orchestrator.config.references import SecretRef

Role = Literal["operator", "compliance", "custodian"]
CopyRole = Literal["local", "offline", "immutable"]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Where the catalog is.

    Attributes:
        url: PostgreSQL URL without a password; None for SQLite in the state directory.
        password: The database password, if one is needed.
    """

    url: str | None = None
    password: SecretRef | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who may act.

    Attributes:
        key: Name of the table in the file, as given with ``--as``.
        name: The person's name.
        title: Position in the practice.
        roles: At least one.
        place: Where the person works, as certificates name it; None if not stated.
        contact: Telephone or mail, as certificates name it; None if not stated.
    """

    key: str
    name: str
    title: str
    roles: frozenset[Role]
    place: str | None = None
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class FolderStore:
    """A folder with images.

    Attributes:
        name: Store name.
        path: Absolute folder.
        jurisdictions: Codes such as ``US-TX``, at least one.
        rpo: Largest age of the newest proven snapshot.
        rto: Longest time a restore may take.
        sentinel: File below the folder that must be there; None for no such guard.
        max_loss: Largest share of files, 0 to 1, that may vanish between two backups; None for
            no such guard.
        issuer: Who gives out the patient ids of images that name no issuer; None if all stores
            share one numbering.
        kind: Always ``folder``.
    """

    name: str
    path: Path
    jurisdictions: tuple[str, ...]
    rpo: timedelta
    rto: timedelta
    sentinel: str | None = None
    max_loss: float | None = None
    issuer: str | None = None
    kind: Literal["folder"] = "folder"


@dataclass(frozen=True, slots=True)
class LocalCopy:
    """A folder on a disk of this machine; the first local copy is the primary.

    Attributes:
        name: Copy name.
        path: Absolute folder that holds one repository per store.
        role: Always ``local``.
    """

    name: str
    path: Path
    role: Literal["local"] = "local"


@dataclass(frozen=True, slots=True)
class OfflineCopy:
    """Media that are attached only while they are written.

    Attributes:
        name: Copy name.
        search: Mounted file systems below these folders are looked at for the identity file.
        due_every: A medium of this copy must come back at least this often.
        mount: Program and arguments that attach the medium; empty if a person does it.
        unmount: Program and arguments that detach it; empty for a plain unmount.
        power_off: Program and arguments run after unmounting; empty for nothing.
        role: Always ``offline``.
    """

    name: str
    search: tuple[Path, ...]
    due_every: timedelta
    mount: tuple[str, ...] = ()
    unmount: tuple[str, ...] = ()
    power_off: tuple[str, ...] = ()
    role: Literal["offline"] = "offline"


@dataclass(frozen=True, slots=True)
class BucketKey:
    """An access key of an object server."""

    access_key: SecretRef
    secret_key: SecretRef


@dataclass(frozen=True, slots=True)
class ImmutableCopy:
    """A bucket with Object Lock.

    Attributes:
        name: Copy name.
        endpoint: URL of the server; plain ``http`` only to this machine.
        region: Region name as the server wants it signed.
        bucket: Bucket name.
        prefix: Folder in the bucket without slashes at its ends; empty for the bucket's root.
        lock_period: How long each object is locked from the day it is written or extended.
        writer: The credential of the nightly work; may put and read.
        ca_file: PEM file of the authority that signed the server's certificate; None for the
            system's own list.
        sweeper: The credential that removes versions whose lock has ended; None if nobody does.
        role: Always ``immutable``.
    """

    name: str
    endpoint: str
    region: str
    bucket: str
    prefix: str
    lock_period: timedelta
    writer: BucketKey
    ca_file: Path | None = None
    sweeper: BucketKey | None = None
    role: Literal["immutable"] = "immutable"


Copy = LocalCopy | OfflineCopy | ImmutableCopy


@dataclass(frozen=True, slots=True)
class Targets:
    """What the verdict demands beyond RPO and RTO.

    Attributes:
        verified_within: A copy counts as proven while every byte was hashed this recently.
        observed_within: A fact older than this is unknown.
        extend_below: A lock is extended when less than this share of its period is left.
        max_clock_skew: Largest difference between this clock and a bucket server's.
    """

    verified_within: timedelta = timedelta(days=35)
    observed_within: timedelta = timedelta(hours=48)
    extend_below: float = 0.5
    max_clock_skew: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Which snapshots are kept; a snapshot goes only if no rule keeps it.

    Attributes:
        keep_last: The newest so many, 0 or more.
        keep_daily: The newest of each of so many days, 0 or more; likewise the next three.
        minimum: Never fewer snapshots than this are left, 1 or more.
    """

    keep_last: int = 7
    keep_daily: int = 30
    keep_weekly: int = 12
    keep_monthly: int = 36
    keep_yearly: int = 10
    minimum: int = 7


@dataclass(frozen=True, slots=True)
class Drills:
    """Where drills restore to, and how that is emptied.

    Attributes:
        sandbox: Absolute folder; None for ``drills`` in the state folder.
        overwrite: Overwrite what was restored before removing it, where that destroys it.
    """

    sandbox: Path | None = None
    overwrite: bool = True


@dataclass(frozen=True, slots=True)
class Retention:
    """What a disposal demands beyond the adopted schedules.

    Attributes:
        patient_list_max_age: A patient list exported longer ago than this decides nothing.
        patient_list_max_shrink: Largest share of rows, 0 to 1, by which a list may be shorter
            than the one before.
        quarantine: How long an approved disposal waits, and can be called off.
    """

    patient_list_max_age: timedelta = timedelta(days=30)
    patient_list_max_shrink: float = 0.05
    quarantine: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """One site.

    Attributes:
        path: The absolute path of the file it was read from.
        name: The practice's name.
        timezone: Zone in which schedules are written and reports are read.
        state_dir: Absolute folder of the catalog, the keyring and the ledger.
        catalog: Where the catalog is.
        stores: By name, in the order of the file, at least one.
        copies: By name, in the order of the file, at least one of them local.
        actors: By key, in the order of the file.
        targets: What the verdict demands.
        rotation: Which snapshots are kept.
        drills: Where drills restore to.
        organization: Who issues certificates.
        certificates: How they are made.
        ledger: Who outside vouches for it.
        vendors: By key, in the order of the file.
        caches: By name, in the order of the file.
        retention: What a disposal demands.
    """

    path: Path
    name: str
    timezone: ZoneInfo
    state_dir: Path
    catalog: Catalog
    stores: Mapping[str, FolderStore]
    copies: Mapping[str, Copy]
    actors: Mapping[str, Actor] = field(default_factory=dict)
    targets: Targets = field(default_factory=Targets)
    rotation: Rotation = field(default_factory=Rotation)
    drills: Drills = field(default_factory=Drills)
    organization: Organization = field(default_factory=Organization)
    certificates: Certificates = field(default_factory=Certificates)
    ledger: LedgerAnchors = field(default_factory=LedgerAnchors)
    vendors: Mapping[str, Vendor] = field(default_factory=dict)
    caches: Mapping[str, Cache] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)

    @property
    def primary(self) -> LocalCopy:
        """The first local copy: the one restic writes."""
        return next(copy for copy in self.copies.values() if isinstance(copy, LocalCopy))

    @property
    def jobs_dir(self) -> Path:
        """The folder of the site's own jobs, beside the file; it need not exist."""
        return self.path.parent / "jobs"

    @property
    def schedules_dir(self) -> Path:
        """The folder of the site's own retention schedules, beside the file; it may be missing."""
        return self.path.parent / "retention_policies"
