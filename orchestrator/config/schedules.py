"""Reads retention schedules: those that ship with the product, and a site's own.

Reads files and judges nothing: whether a schedule is in force, and what it means for a study, is
decided elsewhere, from the text as it was adopted. A site's own file can only add. It is `local`
or `overlay`, or the law of a `jurisdiction` for which nothing usable ships; periods of all kinds
are compared and the longest applies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.config.faults import Faults, check_name, parse_toml
from orchestrator.config.presets import shipped_files
from orchestrator.config.schedule_checks import check_ages, check_schedule
from orchestrator.errors import ConfigError
from orchestrator.retention.schedule import (
    Citation,
    MajorityAge,
    Minor,
    Notice,
    Rule,
    Schedule,
)

if TYPE_CHECKING:
    from orchestrator.config import schedule_model as model
    from orchestrator.config.model import Table

TableT = TypeVar("TableT", bound="Table")

MAJORITY = "majority"
"""Name of the file with the ages of majority, which is no schedule."""

_HINT = "correct the file; docs/retention.md says how a schedule is written"


@dataclass(frozen=True, slots=True)
class Majority:
    """The table of majority ages.

    Attributes:
        id: Always ``majority``.
        version: Compared for equality only.
        ages: One per jurisdiction and date.
        digest: SHA-256 of the file's bytes in hex.
    """

    id: str
    version: str
    ages: tuple[MajorityAge, ...]
    digest: str


def read_schedule(data: bytes, file: Path) -> Schedule:
    """Read one schedule.

    Args:
        data: The file's bytes, or the bytes of the text that was adopted.
        file: Its name in messages; nothing is opened.

    Raises:
        ConfigError: It is no schedule: every fault at once, as ``file: key: what is wrong``.
    """
    faults = Faults(file)
    schedule = _schedule(data, faults)
    faults.raise_if_any(_HINT)
    assert schedule is not None  # noqa: S101 - without a fault there is one
    return schedule


def read_majority(data: bytes, file: Path) -> tuple[MajorityAge, ...]:
    """Read the ages of a table of majority ages.

    Args:
        data: The file's bytes, or the bytes of the text that was adopted.
        file: Its name in messages; nothing is opened.

    Raises:
        ConfigError: It is no such table: every fault at once, as ``file: key: what is wrong``.
    """
    return majority_table(data, file).ages


def majority_table(data: bytes, file: Path) -> Majority:
    """Read a table of majority ages, with its version and digest.

    Args:
        data: The file's bytes, or the bytes of the text that was adopted.
        file: Its name in messages; nothing is opened.

    Raises:
        ConfigError: It is no such table: every fault at once, as ``file: key: what is wrong``.
    """
    from orchestrator.config.schedule_model import MajorityTable

    faults = Faults(file)
    raw = parse_toml(data, faults)
    table = None if raw is None else _validate(MajorityTable, raw, faults)
    if raw is not None:
        check_ages(raw, faults)
    faults.raise_if_any(_HINT)
    assert table is not None  # noqa: S101 - without a fault there is one
    return Majority(
        id=table.id,
        version=table.version,
        ages=tuple(
            MajorityAge(
                jurisdiction=one.jurisdiction,
                age=one.age,
                since=one.since,
                citation=Citation(**dict(one.citation)),
                confidence=one.confidence,
            )
            for one in table.age
        ),
        digest=hashlib.sha256(data).hexdigest(),
    )


def shipped_schedules() -> list[tuple[Schedule, str]]:
    """Return the schedules that ship with the product, with their texts, by id.

    Raises:
        ConfigError: The installation is incomplete, or a shipped file was changed into nonsense.
    """
    files = [file for file in shipped_files("retention_policies") if file.stem != MAJORITY]
    return _read_all(files, lambda raw, _faults: raw.get("template") is not True)


def shipped_templates() -> tuple[str, ...]:
    """Return the names of the shipped files that a site copies, fills in and adopts as its own.

    Raises:
        ConfigError: The installation is incomplete.
    """
    names = []
    for file in shipped_files("retention_policies"):
        raw = parse_toml(file.read_bytes(), Faults(file)) or {}
        if raw.get("template") is True:
            names.append(file.stem)
    return tuple(names)


def site_schedules(folder: Path) -> list[tuple[Schedule, str]]:
    """Return a site's own schedules with their texts, by id; none if there is no such folder.

    Args:
        folder: ``retention_policies`` beside the site file.

    Raises:
        ConfigError: At least one file is wrong: every fault of every file at once.
    """
    if not folder.is_dir():
        return []
    shipped = [schedule for schedule, _text in shipped_schedules()]
    taken = {schedule.id for schedule in shipped} | {MAJORITY}
    covered = {schedule.jurisdiction for schedule in shipped if is_usable_law(schedule)}

    def may_stand(raw: dict[str, Any], faults: Faults) -> bool:
        if str(raw.get("id")) in taken:
            faults.add("id", "is that of a shipped file; choose another one")
        if raw.get("kind") == "jurisdiction" and str(raw.get("jurisdiction")) in covered:
            faults.add(
                "kind",
                f"the law of {raw['jurisdiction']} ships with the product; "
                'a file of the site can add to it as "local" or "overlay"',
            )
        return True

    return _read_all(sorted(folder.glob("*.toml")), may_stand)


def is_usable_law(schedule: Schedule) -> bool:
    """Say whether a schedule is law of a jurisdiction from which a study may come due."""
    return schedule.kind == "jurisdiction" and any(
        rule.record_class == "patient_record" and rule.confidence != "low"
        for rule in schedule.rules
    )


def shipped_majority() -> tuple[Majority, str]:
    """Return the shipped table of majority ages, with its text.

    Raises:
        ConfigError: The installation is incomplete, or the file was changed into nonsense.
    """
    for file in shipped_files("retention_policies"):
        if file.stem == MAJORITY:
            data = file.read_bytes()
            return majority_table(data, file), data.decode()
    raise ConfigError(
        [f"{MAJORITY}.toml: file: is missing, so this installation is incomplete"],
        hint="install the product again: pip install --force-reinstall imaging-orchestrator",
    )


def majority_ages() -> tuple[MajorityAge, ...]:
    """Return the shipped ages of majority.

    Raises:
        ConfigError: The installation is incomplete, or the file was changed into nonsense.
    """
    return shipped_majority()[0].ages


def _read_all(
    files: Iterable[Path], wanted: Callable[[dict[str, Any], Faults], bool]
) -> list[tuple[Schedule, str]]:
    found: list[tuple[Schedule, str]] = []
    wrong: list[str] = []
    for file in files:
        faults = Faults(file)
        check_name("name", file.stem, faults)
        data = _bytes(file, faults)
        if data is not None and wanted(parse_toml(data, Faults(file)) or {}, faults):
            schedule = _schedule(data, faults)
            if schedule is not None and schedule.id != file.stem:
                faults.add("id", f"must be the file's name, {file.stem}")
            if schedule is not None and not faults.found:
                found.append((schedule, data.decode()))
        wrong += faults.found
    if wrong:
        raise ConfigError(wrong, hint=_HINT)
    return found


def _bytes(file: Path, faults: Faults) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError as error:
        faults.add("file", f"cannot be read: {(error.strerror or 'unknown error').lower()}")
        return None


def _validate(shape: type[TableT], raw: dict[str, Any], faults: Faults) -> TableT | None:
    from pydantic import ValidationError

    from orchestrator.config.schedule_model import KEYS

    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        faults.add_invalid("", error.errors(include_url=False, include_input=False), KEYS)
        return None


def _schedule(data: bytes, faults: Faults) -> Schedule | None:
    """Read a schedule; None if anything is wrong with it, which then are faults."""
    from orchestrator.config.schedule_model import ScheduleTable

    raw = parse_toml(data, faults)
    if raw is None:
        return None
    if raw.pop("template", None) is not None:
        faults.add("template", "fill in what is blank, then take this line out")
    table = _validate(ScheduleTable, raw, faults)
    check_schedule(raw, faults)
    if table is None or faults.found:
        return None
    return Schedule(
        id=table.id,
        version=table.version,
        kind=table.kind,
        jurisdiction=table.jurisdiction,
        title=table.title,
        rules=tuple(_rule(one, table) for one in table.rule),
        digest=hashlib.sha256(data).hexdigest(),
    )


def _rule(table: model.RuleTable, defaults: model.ScheduleTable) -> Rule:
    # Nobody vouches for a reading of low confidence by way of a default.
    vouched = defaults if table.confidence != "low" else table
    return Rule(
        id=table.id,
        record_class=table.record_class,
        trigger=table.trigger,
        adult=table.adult,
        minor=_minor(table.minor),
        images=table.images,
        citation=Citation(**dict(table.citation)),
        confidence=table.confidence,
        reviewer=table.reviewer or vouched.reviewer,
        reviewed_on=table.reviewed_on or vouched.reviewed_on,
        review_by=table.review_by or defaults.review_by,
        conflicts=tuple(table.conflicts),
        notices=tuple(Notice(one.form, one.text) for one in table.notice),
        note=table.note,
    )


def _minor(table: model.MinorTable) -> Minor:
    now = table.form == "no_disposal_before_age"
    tested = table.tested or ("now" if now else "at_trigger")
    return Minor(table.form, table.age, table.plus, tested, table.majority)
