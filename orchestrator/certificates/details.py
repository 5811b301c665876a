"""What single kinds of record describe: a medium, a series of records, a copy, a precondition.

Values only. They hold nothing about a patient: subjects are commitments.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from orchestrator.certificates.parts import Answer, Basis


@dataclass(frozen=True, slots=True, kw_only=True)
class Medium:
    """The medium that was sanitized. What is not known is None and printed as not stated.

    Attributes:
        manufacturer: As the device says.
        model: As the device says.
        serial: As two sources say.
        property_number: The organization's own number or label.
        media_type: Such as ``magnetic disk``, ``NVMe SSD``.
        media_source: The user or the computer it came from.
        size_bytes: Addressable size.
        interface: How it is attached.
        serial_source: How the serial number is known.
        category_before: Confidentiality before; optional.
        category_after: Confidentiality after; optional.
        destination: Where it goes from here.
    """

    manufacturer: str | None
    model: str | None
    serial: str | None
    property_number: str | None
    media_type: str
    media_source: str | None = None
    size_bytes: int | None = None
    interface: str | None = None
    serial_source: str | None = None
    category_before: str | None = None
    category_after: str | None = None
    destination: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenArea:
    """Something on a medium that ordinary writing does not reach.

    Attributes:
        area: Such as ``HPA``, ``DCO``, ``over-provisioned blocks``.
        reached: Whether the technique reached it.
        detail: How that is known.
    """

    area: str
    reached: Literal["reached", "not_reached", "not_present", "unknown"]
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a medium held for us before.

    Attributes:
        repositories: Repository names.
        snapshots: Full snapshot ids.
        keys: Ids of the keys that open what was on it.
        elsewhere: Where the same snapshots are kept, each with the day on which that was proven.
    """

    repositories: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The rule of a retention schedule that let the records go.

    Attributes:
        schedule: Id of the schedule.
        version: Its adopted version.
        rule: Which of its rules.
        citation: As the schedule cites it.
        due: The first day on which no period applied any more.
    """

    schedule: str
    version: str
    rule: str
    citation: str
    due: dt.date


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDisposal:
    """What was done on one copy.

    Attributes:
        copy: Copy name; ``live store`` for the store itself.
        role: Its role.
        technique: How, such as ``rewritten without the records, then pruned``.
        basis: Measured or attested.
        state: ``absent`` only where absence was proved.
        proved_at: When absence was proved.
        media: Labels of the media touched.
    """

    copy: str
    role: str
    technique: str
    basis: Basis
    state: Literal["absent", "residual", "unknown"]
    proved_at: dt.datetime | None = None
    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What was disposed of: a series of records, without a name in it.

    Attributes:
        record_class: Of the retention schedule.
        description: In words.
        dates_from: First day of the records; inclusive.
        dates_to: Last day; inclusive.
        studies: Number of studies.
        files: Number of files.
        size_bytes: Their size.
        subjects: ``sha256:`` commitments of the studies; salts are kept apart.
    """

    record_class: str
    description: str
    dates_from: dt.date
    dates_to: dt.date
    studies: int
    files: int
    size_bytes: int
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """Something that must be so before the destruction of a key counts as sanitization."""

    statement: str
    answer: Answer
    shown_by: str | None = None
