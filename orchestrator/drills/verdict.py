"""The verdict of a drill, from nothing but its result. Pure.

Verified only if restored, at least one check of the images passed, none failed, none was
skipped, and RTO and RPO are met. Everything else is not verified; damage has its own exit code.
"""

from __future__ import annotations

from orchestrator.drills.result import Check, DrillResult, Verdict

RESTORE = "restore"
"""Name of the check that passes when restic brought back what was asked for."""

_NOT_VERIFIED = 1
_DAMAGE = 4


def judge(result: DrillResult) -> tuple[Verdict, str, int]:
    """Judge a drill that ran to its end.

    Args:
        result: With its checks, RTO and RPO.

    Returns:
        Verdict, one sentence that says why, and the exit code.
    """
    failed = [check for check in result.checks if check.state == "failed"]
    if any(check.damage for check in failed):
        return "not_verified", _sentence("Damage", failed), _DAMAGE
    if failed:
        return "not_verified", _sentence("Failed", failed), _NOT_VERIFIED
    reason = _shortfall(result)
    if reason is not None:
        return "not_verified", reason, _NOT_VERIFIED
    return "verified", _praise(result), 0


def _shortfall(result: DrillResult) -> str | None:
    """Say what is missing for a proof although nothing failed; None for nothing."""
    skipped = [check for check in result.checks if check.state == "skipped"]
    passed = [check for check in result.checks if check.state == "passed"]
    if not any(check.name == RESTORE for check in passed):
        return "Nothing was restored."
    if skipped:
        return _sentence("Could not be checked", skipped)
    if not result.files or not any(check.proves_data for check in passed):
        return "Nothing was proven about the images: no check of them passed."
    if result.rto.met is not True:
        return _late("RTO", result.rto.met)
    if result.rpo.met is not True:
        return _late("RPO", result.rpo.met)
    return None


def _sentence(start: str, checks: list[Check]) -> str:
    names = ", ".join(check.name for check in checks)
    return f"{start}: {names}. {checks[0].detail[:1].upper()}{checks[0].detail[1:]}."


def _late(objective: str, met: bool | None) -> str:
    if met is None:
        return f"The {objective} could not be measured."
    return f"Everything restored is right, but the {objective} was not met."


def _praise(result: DrillResult) -> str:
    files = f"{result.files:,} file{'' if result.files == 1 else 's'}"
    return f"All {files} restored are, byte for byte, what was backed up; RTO and RPO were met."
