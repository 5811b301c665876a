"""Checks that span several keys or tables of ``site.toml``.

They see the values that were readable, table by table, so they work beside other faults. They
look at the disk only to follow links: two names of one folder must not pass for two places.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.config.faults import Faults
from orchestrator.config.fields import is_loopback

Tables = Mapping[str, Mapping[str, Any]]
"""The readable values of each table of one kind, by the table's name."""

SHORTEST_LOCK = timedelta(days=1)
SHORTEST_AGE = timedelta(days=1)
_RESERVED_ACTORS = ("system",)
_RESERVED_COPIES = ("all", "local", "offline", "immutable")
_VKEY = re.compile(r"[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class _Folder:
    key: str
    path: Path


def check_names(stores: Tables, copies: Tables, actors: Tables, faults: Faults) -> None:
    """Find names that would be taken for something else on the command line."""
    for name in copies:
        if name in stores:
            faults.add(f"copies.{name}", "a store has this name already; choose another")
        if name in _RESERVED_COPIES:
            faults.add(f"copies.{name}", "this is a word of the product; choose another name")
    for name in stores:
        if name == "all":
            faults.add(f"stores.{name}", "this is a word of the product; choose another name")
    for name in actors:
        if name in _RESERVED_ACTORS:
            faults.add(f"actors.{name}", "the product itself acts under this name")


def check_places(site: Mapping[str, Any], stores: Tables, copies: Tables, faults: Faults) -> None:
    """Find folders that lie in one another: a copy in its own store, state in a store."""
    homes = _folders("stores", stores)
    disks = _folders("copies", copies)
    for disk in disks:
        for home in homes:
            _check_apart(disk, home, faults)
    _check_pairs(homes, "two stores cannot be the same folder", faults, nested=False)
    _check_pairs(disks, "two copies need two places", faults, nested=True)
    state_dir = site.get("state_dir")
    for disk in disks:
        if state_dir is not None and state_dir == disk.path:
            faults.add("site.state_dir", f"must not be the folder of {disk.key}")
    for home in homes:
        if state_dir is not None and _is_within(state_dir, home.path):
            faults.add("site.state_dir", f"must not be inside the store {home.key} backs up")
        for key, folder in _searched(copies):
            if _is_within(folder, home.path):
                faults.add(key, f"must not be inside {home.key}: media there would be backed up")


def check_roles(copies: Tables, raw: Mapping[str, Any], faults: Faults) -> None:
    """Find a site without a local copy, which has no primary to replicate from."""
    known = [table.get("role") for table in copies.values()]
    readable = all(isinstance(raw.get(name), dict) and "role" in raw[name] for name in raw)
    if readable and len(known) == len(raw) and "local" not in known:
        faults.add("copies", 'at least one copy must have role = "local": it is the primary')


def check_signer(certificates: Mapping[str, Any], faults: Faults) -> None:
    """Find two signers where there can be one, and stamps that could not be checked."""
    if certificates.get("pem") is not None and certificates.get("token") is not None:
        faults.add("certificates.token", "give either pem or token: one key signs")
    if certificates.get("timestamp_url") is not None and certificates.get("timestamp_ca") is None:
        faults.add(
            "certificates.timestamp_ca", "is needed beside timestamp_url, to check its stamps"
        )


def check_ledger(ledger: Mapping[str, Any], faults: Faults) -> None:
    """Find half of a timestamp's authority, and a witness that is no key."""
    url, authority = ledger.get("timestamp_url"), ledger.get("timestamp_ca")
    if (url is None) != (authority is None):
        faults.add("ledger.timestamp_ca", "timestamp_url and timestamp_ca belong together")
    witness = ledger.get("witness")
    if isinstance(witness, str) and not _VKEY.fullmatch(witness):
        faults.add("ledger.witness", "must be a key such as NAME+12ab34cd+BASE64")


def check_vendors(vendors: Tables, faults: Faults) -> None:
    """Find an agreement without an expiry, and the other way round."""
    for name, table in vendors.items():
        if (table.get("agreement") is None) != (table.get("expires") is None):
            faults.add(f"vendors.{name}.expires", "agreement and expires belong together")


def check_caches(
    caches: Tables, others: tuple[Mapping[str, Any], Tables, Tables], faults: Faults
) -> None:
    """Find caches that are emptied too soon, or that share a place with what must be kept.

    Args:
        caches: The caches.
        others: The site's own table, the stores and the copies.
        faults: Takes what is wrong.
    """
    site, stores, copies = others
    kept = [*_folders("stores", stores), *_folders("copies", copies)]
    kept += [_Folder(key, folder) for key, folder in _searched(copies)]
    if site.get("state_dir") is not None:
        kept.append(_Folder("site.state_dir", site["state_dir"]))
    for name, table in caches.items():
        older_than = table.get("older_than")
        if older_than is not None and older_than < SHORTEST_AGE:
            faults.add(f"caches.{name}.older_than", "must be at least 1d: a viewer may be using it")
    for cache in _folders("caches", caches):
        for folder in kept:
            if _is_within(cache.path, folder.path) or _is_within(folder.path, cache.path):
                faults.add(f"{cache.key}.path", f"shares a place with {folder.key}")


def check_buckets(copies: Tables, faults: Faults) -> None:
    """Find locks too short, a sweeper that is the writer, and two copies in one place."""
    seen: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, table in copies.items():
        if table.get("role") != "immutable":
            continue
        _check_bucket(name, table, faults)
        endpoint, bucket, prefix = (table.get(key) for key in ("endpoint", "bucket", "prefix"))
        if endpoint is None or bucket is None or prefix is None:
            continue
        neighbours = seen.setdefault((_server(endpoint), bucket), [])
        for other, taken in neighbours:
            if _overlap(prefix, taken):
                where = "prefix" if prefix else "bucket"
                faults.add(
                    f"copies.{name}.{where}",
                    f"shares the same part of the same bucket with copies.{other}",
                )
        neighbours.append((name, prefix))


def _check_bucket(name: str, table: Mapping[str, Any], faults: Faults) -> None:
    period, endpoint = table.get("lock_period"), table.get("endpoint")
    at_home = endpoint is not None and is_loopback(endpoint)
    if period is not None and period < SHORTEST_LOCK and not at_home:
        faults.add(
            f"copies.{name}.lock_period",
            "must be at least 1d; shorter is allowed for a test server on this machine only",
        )
    sweeper = table.get("sweeper")
    if sweeper is None:
        return
    for key in ("access_key", "secret_key"):
        if table.get(key) is not None and getattr(sweeper, key) == table[key]:
            faults.add(
                f"copies.{name}.sweeper.{key}",
                "must not be the writer's: who writes at night must not be able to remove",
            )


def _folders(kind: str, tables: Tables) -> list[_Folder]:
    return [
        _Folder(f"{kind}.{name}", table["path"])
        for name, table in tables.items()
        if table.get("path") is not None
    ]


def _searched(copies: Tables) -> Iterator[tuple[str, Path]]:
    for name, table in copies.items():
        for number, folder in enumerate(table.get("search") or ()):
            yield f"copies.{name}.search[{number}]", folder


def _check_apart(copy: _Folder, store: _Folder, faults: Faults) -> None:
    inside, around = _is_within(copy.path, store.path), _is_within(store.path, copy.path)
    if inside and around:
        faults.add(f"{copy.key}.path", f"is the folder of {store.key} itself")
    elif inside:
        faults.add(f"{copy.key}.path", f"lies inside {store.key}: it would back up itself")
    elif around:
        faults.add(f"{copy.key}.path", f"holds {store.key}: images and copy need two places")


def _check_pairs(folders: list[_Folder], wrong: str, faults: Faults, *, nested: bool) -> None:
    for number, later in enumerate(folders):
        for earlier in folders[:number]:
            inside = _is_within(later.path, earlier.path)
            around = _is_within(earlier.path, later.path)
            if inside and around:
                faults.add(f"{later.key}.path", f"is also {earlier.key}.path; {wrong}")
            elif nested and (inside or around):
                place = "lies inside" if inside else "holds"
                faults.add(f"{later.key}.path", f"{place} {earlier.key}.path; {wrong}")


def _is_within(inner: Path, outer: Path) -> bool:
    """Say whether one folder is or lies in another, by name or in truth."""
    if inner.is_relative_to(outer):
        return True
    real = Path(os.path.realpath(inner))
    if real.is_relative_to(os.path.realpath(outer)):
        return True
    # Bind mounts and file systems that ignore case give one folder names that share nothing.
    target = _identity(outer)
    return target is not None and any(_identity(path) == target for path in (real, *real.parents))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _server(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return f"{parts.hostname}:{port}"


def _overlap(one: str, other: str) -> bool:
    """Say whether two prefixes share keys; the empty one holds the whole bucket."""
    if not one or not other:
        return True
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
