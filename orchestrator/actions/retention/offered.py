"""The schedules there are to adopt: those that ship with the product, and the site's own.

Nothing here is in force: `policy` reads what was adopted from the catalog.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from orchestrator.actions.site import Site
from orchestrator.config.presets import shipped_dir, shipped_files
from orchestrator.errors import ConfigError
from orchestrator.retention.schedule import Schedule

Origin = Literal["shipped", "site"]

FOLDER: Final = "retention_policies"
"""The site's own schedules lie in this folder beside its site file."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A schedule that may be adopted.

    Attributes:
        schedule: What it says.
        text: The file's text, exactly.
        origin: Whether the product ships it or the site wrote it.
        path: The file.
    """

    schedule: Schedule
    text: str
    origin: Origin
    path: Path


@dataclass(frozen=True, slots=True)
class Faulty:
    """A file of the site that cannot be adopted.

    Attributes:
        id: The id it would have.
        path: The file.
        faults: Each as ``file: key: what is wrong``.
    """

    id: str
    path: Path
    faults: tuple[str, ...]


def offers(site: Site) -> tuple[list[Offer], list[Faulty]]:
    """Read every file: the schedules that may be adopted, and the site's files that may not.

    Raises:
        ConfigError: The installation is incomplete.
    """
    from orchestrator.config.schedules import shipped_schedules

    folder = shipped_dir(FOLDER)
    shipped = [
        Offer(schedule, text, "shipped", folder / f"{schedule.id}.toml")
        for schedule, text in shipped_schedules()
    ]
    own, bad = _own(site)
    return shipped + own, bad


def _own(site: Site) -> tuple[list[Offer], list[Faulty]]:
    """Read the site's own files; a fault in one keeps no other from being adopted."""
    from orchestrator.config.schedules import read_schedule, site_schedules

    folder = site.config.schedules_dir
    bad: list[Faulty] = []
    try:
        found = site_schedules(folder)
    except ConfigError as error:
        found = []
        for path in sorted(folder.glob("*.toml")):
            faults = tuple(one for one in error.faults if one.startswith(f"{path}: "))
            if faults:
                bad.append(Faulty(path.stem, path, faults))
            else:
                data = path.read_bytes()
                found.append((read_schedule(data, path), data.decode("utf-8")))
    return [Offer(one, text, "site", folder / f"{one.id}.toml") for one, text in found], bad


def changed(site: Site, known: Mapping[tuple[str, str], set[str]]) -> list[str]:
    """Return the files that were changed since they were adopted, without a new version.

    Args:
        site: The site.
        known: By id and version the digests that were ever adopted.

    Returns:
        Faults, each as ``file: key: what is wrong``; empty if there are none.
    """
    if not known:
        return []
    every = {digest for digests in known.values() for digest in digests}
    faults = []
    for path in [*shipped_files(FOLDER), *sorted(site.config.schedules_dir.glob("*.toml"))]:
        with suppress(OSError):  # a file that cannot be read is not the one that was adopted
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() in every:
                continue
            name = _id_and_version(path, data)
            if name in known:
                faults.append(
                    f"{path}: version: {name[1]} of {name[0]} was adopted with another text; a "
                    "text that has changed needs a version of its own"
                )
    return faults


def demand_unchanged(site: Site, known: Mapping[tuple[str, str], set[str]]) -> None:
    """Refuse to go on while a file contradicts what was adopted under its id and version.

    Raises:
        ConfigError: One does.
    """
    faults = changed(site, known)
    if faults:
        raise ConfigError(
            faults,
            hint="bring the file back or raise its version, then: orchestrator retention list",
        )


def _id_and_version(path: Path, data: bytes) -> tuple[str, str]:
    """Return what a file calls itself, without looking at the rest; nothing if it is broken."""
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        table = {}
    return str(table.get("id", path.stem)), str(table.get("version", ""))
