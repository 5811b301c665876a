"""What may stand in ``site.toml``, table by table, as pydantic models.

Each field is checked on its own here; what spans several fields or tables is in `checks`, so
that one fault never hides another. Imported only where configuration is read: pydantic is heavy.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.config.fields import (
    Argv,
    Bucket,
    Count,
    DatabaseUrl,
    Endpoint,
    Jurisdiction,
    LongPeriod,
    PathField,
    Pattern,
    Period,
    Prefix,
    Region,
    RelativeName,
    Secret,
    ShortPeriod,
    Text,
    Unique,
    WebAddress,
    Zone,
)


class Table(BaseModel):
    """A table of the file: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


class SiteTable(Table):
    """``[site]``."""

    name: Text
    timezone: Zone
    state_dir: PathField
    catalog: Any = "sqlite"


class CatalogTable(Table):
    """``catalog = { url = ..., password = ... }``."""

    url: DatabaseUrl
    password: Secret = None


class ActorTable(Table):
    """``[actors.NAME]``."""

    name: Text
    title: Text
    roles: Annotated[
        list[Literal["operator", "compliance", "custodian"]],
        Field(min_length=1),
        Unique,
    ]
    place: Text | None = None
    contact: Text | None = None


class OrganizationTable(Table):
    """``[organization]``."""

    address: Annotated[list[Text], Field(max_length=10)] = []
    contact: Text | None = None


class PemTable(Table):
    """``[certificates.pem]``."""

    certificate: PathField
    key: PathField
    passphrase: Secret = None


class TokenTable(Table):
    """``[certificates.token]``."""

    certificate: PathField
    module: PathField
    token: Text
    key: Text
    pin: Secret


class CertificatesTable(Table):
    """``[certificates]``."""

    paper: Literal["letter", "a4"] = "letter"
    pem: PemTable | None = None
    token: TokenTable | None = None
    timestamp_url: WebAddress | None = None
    timestamp_ca: PathField | None = None


class LedgerTable(Table):
    """``[ledger]``."""

    timestamp_url: WebAddress | None = None
    timestamp_ca: PathField | None = None
    witness: Text | None = None


class VendorTable(Table):
    """``[vendors.NAME]``."""

    name: Text
    agreement: PathField | None = None
    expires: date | None = None
    certification: Text | None = None
    certification_expires: date | None = None


class FolderTable(Table):
    """``[stores.NAME]`` with ``kind = "folder"``."""

    kind: Literal["folder"]
    path: PathField
    jurisdictions: Annotated[
        list[Jurisdiction],
        Field(min_length=1),
        Unique,
    ]
    rpo: Period
    rto: Period
    sentinel: RelativeName | None = None
    max_loss: Annotated[float, Field(ge=0, le=1)] | None = None
    issuer: Text | None = None


class LocalTable(Table):
    """``[copies.NAME]`` with ``role = "local"``."""

    role: Literal["local"]
    path: PathField


class OfflineTable(Table):
    """``[copies.NAME]`` with ``role = "offline"``."""

    role: Literal["offline"]
    search: Annotated[list[PathField], Field(min_length=1)]
    due_every: Period
    mount: Argv | None = None
    unmount: Argv | None = None
    power_off: Argv | None = None


class BucketKeyTable(Table):
    """The keys of ``[copies.NAME.sweeper]``."""

    access_key: Secret
    secret_key: Secret


class ImmutableTable(BucketKeyTable):
    """``[copies.NAME]`` with ``role = "immutable"``."""

    role: Literal["immutable"]
    endpoint: Endpoint
    region: Region
    bucket: Bucket
    prefix: Prefix = ""
    lock_period: LongPeriod
    ca_file: PathField | None = None
    sweeper: BucketKeyTable | None = None


class TargetsTable(Table):
    """``[targets]``."""

    verified_within: Period = timedelta(days=35)
    observed_within: Period = timedelta(hours=48)
    extend_below: Annotated[float, Field(gt=0, lt=1)] = 0.5
    max_clock_skew: ShortPeriod = timedelta(minutes=5)


class RotationTable(Table):
    """``[rotation]``."""

    keep_last: Count = 7
    keep_daily: Count = 30
    keep_weekly: Count = 12
    keep_monthly: Count = 36
    keep_yearly: Count = 10
    minimum: Annotated[int, Field(ge=1, le=100_000)] = 7


class DrillsTable(Table):
    """``[drills]``."""

    sandbox: PathField | None = None
    overwrite: bool = True


class RetentionTable(Table):
    """``[retention]``."""

    patient_list_max_age: Period = timedelta(days=30)
    patient_list_max_shrink: Annotated[float, Field(ge=0, lt=1)] = 0.05
    quarantine: Period = timedelta(days=14)


class CacheTable(Table):
    """``[caches.NAME]``."""

    path: PathField
    older_than: Period
    patterns: Annotated[list[Pattern], Field(min_length=1), Unique]


COPY_TABLES: dict[str, type[Table]] = {
    "local": LocalTable,
    "offline": OfflineTable,
    "immutable": ImmutableTable,
}
