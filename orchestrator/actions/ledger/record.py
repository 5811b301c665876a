"""Writing to the disposal ledger: the one way by which actions put entries into it.

`record` is for what has happened; `announced` is for acts that must not happen unrecorded: the
intent is durable before the act, the outcome after it, and an intent without an outcome is
settled by the next run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from orchestrator.actions.ledger import mirror
from orchestrator.actions.ledger import note as ledger_note
from orchestrator.actions.site import Site
from orchestrator.catalog import ledger as rows
from orchestrator.errors import OrchestratorError, UsageError

CLOCK_TOLERANCE = timedelta(minutes=1)
"""The clock may stand this much before the last entry: writers wait for each other meanwhile."""

_TAKEN = frozenset({"evidence", "note", "subjects"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """What is to be recorded.

    Attributes:
        type: One of `ledger.entry.TYPES`, such as ``drill.done``.
        body: Further fields: JSON values without floats; no identifier of a patient, no path.
        subjects: What it is about, by kind (``study``, ``patient``), each to be committed to with
            a salt; values are pseudonyms or identifiers and never appear in the entry.
        evidence: SHA-256 in hex by name of what lies beside the ledger.
        note: Free text of at most 200 characters, refused when it holds a known identifier.
    """

    type: str
    body: Mapping[str, Any] = field(default_factory=dict)
    subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry that stands in the ledger, durably and under a signed checkpoint.

    Attributes:
        index: Its place, from 0.
        id: Its UUIDv7.
        entry: The very bytes that stand in the ledger.
    """

    index: int
    id: str
    entry: bytes


def record(site: Site, events: Sequence[Event]) -> list[Recorded]:
    """Append entries, all under one checkpoint; durable on return.

    Raises:
        RefusedError: The ledger may not be signed (behind an outside checkpoint, or gone), or a
            note holds an identifier.
        UsageError: An event is none that the ledger takes.
        LockedError: Another process is writing and does not end.
        DamageError: The ledger on the disk is not what was signed.
        EngineError: The disk refuses.
    """
    return _append(site, [_Draft(event) for event in events])


def record_new(site: Site, events: Sequence[Event]) -> list[Recorded]:
    """Append those of the events whose occasion does not stand in the ledger yet.

    An occasion is what `mirror.OCCASIONS` says; of several processes that see the same
    one, one records it.

    Raises:
        As `record`.
    """
    if not events:
        return []
    with mirror.alone(site):
        mirror.catch_up(site)
        named = [(mirror.occasion_of(event.type, dict(event.body)), event) for event in events]
        with site.catalog.reading() as session:
            known = rows.seen(session, {name for name, _ in named if name is not None})
        return record(site, [event for name, event in named if name not in known])


@contextmanager
def announced(site: Site, intent: Event) -> Iterator[dict[str, Any]]:
    """Record an intent, do the act in the block, record its outcome.

    The intent's type is one of `ledger.entry.ACTS`. Yields the outcome's body, to be filled in by
    the block; ``note``, ``evidence`` and ``subjects`` in it are taken as those of an `Event`. The
    outcome's type is the intent's with ``.done`` or, if the block raises, ``.failed``, which is
    recorded before the error goes on up. If the process dies, or the outcome cannot be written,
    the next run records ``.interrupted`` (`settle`).

    Raises:
        As `record`; nothing has been done then, unless the act itself has ended.
    """
    from orchestrator.actions.lock import marked
    from orchestrator.ledger.entry import ACTS, new_id

    if intent.type not in ACTS:
        raise UsageError(f"{intent.type} is no act that is announced in the ledger")
    own_id = new_id(site.clock.now())
    outcome: dict[str, Any] = {}
    # The mark before the entry: an intent that nobody marks belongs to a dead process.
    with marked(site.lock_dir, _intent_mark(own_id)):
        _append(site, [_Draft(intent, own_id)])
        try:
            yield outcome
        except BaseException as error:
            _record_failure(site, _outcome(intent, "failed", outcome, error), own_id)
            raise
        _append(site, [_Draft(_outcome(intent, "done", outcome), intent=own_id)])


def settle(site: Site) -> list[Recorded]:
    """Record ``.interrupted`` for every announced act whose process died before its outcome.

    Raises:
        As `record`.
    """
    with mirror.alone(site):
        mirror.catch_up(site)
        with site.catalog.reading() as session:
            left = [row for row in rows.open_intents(session) if not is_alive(site, row.entry_id)]
        drafts = [_Draft(Event(f"{row.type}.interrupted"), intent=row.entry_id) for row in left]
        return _append(site, drafts)


@dataclass(frozen=True, slots=True)
class _Draft:
    """An event on its way into the ledger.

    Attributes:
        event: What is to be recorded.
        id: Its id; None for a new one.
        intent: Id of the intent whose outcome it is.
    """

    event: Event
    id: str | None = None
    intent: str | None = None


def _append(site: Site, drafts: Sequence[_Draft]) -> list[Recorded]:
    from orchestrator.actions.ledger.outside import demand_signable

    if not drafts:
        return []
    demand_signable(site)
    for draft in drafts:
        if draft.event.note is not None:
            ledger_note.demand_clean(site, draft.event.note)
    ledger = site.ledger
    now = site.clock.now()
    jump = _clock_jump(site, now)
    prepared = [_prepare(site, draft, now) for draft in [*jump, *drafts]]
    subjects = [one for one in prepared if one.subjects]
    if subjects:
        # Before the entries: a commitment whose salt is lost can never be opened.
        with site.catalog.transaction() as session:
            for one in subjects:
                rows.keep_subjects(session, one.id, one.subjects, site.catalog.keys)
    appended = ledger.log.append([one.data for one in prepared])
    mirror.catch_up_gently(site)
    made = [Recorded(index, one.id, one.data) for index, one in enumerate(prepared, appended.first)]
    return made[len(jump) :]


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: str
    data: bytes
    subjects: list[rows.Subject]


def _prepare(site: Site, draft: _Draft, now: datetime) -> _Prepared:
    from orchestrator.ledger import entry

    event = draft.event
    opened = [
        entry.disclosure(kind, value) for kind, values in event.subjects.items() for value in values
    ]
    commitments: dict[str, list[str]] = {}
    for one in opened:
        commitments.setdefault(one.kind, []).append(one.commitment)
    own_id = draft.id or entry.new_id(now)
    try:
        data = entry.build(
            entry.Entry(
                type=event.type,
                id=own_id,
                at=now,
                actor=site.actor,
                body=event.body,
                subjects=commitments,
                evidence={name: f"sha256:{value}" for name, value in event.evidence.items()},
                note=event.note,
                intent=draft.intent,
            )
        )
    except ValueError as error:
        raise UsageError(
            f"the ledger does not take this entry of type {event.type}: {error}"
        ) from None
    return _Prepared(own_id, data, [rows.Subject(one.kind, one.salt, one.value) for one in opened])


def _clock_jump(site: Site, now: datetime) -> list[_Draft]:
    """Say so if the clock stands before the last entry; the entry's own time stays the clock's.

    Entries are in order by their numbers. A time is what the clock showed, also when it is
    wrong: one made up to look right would be a lie in an evidence.
    """
    reader = site.ledger.reader()
    newest = reader.checkpoint.size - 1
    last = mirror.parsed(newest, reader.entry(newest)).at
    behind = last - now
    if behind <= CLOCK_TOLERANCE:
        return []
    body = {"behind_s": int(behind.total_seconds()), "last_at": last.isoformat()}
    return [_Draft(Event("clock.jump", body))]


def _outcome(
    intent: Event, how: str, filled: dict[str, Any], error: BaseException | None = None
) -> Event:
    body = {name: value for name, value in filled.items() if name not in _TAKEN}
    if error is not None:
        # Its class only: a message may hold a path.
        body["error"] = type(error).__name__
    return Event(
        f"{intent.type}.{how}",
        body,
        subjects=filled.get("subjects", {}),
        evidence=filled.get("evidence", {}),
        note=filled.get("note"),
    )


def _record_failure(site: Site, failure: Event, intent: str) -> None:
    """Record that an act failed; if even that fails, the next run settles it."""
    try:
        _append(site, [_Draft(failure, intent=intent)])
    except OrchestratorError as error:
        _log.error("the ledger does not say yet that an act failed: %s", error.message)


def is_alive(site: Site, intent: str) -> bool:
    """Say whether a living process is at an announced act.

    Args:
        site: The site.
        intent: Id of the intent's entry.
    """
    from orchestrator.actions.lock import is_marked

    return is_marked(site.lock_dir, _intent_mark(intent))


def _intent_mark(intent: str) -> str:
    return f"intent-{intent}"
