"""What the site decides by: the adopted schedules, read from the texts that were adopted.

A shipped or edited file changes nothing here until it is adopted; one that contradicts what was
adopted under its id and version stops every decision.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.actions.ledger import mirror
from orchestrator.actions.retention.offered import demand_unchanged
from orchestrator.actions.site import Site
from orchestrator.catalog import patients
from orchestrator.catalog import schedules as rows
from orchestrator.catalog.retention_tables import AdoptedSchedule
from orchestrator.errors import DamageError, RefusedError
from orchestrator.retention.schedule import Adopted, MajorityAge, Policy
from orchestrator.retention.study import ReviewReason

if TYPE_CHECKING:
    from sqlmodel import Session

_ADOPTED = "retention.adopted"


def current_policy(site: Site, session: Session) -> Policy:
    """Return what is in force now.

    Args:
        site: The site.
        session: The transaction in which the decision is made.

    Raises:
        ConfigError: A file was changed under the id and version of an adopted one.
        RefusedError: The catalog and the ledger do not say the same was adopted last, or there
            is no ledger.
        DamageError: An adopted text is not the one that was adopted.
    """
    from orchestrator.actions.retention.patients import list_doubts

    demand_unchanged(site, rows.digests(session))
    for words, hint in behind_ledger(site, session):
        raise RefusedError(words, hint=hint)
    adopted: list[Adopted] = []
    majority: tuple[MajorityAge, ...] = ()
    for row in rows.in_force(session):
        if row.kind == rows.MAJORITY:
            majority = _majority(row)
        else:
            adopted.append(adopted_schedule(row))
    return Policy(tuple(adopted), majority, list_doubts(site, session) | lost_list(site, session))


def lost_list(site: Site, session: Session) -> frozenset[ReviewReason]:
    """Return that the list in force is outdated if the ledger knows a later one than the catalog.

    So it is after a rebuild from an older copy: what the lost list said is not known.

    Args:
        site: The site.
        session: Any session.

    Raises:
        RefusedError: There is no ledger, or it was lost.
        DamageError: The ledger cannot be read.
    """
    last = ""
    for occasion in mirror.recorded(site, session, "patients.imported"):
        last = occasion.partition("|")[2]
    if not last or patients.is_known(session, last):
        return frozenset()
    return frozenset({"patient_list_stale"})


def behind_ledger(site: Site, session: Session, name: str | None = None) -> list[tuple[str, str]]:
    """Return what the catalog and the ledger do not agree on, in words, each with a hint.

    A catalog that was rebuilt from an older copy, or edited, must not decide by what it says.

    Args:
        site: The site.
        session: Any session.
        name: Only about this schedule; None for all.

    Raises:
        RefusedError: There is no ledger, or it was lost.
        DamageError: The ledger cannot be read.
    """
    recorded: dict[str, tuple[str, str]] = {}
    for occasion in mirror.recorded(site, session, _ADOPTED):
        _type, schedule_id, at, digest = occasion.split("|")
        recorded[schedule_id] = (at, digest)
    in_force = {
        row.schedule_id: (row.adopted_at.isoformat(), row.digest) for row in rows.in_force(session)
    }
    return [
        (
            f"the ledger and the catalog do not agree on what was last adopted as {one}: "
            "nothing is decided",
            f"orchestrator --as ACTOR retention adopt {one}",
        )
        for one in sorted({*recorded, *in_force} if name is None else {name})
        if recorded.get(one) != in_force.get(one)
    ]


def adopted_schedule(row: AdoptedSchedule) -> Adopted:
    """Return an adopted schedule as its text says.

    Raises:
        DamageError: The text is not the one that was adopted.
    """
    from orchestrator.config.schedules import read_schedule

    return Adopted(read_schedule(_text(row), _where(row)), row.image_clock)


def _majority(row: AdoptedSchedule) -> tuple[MajorityAge, ...]:
    from orchestrator.config.schedules import read_majority

    return read_majority(_text(row), _where(row))


def _text(row: AdoptedSchedule) -> bytes:
    data = row.text.encode("utf-8")
    if hashlib.sha256(data).hexdigest() != row.digest:
        raise DamageError(
            f"the adopted text of schedule {row.schedule_id} was changed in the catalog",
            hint=f"orchestrator --as ACTOR retention adopt {row.schedule_id}",
        )
    return data


def _where(row: AdoptedSchedule) -> Path:
    """Name the text in faults: it is no file any more."""
    return Path(f"{row.schedule_id} {row.version} (adopted)")
