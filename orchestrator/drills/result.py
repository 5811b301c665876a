"""What a restore drill found, as plain values.

Pure. Actions fill them in, `drills.verdict` judges them, `reports` shows them. Nothing here
identifies a patient: studies are pseudonyms, files are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

CheckState = Literal["passed", "failed", "skipped"]
Verdict = Literal["verified", "not_verified", "could_not_run"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a drill.

    Attributes:
        name: Short and stable, such as ``content`` or ``snapshot age``.
        state: `skipped` where it could not be made: never as good as `passed`.
        detail: What was compared with what, and how many; no path, no identifier.
        proves_data: Whether passing it proves something about the images themselves.
        damage: Whether failing it means that stored bytes are not what they must be.
        advice: What to do about a failure or a skip; None if it passed.
    """

    name: str
    state: CheckState
    detail: str
    proves_data: bool = False
    damage: bool = False
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class RecoveryTime:
    """RTO: target, measurement, projection.

    Attributes:
        target_s: The store's RTO in seconds.
        measured_s: From before the keys were fetched until the last file was verified, in
            seconds; None if the restore did not get that far.
        projected_s: The same for the whole store; equal to `measured_s` for scope ``all``.
        projected_low_s: Lower end of the projection's error bar.
        projected_high_s: Upper end of it: the objective is met only if this is within the target.
        assumptions: What the projection takes for granted, in sentences.
        met: None where nothing was measured.
    """

    target_s: float
    measured_s: float | None = None
    projected_s: float | None = None
    projected_low_s: float | None = None
    projected_high_s: float | None = None
    assumptions: tuple[str, ...] = ()
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
    """RPO: how much work would be lost with this copy.

    Attributes:
        target_s: The store's RPO in seconds.
        measured_s: Age of the newest complete snapshot on the copy at the drill's instant (`as_of`,
            or now); None if the copy has none.
        largest_gap_s: Largest time between two successive complete snapshots in the period.
        period_days: The period looked at.
        newest_image_on: Newest study date in the snapshot; shown beside, never judged.
        store_newest_image_on: The store's newest study date at that time.
        met: Both age and gap are within the target; None where nothing was measured.
    """

    target_s: float
    measured_s: float | None = None
    largest_gap_s: float | None = None
    period_days: int = 30
    newest_image_on: str | None = None
    store_newest_image_on: str | None = None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of the copy.

    Attributes:
        requests: Requests answered by the lens; None where restic read a folder itself.
        bytes: Bytes fetched from the place; None likewise.
    """

    requests: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which share of the store's studies drills have proven on this copy.

    Attributes:
        studies: Studies in the store now.
        within_30_days: Share proven within the last 30 days, 0 to 1; this drill included.
        within_90_days: Likewise.
        within_365_days: Likewise.
    """

    studies: int = 0
    within_30_days: float = 0.0
    within_90_days: float = 0.0
    within_365_days: float = 0.0


@dataclass(slots=True)
class DrillResult:
    """One drill from start to verdict.

    Attributes:
        drill: Its id, which sorts by time of start.
        site: The practice's name.
        store: Store name.
        copy: Copy name.
        role: The copy's role.
        medium: The medium's label; None for none.
        scope: ``all``, ``n/t`` or ``study:KEY`` with the study's pseudonym.
        snapshot: Id in full of the data snapshot; None if none was found.
        snapshot_at: When it was taken.
        as_of: The instant the copy was looked at as of; None for as it is.
        kit_only: Nothing but the recovery kit was used.
        actor: Key of who ran it, or ``system``.
        actor_name: The person's name; None for ``system``.
        actor_title: The person's title.
        started_at: Before keys were fetched.
        ended_at: After the last check.
        verdict: The verdict.
        reason: One sentence that says why.
        exit_code: What the command line answers.
        checks: In the order they were made.
        rto: Recovery time.
        rpo: Recovery point.
        traffic: What was asked of the copy.
        coverage: What drills have proven so far; None for a drill from the kit alone.
        files: Files verified good.
        bytes: Their total length.
        studies: Studies wholly verified.
        sandbox: What became of the restored data, in one sentence.
        remarks: What else a reader must know, such as images that cannot be decoded here.
        versions: Version by program, such as ``restic``.
    """

    drill: str
    site: str
    store: str
    copy: str
    role: str
    scope: str
    started_at: datetime
    actor: str
    rto: RecoveryTime
    rpo: RecoveryPoint
    medium: str | None = None
    snapshot: str | None = None
    snapshot_at: datetime | None = None
    as_of: datetime | None = None
    kit_only: bool = False
    actor_name: str | None = None
    actor_title: str | None = None
    ended_at: datetime | None = None
    verdict: Verdict = "could_not_run"
    reason: str = ""
    exit_code: int = 1
    checks: list[Check] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    coverage: Coverage | None = None
    files: int = 0
    bytes: int = 0
    studies: int = 0
    sandbox: str = ""
    remarks: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastDrill:
    """One earlier drill, for the trend.

    Attributes:
        drill: Its id.
        started_at: When.
        copy: Which copy.
        scope: As in `DrillResult`.
        verdict: How it ended.
        rto_s: Measured or projected time for the whole store in seconds; None if unknown.
        rpo_s: Measured age in seconds; None if unknown.
    """

    drill: str
    started_at: datetime
    copy: str
    scope: str
    verdict: Verdict
    rto_s: float | None = None
    rpo_s: float | None = None


@dataclass(frozen=True, slots=True)
class SignOff:
    """Management's signature under a drill report.

    Attributes:
        actor_name: Who signed.
        actor_title: The person's title.
        at: When.
        note: Corrective actions or remarks.
    """

    actor_name: str
    actor_title: str
    at: datetime
    note: str
