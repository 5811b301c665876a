"""Reads the jobs: those that ship with the product, and a site's own, which replace them whole.

A site's ``jobs/NAME.toml`` beside ``site.toml`` takes the place of the shipped job of that name;
nothing is merged key by key. A file that says ``enabled = false`` switches the job off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from orchestrator import schedule
from orchestrator.config.faults import Faults, check_name, read_toml
from orchestrator.config.fields import LongPeriod, PathField, Period
from orchestrator.config.model import Table
from orchestrator.config.presets import shipped_files
from orchestrator.config.site import SiteConfig
from orchestrator.errors import ConfigError

Action = Literal[
    "backup",
    "replicate",
    "check",
    "extend",
    "probe",
    "drill",
    "rotate",
    "purge-cache",
    "disposal-settle",
    "retention-plan",
    "overdue-review",
    "anchor",
    "ledger-verify",
    "status",
]
Origin = Literal["shipped", "site"]
Pick = Literal["each", "random"]

MEDIUM_RETURNS = "medium returns"
"""What a job can wait for in place of a time."""

_ROLES = ("local", "offline", "immutable")


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """How a job drills.

    Attributes:
        pick: Every selected copy, or one at random.
        random_within: The snapshot is any of this period; None for the newest.
        from_kit: With nothing but the recovery kit.
        kit: The kit's file; None for the one in the state folder.
    """

    pick: Pick = "each"
    random_within: timedelta | None = None
    from_kit: bool = False
    kit: Path | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One job: which action, when, for which stores and copies.

    Attributes:
        name: The file's name without ``.toml``.
        action: What is done.
        schedule: Five cron fields in the site's time zone; None for a job that waits for
            something to happen.
        stores: Names of stores; None for all.
        copies: Roles or names of copies; None for all.
        max_duration: A run that takes longer is stopped.
        slices: For ``check`` and ``drill``: how many runs cover a copy once; 1 for the whole
            copy each time.
        origin: Whether the product ships it or the site wrote it.
        path: The file it was read from.
        drill: How it drills; means nothing for other actions.
    """

    name: str
    action: Action
    schedule: str | None
    stores: tuple[str, ...] | None
    copies: tuple[str, ...] | None
    max_duration: timedelta
    slices: int
    origin: Origin
    path: Path
    drill: DrillPlan = DrillPlan()

    def selects_store(self, name: str) -> bool:
        """Say whether the job is for a store."""
        return self.stores is None or name in self.stores

    def selects_copy(self, name: str, role: str) -> bool:
        """Say whether the job is for a copy."""
        return self.copies is None or name in self.copies or role in self.copies


@dataclass(frozen=True, slots=True)
class Jobs:
    """All jobs of a site.

    Attributes:
        active: Jobs that run, by name in alphabetical order.
        disabled: Names of jobs that were switched off.
    """

    active: dict[str, Job]
    disabled: tuple[str, ...]


def _cron(text: str) -> str:
    wrong = schedule.validate(text)
    if wrong:
        raise ValueError(wrong)
    return " ".join(text.split())


class JobTable(Table):
    """A job file."""

    action: Action
    schedule: Annotated[str, AfterValidator(_cron)] | None = None
    when: Literal["medium returns"] | None = None
    stores: Any = "all"
    copies: Any = "all"
    max_duration: Period = timedelta(hours=12)
    slices: Annotated[int, Field(ge=1, le=366)] = 1
    pick: Pick = "each"
    random_within: LongPeriod | None = None
    from_kit: bool = False
    kit: PathField | None = None
    enabled: bool = True


_ONLY_FOR: dict[str, tuple[Action, ...]] = {
    "slices": ("check", "drill"),
    "when": ("drill",),
    "pick": ("drill",),
    "random_within": ("drill",),
    "from_kit": ("drill",),
    "kit": ("drill",),
}
"""Keys that only some actions have."""


class SwitchTable(Table):
    """A job file that only switches a job off."""

    enabled: Literal[False]


def load_jobs(site: SiteConfig) -> Jobs:
    """Read every job of a site.

    Raises:
        ConfigError: At least one file is wrong: every fault of every file at once.
    """
    active: dict[str, Job] = {}
    disabled: set[str] = set()
    wrong: list[str] = []
    sources: list[tuple[Origin, Iterable[Path]]] = [
        ("shipped", shipped_files("jobs")),
        ("site", sorted(site.jobs_dir.glob("*.toml"))),
    ]
    for origin, files in sources:
        for path in files:
            faults = Faults(path)
            job = _read(path, origin, site, faults)
            wrong += faults.found
            active.pop(path.stem, None)
            if job is not None:
                active[job.name] = job
            elif not faults.found:
                disabled.add(path.stem)
    if wrong:
        raise ConfigError(wrong, hint="correct the files, then: orchestrator job list")
    return Jobs(dict(sorted(active.items())), tuple(sorted(disabled)))


def _read(path: Path, origin: Origin, site: SiteConfig, faults: Faults) -> Job | None:
    """Read one file; None if it is switched off or wrong."""
    check_name("name", path.stem, faults)
    raw = read_toml(path, faults)
    if raw is None:
        return None
    shape = SwitchTable if raw == {"enabled": False} else JobTable
    try:
        table = shape.model_validate(raw, context={"base": path.parent})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults.add_invalid("", found, shape.model_fields)
        table = None
    stores = _selected("stores", raw.get("stores", "all"), set(site.stores), faults)
    known = set(_ROLES) | set(site.copies)
    copies = _selected("copies", raw.get("copies", "all"), known, faults)
    if shape is JobTable:
        _check_keys(raw, faults)
    if faults.found or not isinstance(table, JobTable) or not table.enabled:
        return None
    return Job(
        name=path.stem,
        action=table.action,
        schedule=table.schedule,
        stores=stores,
        copies=copies,
        max_duration=table.max_duration,
        slices=table.slices,
        origin=origin,
        path=path,
        drill=DrillPlan(table.pick, table.random_within, table.from_kit, table.kit),
    )


def _check_keys(raw: dict[str, Any], faults: Faults) -> None:
    """Find keys that the action does not have, and keys that contradict each other."""
    for key, actions in _ONLY_FOR.items():
        if key in raw and raw.get("action") not in actions:
            words = " or ".join(f'"{name}"' for name in actions)
            faults.add(key, f"is for action = {words} only")
    if "when" in raw and "schedule" in raw:
        faults.add("when", "takes the place of schedule: give one of them")
    elif "when" not in raw and "schedule" not in raw:
        faults.add("schedule", "is missing")
    if "kit" in raw and raw.get("from_kit") is not True:
        faults.add("kit", "means nothing without from_kit = true")
    if raw.get("from_kit") is True and raw.get("slices", 1) != 1:
        faults.add("slices", "a drill from the kit is of the whole store")


def _selected(key: str, raw: Any, known: set[str], faults: Faults) -> tuple[str, ...] | None:
    """Read a selector: None for all, else the names, each of which must be known."""
    if raw == "all":
        return None
    if not isinstance(raw, list) or not raw or not all(isinstance(name, str) for name in raw):
        faults.add(key, 'must be "all" or a list of names')
        return None
    for number, name in enumerate(raw):
        if name in raw[:number]:
            faults.add(f"{key}[{number}]", "is named twice")
        elif name not in known:
            words = ", ".join(sorted(known))
            faults.add(f"{key}[{number}]", f"{name!r} is not known here; known are: {words}")
    return tuple(raw)
