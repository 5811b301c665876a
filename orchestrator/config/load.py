"""Reads ``site.toml`` and reports every fault of it at once.

Reads one file and resolves nothing: secrets stay references, paths need not exist.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestrator.config import checks, issuing, model, site
from orchestrator.config.caches import Cache
from orchestrator.config.faults import (
    Faults,
    check_name,
    dotted,
    read_toml,
    subtable,
    unknown_key,
)

TableT = TypeVar("TableT", bound=model.Table)

_TOP = (
    "site",
    "actors",
    "stores",
    "copies",
    "targets",
    "rotation",
    "drills",
    "organization",
    "certificates",
    "ledger",
    "vendors",
    "caches",
    "retention",
)
_STORE_KINDS = ("folder",)


def load_site(path: Path) -> site.SiteConfig:
    """Read and check a site file.

    Args:
        path: The file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: The file is missing, unreadable, not TOML, or says something wrong: every
            fault at once, as ``file: key: what is wrong``.
    """
    faults = Faults(path)
    raw = read_toml(path, faults)
    # Not Path.is_file, which raises where access is denied.
    missing = "to write one: orchestrator init DIR; --site FILE names another"
    faults.raise_if_any(None if os.path.isfile(path) else missing)
    return _Reader(path, faults).read(raw or {})


@dataclass(slots=True)
class _Read:
    """One table: the model if it is whole, and in any case the values that are right."""

    whole: Any = None
    values: dict[str, Any] = field(default_factory=dict)


class _Reader:
    """Reads one file's tables and keeps going after a fault."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path = path.absolute()
        self.faults = faults
        self.context = {"base": self.path.parent}

    def read(self, raw: dict[str, Any]) -> site.SiteConfig:
        for key in raw:
            if key not in _TOP:
                shown = key if key.isprintable() else repr(key)
                self.faults.add(shown, unknown_key(key, _TOP))
        about = self.table(model.SiteTable, raw.get("site"), "site")
        catalog = self.catalog(about.values.get("catalog", "sqlite"))
        actors = {
            name: self.table(model.ActorTable, table, dotted("actors", name))
            for name, table in self.named("actors", raw)
        }
        stores = {name: self.store(name, table) for name, table in self.named("stores", raw)}
        copies = {name: self.copy(name, table) for name, table in self.named("copies", raw)}
        targets = self.table(model.TargetsTable, raw.get("targets", {}), "targets")
        rotation = self.table(model.RotationTable, raw.get("rotation", {}), "rotation")
        drills = self.table(model.DrillsTable, raw.get("drills", {}), "drills")
        organization = self.table(
            model.OrganizationTable, raw.get("organization", {}), "organization"
        )
        certificates = self.table(
            model.CertificatesTable, raw.get("certificates", {}), "certificates"
        )
        ledger = self.table(model.LedgerTable, raw.get("ledger", {}), "ledger")
        vendors = {
            name: self.table(model.VendorTable, table, dotted("vendors", name))
            for name, table in self.named("vendors", raw)
        }
        caches = {
            name: self.table(model.CacheTable, table, dotted("caches", name))
            for name, table in self.named("caches", raw)
        }
        retention = self.table(model.RetentionTable, raw.get("retention", {}), "retention")
        self.check(raw, about, stores, copies, actors)
        checks.check_caches(
            _values(caches), (about.values, _values(stores), _values(copies)), self.faults
        )
        checks.check_signer(certificates.values, self.faults)
        checks.check_ledger(ledger.values, self.faults)
        checks.check_vendors(_values(vendors), self.faults)
        self.faults.raise_if_any("correct the file, then: orchestrator doctor")
        return site.SiteConfig(
            path=self.path,
            name=about.whole.name,
            timezone=about.whole.timezone,
            state_dir=about.whole.state_dir,
            catalog=catalog,
            stores={name: _store(name, read.whole) for name, read in stores.items()},
            copies={name: _copy(name, read.whole) for name, read in copies.items()},
            actors={name: _actor(name, read.whole) for name, read in actors.items()},
            targets=site.Targets(**targets.values),
            rotation=site.Rotation(**rotation.values),
            drills=site.Drills(**drills.values),
            organization=_organization(organization.whole),
            certificates=_certificates(certificates.whole),
            ledger=issuing.LedgerAnchors(**ledger.values),
            vendors={name: _vendor(name, read.whole) for name, read in vendors.items()},
            caches={name: _cache(name, read.whole) for name, read in caches.items()},
            retention=site.Retention(**retention.values),
        )

    def check(
        self,
        raw: dict[str, Any],
        about: _Read,
        stores: dict[str, _Read],
        copies: dict[str, _Read],
        actors: dict[str, _Read],
    ) -> None:
        for kind, what in (("stores", "a folder with images"), ("copies", "a place for backups")):
            if not raw.get(kind):
                self.faults.add(kind, f"at least one is needed: {what}")
        homes, places = _values(stores), _values(copies)
        checks.check_names(homes, places, _values(actors), self.faults)
        checks.check_places(about.values, homes, places, self.faults)
        checks.check_buckets(places, self.faults)
        if places:
            checks.check_roles(places, subtable(raw, "copies", self.faults), self.faults)

    def named(self, kind: str, raw: dict[str, Any]) -> list[tuple[str, Any]]:
        tables = subtable(raw, kind, self.faults)
        for name in tables:
            check_name(dotted(kind, name), name, self.faults)
        return list(tables.items())

    def table(self, shape: type[TableT], raw: Any, key: str) -> _Read:
        """Read one table; what is wrong becomes faults, what is right is still returned."""
        if not isinstance(raw, dict):
            self.faults.add(key, "is missing" if raw is None else "must be a table")
            return _Read()
        try:
            whole = shape.model_validate(raw, context=self.context)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            known = set(shape.model_fields)
            self.faults.add_invalid(key, found, known)
            wrong = {one["loc"][0] for one in found}
            right = {name: raw[name] for name in raw if name in known and name not in wrong}
            unset = known - set(raw)
            return _Read(values=self._values(shape, right) | _defaults(shape, unset))
        return _Read(whole, dict(whole))

    def _values(self, shape: type[TableT], raw: Mapping[str, Any]) -> dict[str, Any]:
        """Read single fields of a table whose other fields are wrong."""
        values: dict[str, Any] = {}
        for name, value in raw.items():
            blank = shape.model_construct()
            shape.__pydantic_validator__.validate_assignment(
                blank, name, value, context=self.context
            )
            values[name] = getattr(blank, name)
        return values

    def store(self, name: str, raw: Any) -> _Read:
        key = dotted("stores", name)
        kind = raw.get("kind") if isinstance(raw, dict) else None
        if kind == "orthanc":
            self.faults.add(f"{key}.kind", '"orthanc" is not supported yet; use a folder store')
            return _Read()
        if kind is not None and kind not in _STORE_KINDS:
            self.faults.add(f"{key}.kind", 'must be "folder"')
            raw = {**raw, "kind": "folder"}
        return self.table(model.FolderTable, raw, key)

    def copy(self, name: str, raw: Any) -> _Read:
        key = dotted("copies", name)
        role = raw.get("role") if isinstance(raw, dict) else "local"
        if not isinstance(role, str) or role not in model.COPY_TABLES:
            wrong = "is missing" if role is None else "must be"
            self.faults.add(f"{key}.role", f'{wrong}: "local", "offline" or "immutable"')
            return _Read()
        return self.table(model.COPY_TABLES[role], raw, key)

    def catalog(self, raw: Any) -> site.Catalog:
        if raw == "sqlite":
            return site.Catalog()
        if not isinstance(raw, dict):
            self.faults.add("site.catalog", 'must be "sqlite" or { url = "postgresql://..." }')
            return site.Catalog()
        whole = self.table(model.CatalogTable, raw, "site.catalog").whole
        return site.Catalog(whole.url, whole.password) if whole else site.Catalog()


def _defaults(shape: type[model.Table], names: set[str]) -> dict[str, Any]:
    fields = {name: shape.model_fields[name] for name in names}
    return {name: info.default for name, info in fields.items() if not info.is_required()}


def _values(tables: dict[str, _Read]) -> dict[str, dict[str, Any]]:
    return {name: read.values for name, read in tables.items() if read.values}


def _actor(key: str, table: model.ActorTable) -> site.Actor:
    return site.Actor(
        key, table.name, table.title, frozenset(table.roles), table.place, table.contact
    )


def _organization(table: model.OrganizationTable) -> issuing.Organization:
    return issuing.Organization(tuple(table.address), table.contact)


def _certificates(table: model.CertificatesTable) -> issuing.Certificates:
    signer: issuing.PemSigner | issuing.TokenSigner | None = None
    if table.pem is not None:
        signer = issuing.PemSigner(**dict(table.pem))
    elif table.token is not None:
        signer = issuing.TokenSigner(**dict(table.token))
    return issuing.Certificates(
        paper=table.paper,
        signer=signer,
        timestamp_url=table.timestamp_url,
        timestamp_ca=table.timestamp_ca,
    )


def _cache(name: str, table: model.CacheTable) -> Cache:
    return Cache(name, table.path, table.older_than, tuple(table.patterns))


def _vendor(key: str, table: model.VendorTable) -> issuing.Vendor:
    return issuing.Vendor(key=key, **dict(table))


def _store(name: str, table: model.FolderTable) -> site.FolderStore:
    return site.FolderStore(
        name=name,
        path=table.path,
        jurisdictions=tuple(table.jurisdictions),
        rpo=table.rpo,
        rto=table.rto,
        sentinel=table.sentinel,
        max_loss=table.max_loss,
        issuer=table.issuer,
    )


def _copy(name: str, table: model.Table) -> site.Copy:
    if isinstance(table, model.LocalTable):
        return site.LocalCopy(name, table.path)
    if isinstance(table, model.OfflineTable):
        return site.OfflineCopy(
            name=name,
            search=tuple(table.search),
            due_every=table.due_every,
            mount=tuple(table.mount or ()),
            unmount=tuple(table.unmount or ()),
            power_off=tuple(table.power_off or ()),
        )
    assert isinstance(table, model.ImmutableTable)  # noqa: S101 - COPY_TABLES holds no other
    return site.ImmutableCopy(
        name=name,
        endpoint=table.endpoint,
        region=table.region,
        bucket=table.bucket,
        prefix=table.prefix,
        lock_period=table.lock_period,
        writer=site.BucketKey(table.access_key, table.secret_key),
        ca_file=table.ca_file,
        sweeper=_bucket_key(table.sweeper),
    )


def _bucket_key(table: model.BucketKeyTable | None) -> site.BucketKey | None:
    return site.BucketKey(table.access_key, table.secret_key) if table else None
