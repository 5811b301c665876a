"""Whether a patient list may be taken at all: its age, its length, what is left of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site

if TYPE_CHECKING:
    from orchestrator.actions.retention.patient_file import PatientFile
    from orchestrator.catalog.retention_tables import PatientList

CLOCK_TOLERANCE = timedelta(minutes=5)
"""The clock of whoever exports may be ahead of ours by this much."""

_LINES_NAMED = 5


def refusals(
    site: Site,
    found: PatientFile,
    row: PatientList,
    before: PatientList | None,
    *,
    accept_shrink: bool,
) -> list[str]:
    """Return why the whole list may not be taken; empty if it may."""
    limits, now = site.config.retention, row.imported_at
    faults = []
    if row.accepted == 0:
        faults.append(f"none of its {row.rows} rows can be taken")
    if row.exported_at is None:
        faults.append("it does not say when it was exported (exported_at)")
    elif found.newest_export is not None and found.newest_export > now + CLOCK_TOLERANCE:
        faults.append("it says that it was exported in the future (exported_at)")
    elif not is_fresh(site, row.exported_at, now):
        days = limits.patient_list_max_age.days
        faults.append(f"it was exported {(now - row.exported_at).days} days ago, limit {days}")
    if before is not None and row.exported_at is not None:
        if before.exported_at is not None and row.exported_at < before.exported_at:
            faults.append("it was exported before the list in force")
        least = before.accepted * (1 - limits.patient_list_max_shrink)
        if row.accepted < least and not accept_shrink:
            faults.append(
                f"it has {row.accepted} good rows where the list in force has {before.accepted}; "
                "somebody of compliance who has looked into it may use --accept-shrink"
            )
    return faults


def named(found: PatientFile) -> str:
    """Say which rows are rejected and why, without anybody's identity."""
    if not found.rejected:
        return ""
    why = ", ".join(f"{reason} {count}" for reason, count in found.faults().most_common())
    lines = ", ".join(str(one.line) for one in found.rejected[:_LINES_NAMED])
    more = " and further" if len(found.rejected) > _LINES_NAMED else ""
    return f" (rejected rows: {why}; lines {lines}{more})"


def is_fresh(site: Site, exported_at: datetime | None, now: datetime) -> bool:
    """Say whether a list is young enough; one from the future has no age that anybody knows."""
    if exported_at is None:
        return False
    return -CLOCK_TOLERANCE <= now - exported_at <= site.config.retention.patient_list_max_age


def answers(site: Site, taken: PatientList, refused: PatientList) -> bool:
    """Say whether a list says all that a refused one could have said: is it as new as that one?

    A list that is offered again was exported no later for that. A refused one that says no time of
    export, or one in the future, is of the day on which it was offered.
    """
    if refused.imported_at >= taken.imported_at:
        return is_older(refused, taken)
    said = refused.exported_at
    if said is None or said > refused.imported_at + CLOCK_TOLERANCE:
        day = refused.imported_at.astimezone(site.config.timezone)
        said = day.replace(hour=0, minute=0, second=0, microsecond=0)
    return taken.exported_at is not None and taken.exported_at >= said


def is_older(one: PatientList, other: PatientList) -> bool:
    """Say whether a list was certainly exported before another."""
    return is_later(other.exported_at, one.exported_at) and one.exported_at is not None


def is_later(one: datetime | None, other: datetime | None) -> bool:
    """Say whether a list was exported after another; one of unknown age never was."""
    return one is not None and (other is None or one > other)
