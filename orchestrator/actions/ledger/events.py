"""What of the product's own work belongs in the ledger, taken from what the catalog knows.

Taken afterwards and by occasion rather than written on the way: a check, a probe, a medium's
journey or a day's backups that could not be recorded when they happened are recorded by the next
run, and none twice. Acts that must not happen unrecorded are `record.announced` instead.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.actions.holds import events as hold_events
from orchestrator.actions.ledger.record import Event, record_new
from orchestrator.actions.place_register import events as place_events
from orchestrator.actions.retention import determination_events, patient_events
from orchestrator.actions.site import Site
from orchestrator.catalog import happenings, media, missed, repositories
from orchestrator.catalog import ledger as rows

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.catalog.tables import Run as RunRow

LOOK_BACK = timedelta(days=40)
"""How far back work is looked for that nobody has recorded yet."""

HOLD_OPEN = timedelta(days=7)
"""How long a day's summary waits for a run of that day that does not end."""

RECORDED_ACTIONS = frozenset(
    {
        "backup",
        "check",
        "drill",
        "init",
        "medium-add",
        "medium-receive",
        "medium-release",
        "medium-retire",
        "probe",
        "replicate",
    }
)
"""Runs at whose end the ledger is brought up to date."""

_CUSTODY = frozenset({"registered", "released", "received", "retired"})
_BACKUPS = ("backup", "replicate")

_log = logging.getLogger(__name__)


def record_happenings(site: Site, *, ending: str | None = None) -> int:
    """Record everything that has happened and does not stand in the ledger yet.

    Args:
        site: The site.
        ending: A run that is about to end; None for none.

    Returns:
        How many entries were made.

    Raises:
        OrchestratorError: As `record.record`.
    """
    now = site.clock.now()
    with site.catalog.reading() as session:
        since = _since(site, session, now)
        events = [*_days(site, session, (since, now)), *_work(site, session, since, ending)]
        events += [*_overdue(session, now), *patient_events.since(session, since)]
        events += hold_events.since(session, since)
        events += place_events.since(session, since)
        events += determination_events.since(session, since)
        gaps = missed.unrecorded(session)
        events += [
            Event(
                "missed",
                {
                    "job": gap.job,
                    "slot": gap.slot,
                    "action": gap.action,
                    "kind": gap.kind,
                    "due": _text(gap.due_at),
                    **({} if gap.store is None else {"store": gap.store}),
                },
            )
            for gap in gaps
        ]
    made = record_new(site, events)
    if gaps:
        with site.catalog.transaction() as session:
            missed.mark_recorded(session, gaps, now=now)
    return len(made)


def _since(site: Site, session: Session, now: datetime) -> datetime:
    """Return from when on work is accounted for: nothing from before there was a ledger."""
    known = rows.every(session)
    opened = known[0].opened_at if known else now
    return max(opened, now - LOOK_BACK)


def _days(site: Site, session: Session, span: tuple[datetime, datetime]) -> Iterator[Event]:
    """Yield a summary for each store and each day of the site that is over; also for empty ones."""
    zone = site.config.timezone
    since, now = span
    day, today = since.astimezone(zone).date(), now.astimezone(zone).date()
    while day < today:
        start, end = (
            datetime.combine(one, time(), zone).astimezone(UTC)
            for one in (day, day + timedelta(days=1))
        )
        found = happenings.runs_between(session, start, end, actions=_BACKUPS)
        if any(run.ended_at is None for run in found) and now - end < HOLD_OPEN:
            return
        for store in site.config.stores:
            yield _day(day, store, [run for run in found if run.store == store])
        day += timedelta(days=1)


def _day(day: date, store: str, found: list[RunRow]) -> Event:
    backups = [run for run in found if run.action == "backup"]
    whole = [run for run in backups if run.outcome in ("succeeded", "partial")]
    last: dict[str, Any] = dict(whole[-1].metrics) if whole else {}
    copies: dict[str, str] = {}
    for run in found:
        copies |= run.metrics.get("copies", {})
    return Event(
        "backup.day",
        {
            "day": day.isoformat(),
            "store": store,
            "runs": len(backups),
            "outcomes": dict(Counter(run.outcome or "unfinished" for run in backups)),
            "files": int(last.get("files", 0)),
            "problems": int(last.get("problems", 0)),
            "bytes_added": sum(int(run.metrics.get("bytes_added", 0)) for run in whole),
            "copies": copies,
        },
    )


def _work(site: Site, session: Session, since: datetime, ending: str | None) -> Iterator[Event]:
    yield from _keys(site, session)
    yield from _checks(session, since, ending)
    for probe in happenings.probes_since(session, since):
        yield Event(
            "probe.done",
            {
                "copy": probe.copy_,
                "probed_at": _text(probe.at),
                "verdict": probe.verdict,
                "attempts": len(probe.attempts),
            },
        )
    for act, medium in happenings.custody_since(session, since):
        if act.event not in _CUSTODY:
            continue
        # What people type may name somebody, so it is committed to and not written.
        typed = {"label": medium.label, "holder": act.holder, "location": act.location}
        yield Event(
            f"medium.{act.event}",
            {
                "medium": act.medium,
                "copy": medium.copy_,
                "serial": medium.serial,
                "fs_uuid": medium.fs_uuid or None,
                "event_at": _text(act.at),
                "by": act.actor,
            },
            subjects={kind: [value] for kind, value in typed.items() if value},
        )


def _keys(site: Site, session: Session) -> Iterator[Event]:
    """Yield the keys that open repositories; the ledger's own key stands in its first entry."""
    for row in repositories.of_store(session):
        entry = site.keyring.find_repository(row.name)
        if entry is not None:
            yield Event(
                "key.created",
                {
                    "repository": row.name,
                    "repository_id": row.id,
                    "keys": list(entry.key_ids),
                    "made_at": _text(row.created_at),
                },
            )


def _checks(session: Session, since: datetime, ending: str | None) -> Iterator[Event]:
    store_of = {row.id: row.store for row in repositories.of_store(session)}
    by_run: dict[str, list[dict[str, Any]]] = {}
    for row in happenings.checks_since(session, since, ending=ending):
        by_run.setdefault(row.run_id, []).append(
            {
                "copy": row.copy_,
                "medium": row.medium or None,
                "store": store_of.get(row.repository_id),
                "slice": f"{row.slice_n}/{row.slice_t}",
                "files": row.files,
                "bytes": row.size_bytes,
                "damaged": len(row.damaged),
            }
        )
    for run, found in by_run.items():
        yield Event("check.done", {"run": run, "copies": found})


def _overdue(session: Session, now: datetime) -> Iterator[Event]:
    for medium in media.of_copy(session):
        if medium.due_at is None or medium.due_at >= now:
            continue
        yield Event(
            "medium.overdue",
            {
                "medium": medium.id,
                "copy": medium.copy_,
                "due": _text(medium.due_at),
                "last_seen": None if medium.last_seen is None else _text(medium.last_seen),
            },
        )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
