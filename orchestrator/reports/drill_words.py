"""The sentences of a drill report.

Pure. Written for whoever owns the practice: short, and no term that is not explained where it
stands. What is unknown is said to be unknown.
"""

from __future__ import annotations

from orchestrator.drills.result import DrillResult, RecoveryPoint, RecoveryTime
from orchestrator.reports import words

ROLES = {
    "local": "a disk at the practice",
    "offline": "a medium that is kept disconnected",
    "immutable": "a locked bucket where nobody can delete before the time is up",
}

HEADLINES = {
    "verified": "Verified: this backup can be restored",
    "not_verified": "Not verified: this backup is not proven",
    "could_not_run": "Could not run: nothing was proven",
}
DAMAGE_HEADLINE = "Not verified: damage was found"
DAMAGE_EXIT = 4

CHECK_STATES = {"passed": "passed", "failed": "failed", "skipped": "not made"}

TILE_STATES = {"good": "met", "bad": "missed", "open": "unknown"}
COVERAGE = "What drills have proven so far"
VERDICTS = {"verified": "verified", "not_verified": "not verified", "could_not_run": "not run"}
ASK = "Ask whoever looks after the backups to look into it."
ADVICE = "What to do: "
"""How a remark begins that belongs to the cause of a drill that could not run."""

AGAIN = (
    "Take the cause away and run the drill again. Until then treat this copy as not proven.",
    "Use a faster copy or connection for restores, or have the practice decide on a longer RTO.",
    "Look at the schedule of the backups and at when this copy is brought up to date, or have the "
    "practice decide on a longer RPO.",
)
"""What to do about a drill that could not run, a missed RTO and a missed RPO."""

SIGN_LINES = (("Corrective action", " ", " "), ("Name and title", "Signature and date"))
"""Empty lines to write on: over the whole width, and two beside each other."""

_DAY_S = 24 * 60 * 60
_TESTING = "45 CFR 164.308(a)(7)(ii)(D)"
PROVISIONS = (
    (
        "45 CFR 164.308(a)(7)(ii)(B)",
        "Disaster recovery plan",
        "data restored: from which copy, how long it took, how old it was",
    ),
    (
        _TESTING,
        "Testing and revision",
        "a dated test with its findings, corrective action and sign-off",
    ),
    (
        "45 CFR 164.310(d)(2)(iv)",
        "Data backup and storage",
        "restored files compared, byte for byte, with the record made at backup time",
    ),
)
"""Provision, its subject, and what of it this report gives evidence for.

Source: 45 CFR Part 164 Subpart C, 164.308(a)(7)(ii)(B) and (D), 164.310(d)(2)(iv).
"""

PROVISIONS_NOTE = (
    "This report supports the evidence kept for these provisions. It is not a statement that the "
    "practice complies with them."
)
PHI_NOTE = (
    "This report shows patient images (PHI). Handle it as a patient record: do not mail it, do "
    "not copy it, keep it where only staff can read it."
)
NO_PHI_NOTE = "This report holds no patient names, numbers or images; studies appear by code."


def provisions_of(result: DrillResult) -> tuple[tuple[str, str, str], ...]:
    """Return the provisions a drill gives evidence for; one without files was but a test."""
    if result.files:
        return PROVISIONS
    return tuple(one for one in PROVISIONS if one[0] == _TESTING)


def scope_in_words(scope: str) -> str:
    """Return what ``all``, ``n/t`` or ``study:KEY`` means."""
    if scope == "all":
        return "the whole store"
    part, slash, total = scope.partition("/")
    if slash:
        return f"part {part} of {total} of the store's studies"
    return f"one study, code {scope.removeprefix('study:')}"


def rto_sentences(result: DrillResult) -> list[str]:
    """Say how long it took, how long the whole store would take, and what is allowed."""
    rto = result.rto
    allowed = words.duration(rto.target_s)
    if rto.measured_s is None:
        return [
            "The restore did not get far enough to be timed.",
            f"The practice allows {allowed}. Whether it would be met is unknown.",
        ]
    extent = scope_in_words(result.scope)
    took = words.duration(rto.measured_s)
    return [
        f"It took {took} to fetch the keys, restore {extent} and check every file of it.",
        *_projection(result.scope, rto),
        f"The practice allows {allowed}. {_met(rto.met)}",
    ]


def _projection(scope: str, rto: RecoveryTime) -> list[str]:
    if scope == "all":
        return []
    if rto.projected_s is None:
        return ["How long the whole store would take cannot be told from this."]
    text = f"The whole store would take about {words.duration(rto.projected_s)}"
    if rto.projected_low_s is None or rto.projected_high_s is None:
        return [text + "; how sure that is, is unknown."]
    low, high = words.duration(rto.projected_low_s), words.duration(rto.projected_high_s)
    return [f"{text}: between {low} and {high}. The longer of these must be within the limit."]


def _met(met: bool | None) -> str:
    if met is None:
        return "Whether this is met is unknown."
    return "That was met." if met else "That was missed."


def rpo_sentences(result: DrillResult) -> list[str]:
    """Say how much work would be lost with this copy, and how much may be."""
    rpo = result.rpo
    allowed = words.duration(rpo.target_s)
    if rpo.measured_s is None:
        why = (
            "the drill did not get far enough to see it"
            if result.verdict == "could_not_run"
            else "no complete backup was found on this copy"
        )
        return [
            f"How much recent work would be lost is unknown: {why}.",
            f"The practice allows {allowed}. {_met(None)}",
        ]
    moment = "at that time" if result.as_of is not None else "when the drill began"
    age = words.duration(rpo.measured_s)
    said = [
        f"The newest complete backup on this copy was {age} old {moment}. Work done after it "
        "would be lost.",
        _gap(rpo),
        f"The practice allows {allowed}. {_met(rpo.met)}",
    ]
    if rpo.newest_image_on:
        newest = f"The newest image in the backup is of {words.written_day(rpo.newest_image_on)}"
        store = words.written_day(rpo.store_newest_image_on or "")
        said.append(f"{newest}; in the store it was of {store} then." if store else f"{newest}.")
    return said


def _gap(rpo: RecoveryPoint) -> str:
    period = words.count(rpo.period_days, "day")
    if rpo.largest_gap_s is None and (rpo.measured_s or 0) > rpo.period_days * _DAY_S:
        return f"No complete backup was made in the last {period}."
    if rpo.largest_gap_s is None:
        return "It is the only complete backup that is known, so there is no time between two."
    gap = words.duration(rpo.largest_gap_s)
    return f"The longest time between two complete backups in the last {period} was {gap}."
