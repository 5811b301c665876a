"""The schedules there are to adopt: those that ship with the product, and the site's own.

Nothing here is in force: `policy` reads what was adopted from the catalog.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.actions.site import Site
from orchestrator.catalog import schedules as rows
from orchestrator.config.presets import shipped_files
from orchestrator.errors import ConfigError
from orchestrator.retention.schedule import Schedule

Origin = Literal["shipped", "site"]

FOLDER = "retention_policies"
"""The site's own schedules lie in this folder beside its site file."""

MAJORITY_FILE = "majority.toml"
MAJORITY_ID = rows.MAJORITY
"""The shipped table of majority ages: pinned like a schedule, and no schedule."""


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
    """A file that cannot be adopted.

    Attributes:
        path: The file.
        named: The id it seems to have: what it says, or else its name.
        faults: Each as ``file: key: what is wrong``.
    """

    path: Path
    named: str
    faults: tuple[str, ...]


def offers(site: Site) -> tuple[list[Offer], list[Faulty]]:
    """Read every file: the schedules that may be adopted, and the files that may not.

    Raises:
        ConfigError: The installation is incomplete.
    """
    good: dict[str, Offer] = {}
    bad: list[Faulty] = []
    for origin, path in _files(site):
        try:
            offer = _read(path, origin)
            _demand_own(offer, good)
        except ConfigError as error:
            bad.append(Faulty(path, _named(path), tuple(error.faults)))
        else:
            good[offer.schedule.id] = offer
    return list(good.values()), bad


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
    for path in [*(path for _, path in _files(site)), majority_path()]:
        data = _bytes(path)
        digest = hashlib.sha256(data).hexdigest()
        if digest in every:
            continue
        name = _id_and_version(data)
        if name is not None and name in known:
            faults.append(
                f"{path}: version: {name[1]} of {name[0]} was adopted with another text; a text "
                "that has changed needs a version of its own"
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


def majority_path() -> Path:
    """Return the file with the ages of majority."""
    return next(path for path in shipped_files("retention_policies") if path.name == MAJORITY_FILE)


def _files(site: Site) -> Iterator[tuple[Origin, Path]]:
    for path in shipped_files("retention_policies"):
        if path.name != MAJORITY_FILE:
            yield "shipped", path
    for path in sorted((site.config.path.parent / FOLDER).glob("*.toml")):
        yield "site", path


def _read(path: Path, origin: Origin) -> Offer:
    from orchestrator.config.schedules import read_schedule

    data = _bytes(path)
    return Offer(read_schedule(data, path), data.decode("utf-8"), origin, path)


def _demand_own(offer: Offer, good: Mapping[str, Offer]) -> None:
    """Refuse a site's file that would stand in for the law, or for another file.

    Raises:
        ConfigError: It would.
    """
    schedule = offer.schedule
    if schedule.id in good:
        other = good[schedule.id]
        raise ConfigError([f"{offer.path}: id: {schedule.id} is the id of {other.path} already"])
    if offer.origin == "site" and schedule.kind == "jurisdiction":
        raise ConfigError(
            [f"{offer.path}: kind: a site's own schedule is local or overlay: it adds to the law"]
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise ConfigError([f"{path}: file: cannot be read: {reason}"]) from None


def _named(path: Path) -> str:
    try:
        found = _id_and_version(_bytes(path))
    except ConfigError:
        found = None
    return path.stem if found is None else found[0]


def _id_and_version(data: bytes) -> tuple[str, str] | None:
    """Return what a file calls itself, without looking at the rest; None if it cannot be told."""
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    name = table.get("id"), table.get("version")
    return (str(name[0]), str(name[1])) if None not in name else None
