"""Keeping the catalog in step with the ledger: which occasions stand in it, what is still open.

The ledger leads: whatever the catalog lacks, because it was restored or a process was killed
between the two, is read from the ledger's own bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from orchestrator.actions.site import Site
from orchestrator.catalog import ledger as rows
from orchestrator.catalog.ledger_tables import Ledger
from orchestrator.errors import DamageError, LockedError, OrchestratorError

if TYPE_CHECKING:
    from sqlmodel import Session

    from orchestrator.ledger.entry import Entry
    from orchestrator.ledger.reader import StoredEntry

_log = logging.getLogger(__name__)

_AT_ONCE = 2000

OCCASIONS: dict[str, tuple[str, ...]] = {
    "backup.day": ("day", "store"),
    "certificate.recorded": ("number",),
    "check.done": ("run",),
    "determination.asked": ("determination",),
    "determination.made": ("determination", "facts"),
    "determination.withdrawn": ("determination",),
    "disposal.begun": ("disposal",),
    "disposal.proposed": ("disposal", "part"),
    "drill.done": ("drill",),
    "hold.placed": ("hold",),
    "hold.released": ("hold",),
    "key.created": ("repository", "repository_id"),
    "key.unexpected": ("repository", "key"),
    "medium.overdue": ("medium", "due"),
    "medium.received": ("medium", "event_at"),
    "medium.registered": ("medium", "event_at"),
    "medium.released": ("medium", "event_at"),
    "medium.retired": ("medium", "event_at"),
    "missed": ("job", "slot"),
    "patients.imported": ("list",),
    "place.closed": ("place",),
    "place.left": ("place", "left_at"),
    "probe.done": ("copy", "probed_at"),
    "retention.adopted": ("schedule", "adopted_at", "digest"),
    "sanitization.proposed": ("sanitization",),
    "sanitization.recorded": ("sanitization",),
}
"""By type, the fields that make an occasion, which is recorded once."""


def occasion_of(kind: str, body: object) -> str | None:
    """Return under which name an entry of a type must not be recorded twice; None if it may."""
    fields = OCCASIONS.get(kind)
    if fields is None or not isinstance(body, dict) or any(body.get(f) is None for f in fields):
        return None
    return "|".join((kind, *(str(body[name]) for name in fields)))


def recorded(site: Site, session: Session, kind: str) -> Iterator[str]:
    """Yield every occasion of a type that the ledger knows, oldest first.

    What the catalog has not mirrored yet is read from the ledger itself: right after a rebuild
    from an older copy that is just what matters.

    Args:
        site: The site.
        session: Any session; nothing is written in it.
        kind: A type of entry with an occasion.

    Raises:
        RefusedError: There is no ledger, or it was lost.
        DamageError: The ledger cannot be read.
    """
    yield from rows.seen_in_order(session, f"{kind}|")
    reader = site.ledger.reader()
    row = rows.current(session)
    known = row.mirrored if row is not None and row.number == site.ledger.number else 0
    if known < reader.checkpoint.size:
        for stored in reader.entries(known):
            entry = parsed(stored.index, stored.data)
            occasion = occasion_of(entry.type, dict(entry.body))
            if entry.type == kind and occasion is not None:
                yield occasion


def catch_up(site: Site) -> None:
    """Read what the catalog has not mirrored yet of the ledger that is written.

    Raises:
        DamageError: An entry cannot be read.
        OrchestratorError: The catalog fails.
    """
    ledger = site.ledger
    reader = ledger.reader()
    with site.catalog.reading() as session:
        row = rows.current(session)
    if row is None or row.number != ledger.number:
        row = _register(site)
    if row.mirrored >= reader.checkpoint.size:
        return
    entries = reader.entries(row.mirrored)
    while part := list(islice(entries, _AT_ONCE)):
        _mirror(site, part)


def _mirror(site: Site, entries: Iterable[StoredEntry]) -> None:
    found = [_mirrored(stored.index, stored.data) for stored in entries]
    with site.catalog.transaction() as session:
        rows.mirror(session, site.ledger.number, found, upto=found[-1].index + 1)


def catch_up_gently(site: Site) -> None:
    """Catch up with entries that are durable already: a catalog that fails now does so later."""
    try:
        catch_up(site)
    except OrchestratorError as error:
        _log.warning("the catalog does not know the newest entries yet: %s", error.message)


@contextmanager
def alone(site: Site) -> Iterator[None]:
    """Hold the right to look what is recorded and to record what is not.

    Raises:
        LockedError: Another process holds it for longer than `PATIENCE_S`.
    """
    from orchestrator.actions.lock import marked

    until = site.clock.monotonic() + PATIENCE_S
    while True:
        with marked(site.lock_dir, "ledger-occasions") as held:
            if held:
                yield
                return
        if site.clock.monotonic() > until:
            raise LockedError("another process is recording in the ledger and does not end")
        site.check_stop()
        site.stop.wait(_PAUSE_S)


PATIENCE_S = 60.0
_PAUSE_S = 0.05


def _register(site: Site) -> Ledger:
    now = site.clock.now()
    ledger = site.ledger
    row = Ledger(
        number=ledger.number,
        origin=ledger.origin,
        vkey=ledger.verifier.vkey,
        opened_at=now,
        mirrored=0,
    )
    with site.catalog.transaction() as session:
        rows.add(session, row, now=now)
    return row


def _mirrored(index: int, data: bytes) -> rows.Mirrored:
    entry = parsed(index, data)
    return rows.Mirrored(
        index=index,
        entry_id=entry.id,
        type=entry.type,
        at=entry.at,
        occasion=occasion_of(entry.type, dict(entry.body)),
        opens=is_act(entry),
        settles=entry.intent,
    )


def is_act(entry: Entry) -> bool:
    """Say whether an entry announces an act, whose outcome is to follow."""
    from orchestrator.ledger.entry import ACTS

    return entry.type in ACTS


def parsed(index: int, data: bytes) -> Entry:
    """Return an entry of the ledger.

    Raises:
        DamageError: It is none.
    """
    from orchestrator.ledger.entry import parse

    try:
        return parse(data)
    except ValueError as error:
        raise DamageError(
            f"the ledger's entry {index} is none: it {error}", hint="orchestrator ledger verify"
        ) from None
