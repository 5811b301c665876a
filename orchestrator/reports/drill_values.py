"""What a drill report is made from, and what it says, as plain values.

Pure. `Report` comes in from actions; `Contents` is the same in sentences and goes to the HTML
page and to the PDF's template, which therefore cannot tell different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from orchestrator.drills.result import DrillResult, PastDrill, SignOff
from orchestrator.reports.drill_chart import Point


@dataclass(frozen=True, slots=True)
class Preview:
    """One restored image, small.

    Attributes:
        png: The picture.
        modality: The modality's code.
        frames: Frames of the image, 1 or more.
        study: The study's pseudonym.
    """

    png: bytes
    modality: str
    frames: int
    study: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a report is made from.

    Attributes:
        result: The drill.
        zone: The site's time zone.
        past: Earlier drills of the store from the same copy, oldest first; the drill itself may
            be among them.
        signs: Recorded sign-offs, oldest first.
        previews: Restored images to show; they make the report PHI.
        hidden_previews: Images left out because a name may be part of the picture.
    """

    result: DrillResult
    zone: tzinfo
    past: Sequence[PastDrill] = ()
    signs: Sequence[SignOff] = ()
    previews: Sequence[Preview] = ()
    hidden_previews: int = 0


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the large figures at the top; `state` is ``good``, ``bad`` or ``open``.

    A `judged` one is held against a target and says whether it was met.
    """

    title: str
    value: str
    note: str
    state: str
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One check that did not pass, with what to do."""

    state: str
    state_word: str
    name: str
    detail: str
    advice: str


@dataclass(frozen=True, slots=True)
class Line:
    """A label and its value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One row of the table of checks."""

    state: str
    state_word: str
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of coverage: `share` from 0 to 1."""

    label: str
    share: float
    text: str


@dataclass(frozen=True, slots=True)
class Signature:
    """One recorded sign-off."""

    name: str
    title: str
    at: str
    note: str


@dataclass(frozen=True, slots=True)
class Contents:
    """A whole report in words; the names of its fields are used by the PDF's template."""

    verdict: str
    headline: str
    reason: str
    site: str
    subject: str
    when: str
    phi: bool
    privacy: str
    tiles: list[Tile]
    findings: list[Finding]
    findings_note: str
    facts_title: str
    facts: list[Line]
    rto: list[str]
    assumptions: list[str]
    rpo: list[str]
    rto_points: list[Point]
    rpo_points: list[Point]
    rto_target_s: float
    rpo_target_s: float
    trend_note: str
    coverage: list[Bar]
    coverage_note: str
    checks: list[CheckLine]
    checks_note: str
    remarks: list[str]
    sandbox: str
    provisions: list[list[str]]
    signatures: list[Signature]
    small: list[Line]
    captions: list[str] = field(default_factory=list)
    previews_note: str = ""
