"""The method that evidence adds up to.

Pure. The method (Clear, Purge, Destroy) is computed here from technique, medium and evidence and
is typed by nobody. What is not established makes it none, with the reason.

Source: NIST SP 800-88 keeps the method apart from the technique, and verification (did it
complete) apart from validation (does the organization accept it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from orchestrator.sanitization.facts import FLASH, HIDES_AREAS, Facts
from orchestrator.sanitization.readback import ReadBack
from orchestrator.sanitization.techniques import CONDITIONS, Method, Technique
from orchestrator.sanitization.transcripts import ToolVerdict

Verification = Literal["verified", "not_verified", "unverified", "attested"]

_RANK: dict[Method, int] = {"clear": 1, "purge": 2, "destroy": 3}
_NARROW = "plain writes do not reach spare and replaced cells of flash"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was observed of one execution, or said of one.

    Attributes:
        tool: What the transcript of the program adds up to; None if no program was run.
        tool_reasons: Why it is not ``done``.
        status: What the device says of the operation afterwards; None if it was not asked.
        status_reasons: Why it is not ``done``.
        read_back: What our own reading found; None if it was not made.
        identity_same: The device at the end is the one of the beginning; None if unknown.
        conditions: What a person has attested to.
        evidence_files: Whether a person's statement is supported by stored evidence.
    """

    tool: ToolVerdict | None = None
    tool_reasons: tuple[str, ...] = ()
    status: ToolVerdict | None = None
    status_reasons: tuple[str, ...] = ()
    read_back: ReadBack | None = None
    identity_same: bool | None = None
    conditions: frozenset[str] = field(default_factory=frozenset)
    evidence_files: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What evidence adds up to.

    Attributes:
        verification: ``verified`` if every observation says so; ``not_verified`` if one says the
            contrary; ``unverified`` if something is not known; ``attested`` if nothing was
            observed here.
        method: The method reached; None for none.
        reasons: Why it is not more, in sentences.
        flags: What the person who validates must weigh.
    """

    verification: Verification
    method: Method | None
    reasons: tuple[str, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """What a technique could reach on a device, before anything is done.

    Attributes:
        technique: Its name.
        method: The highest method; None for none.
        allowed: It may be proposed for this device.
        reasons: Why it is not allowed, or why it reaches no more.
        of_kind: It is a technique for this kind of medium at all.
    """

    technique: str
    method: Method | None
    allowed: bool
    reasons: tuple[str, ...]
    of_kind: bool = True


def reach(wanted: Technique, facts: Facts) -> Reach:
    """Say whether a technique may be proposed for a device, and what it could reach."""
    against = [*_against(wanted, facts)]
    if wanted.measured:
        against += facts.in_use
        if facts.identity is None:
            against.append("nothing tells this device from another: no serial number agreed upon")
        if facts.size_bytes in (None, 0):
            against.append("its size is not known")
    if against:
        of_kind = facts.kind in wanted.kinds
        return Reach(wanted.name, None, False, tuple(against), of_kind=of_kind)
    level = wanted.level(facts.kind)
    limits = [*_limits(wanted, facts, level)]
    if wanted.name == "nwipe" and facts.serial is None:
        # Its log names the device by that alone: it would always end unverified.
        limits.append("nwipe's log cannot be tied to a device without a serial number")
        level = None
    return Reach(wanted.name, None if _is_short(wanted, facts) else level, True, tuple(limits))


def judge(wanted: Technique, facts: Facts, evidence: Evidence) -> Judgement:
    """Compute verification and method from what was observed.

    Args:
        wanted: What was done.
        facts: What the device was before.
        evidence: What was seen during it and after.
    """
    flags = _flags(wanted, facts)
    against = tuple(_against(wanted, facts))
    if not wanted.measured:
        method = None if against or not evidence.evidence_files else wanted.level(facts.kind)
        reasons = [*against, *_limits(wanted, facts, wanted.level(facts.kind))]
        if not evidence.evidence_files:
            reasons.append("no evidence of it is stored")
        return Judgement("attested", method, tuple(reasons), flags)
    contrary, open_points = _weigh(wanted, evidence)
    open_points += against
    verification: Verification = (
        "not_verified" if contrary else "unverified" if open_points else "verified"
    )
    reasons = [*contrary, *open_points]
    level = wanted.level(facts.kind)
    if verification != "verified":
        return Judgement(verification, None, tuple(reasons), flags)
    reasons += _limits(wanted, facts, level)
    lacking = [CONDITIONS[one] for one in wanted.conditions if one not in evidence.conditions]
    reasons += [f"it was not attested that {one}" for one in lacking]
    if lacking or _is_short(wanted, facts):
        level = None
    return Judgement("verified", level, tuple(reasons), flags)


def _against(wanted: Technique, facts: Facts) -> list[str]:
    """Say why a technique is wrong for a device."""
    if facts.kind not in wanted.kinds:
        return [f"it is no technique for this kind of medium: {facts.kind}"]
    found = []
    for need in wanted.needs:
        can = facts.has(need)
        if can is None:
            found.append(f"whether the device can do it is unknown: {need}")
        elif not can:
            found.append(f"the device does not offer it: {need}")
    if wanted.name.startswith("ata-"):
        for state, word in ((facts.frozen, "frozen"), (facts.locked, "locked")):
            if state is not False:
                found.append(f"the drive is {word}" if state else f"unknown whether it is {word}")
    return found


def _is_short(wanted: Technique, facts: Facts) -> bool:
    """Say whether an overwrite may have missed hidden areas of an ATA drive."""
    return wanted.leaves_zeros and facts.kind in HIDES_AREAS and facts.hidden is not False


def _limits(wanted: Technique, facts: Facts, level: Method | None) -> list[str]:
    found = []
    if level is None:
        found.append(f"{wanted.says} reaches no method on this kind of medium: {facts.kind}")
    if _is_short(wanted, facts):
        known = "has a hidden area that is" if facts.hidden else "may have hidden areas that are"
        found.append(f"the drive {known} not reached (HPA, DCO)")
    return found


def _flags(wanted: Technique, facts: Facts) -> tuple[str, ...]:
    found = []
    if wanted.leaves_zeros and facts.kind in FLASH:
        found.append(f"scope: {_NARROW}")
    if facts.kind in ("loop", "file", "virtual"):
        found.append("scope: nothing is claimed for the medium beneath this virtual device")
    if facts.health not in (None, "passed"):
        found.append("the drive calls itself failing")
    if wanted.flag is not None:
        found.append(wanted.flag)
    return tuple(found)


def _weigh(wanted: Technique, evidence: Evidence) -> tuple[list[str], list[str]]:
    """Sort observations into what speaks against and what is not known."""
    contrary: list[str] = []
    unknown: list[str] = []
    for what, verdict, reasons in (
        ("the program", evidence.tool, evidence.tool_reasons),
        ("the device's status", evidence.status, evidence.status_reasons),
    ):
        if verdict is None and (what == "the program" or wanted.has_status):
            unknown.append(f"{what} was not observed")
        elif verdict == "failed":
            contrary += reasons or (f"{what} says that it failed",)
        elif verdict in ("unverified", "running"):
            unknown += reasons or (f"{what} says nothing certain",)
    if evidence.identity_same is None:
        unknown.append("whether it is still the same device is not known")
    elif not evidence.identity_same:
        contrary.append("the device at the end is not the one of the beginning")
    if evidence.read_back is None:
        unknown.append("nothing was read back")
    else:
        contrary += evidence.read_back.contrary
        unknown += evidence.read_back.unknown
    return contrary, unknown


def reject_conditions(
    wanted: Technique,
    facts: Facts,
    evidence: Evidence,
    required: Method | None,
    reached: Method | None,
) -> list[str]:
    """Return why the organization should reject the outcome, as far as it can be computed.

    Args:
        wanted: What was done.
        facts: What the device was before.
        evidence: What was seen.
        required: The method that the organization asks for; None for any.
        reached: The method that was reached.

    Source: NIST SP 800-88 Rev. 2 lets the organization reject what could not be read, a technique
    wrong for the medium, an outcome below the level asked for, and too narrow a scope.
    """
    found = []
    if evidence.read_back is not None and evidence.read_back.unreadable:
        found.append("unreadable: parts of the medium could not be read back")
    if facts.kind not in wanted.kinds:
        found.append("wrong technique: it does nothing that counts for this kind of medium")
    if required is not None and (reached is None or _RANK[reached] < _RANK[required]):
        found.append(f"below the level: {required} was asked for, {reached or 'none'} reached")
    found += [flag for flag in _flags(wanted, facts) if flag.startswith("scope:")]
    return found
