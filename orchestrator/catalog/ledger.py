"""What the catalog knows of the site's ledgers: which there are, and what their entries stand for.

Knows nothing of trees, signatures or files; entries are ids and numbers to it.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import insert_missing, table_of
from orchestrator.catalog.encryption import FieldKeys
from orchestrator.catalog.ledger_tables import Ledger, LedgerIntent, LedgerSeen, LedgerSubject

_AT_ONCE = 500


class Subject(NamedTuple):
    """What a commitment stands for.

    Attributes:
        kind: Such as ``study`` or ``patient``.
        salt: 16 random bytes.
        value: The pseudonym or identifier.
    """

    kind: str
    salt: bytes
    value: str


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What the catalog keeps of an entry that stands in the ledger.

    Attributes:
        index: Its place.
        entry_id: Its UUID.
        type: Its type.
        at: Its time.
        occasion: Under which it must not be recorded again; None if it may.
        opens: It is an intent without an outcome so far.
        settles: Id of the intent whose outcome it is; None for none.
    """

    index: int
    entry_id: str
    type: str
    at: dt.datetime
    occasion: str | None
    opens: bool
    settles: str | None


def current(session: Session) -> Ledger | None:
    """Return the ledger that is written; None if there is none yet."""
    return session.exec(select(Ledger).order_by(col(Ledger.number).desc()).limit(1)).first()


def every(session: Session) -> Sequence[Ledger]:
    """Return every ledger, oldest first."""
    return session.exec(select(Ledger).order_by(col(Ledger.number))).all()


def add(session: Session, ledger: Ledger, *, now: dt.datetime) -> None:
    """Record a new ledger, unless it is known; earlier ones are closed."""
    insert_missing(session, Ledger, [ledger.model_dump()])
    session.connection().execute(
        sa.update(Ledger)
        .where(col(Ledger.number) < ledger.number, col(Ledger.closed_at).is_(None))
        .values(closed_at=now)
    )


def keep_subjects(
    session: Session, entry_id: str, subjects: Sequence[Subject], keys: FieldKeys
) -> None:
    """Keep what an entry's commitments stand for; do it before the entry is appended."""
    for seq, subject in enumerate(subjects):
        plain = subject.salt + subject.value.encode()
        sealed = keys.cipher.encrypt(plain, _context(entry_id, seq, subject.kind))
        session.add(
            LedgerSubject(
                entry_id=entry_id,
                seq=seq,
                kind=subject.kind,
                value_key=keys.pseudonyms.subject(subject.kind, subject.value),
                sealed=base64.b64encode(sealed).decode("ascii"),
            )
        )
    session.flush()


def subjects_of(session: Session, entry_id: str, keys: FieldKeys) -> list[Subject]:
    """Return what an entry's commitments stand for, as far as it is still kept.

    Raises:
        DamageError: A row was changed in the database.
    """
    query = (
        select(LedgerSubject)
        .where(col(LedgerSubject.entry_id) == entry_id)
        .order_by(col(LedgerSubject.seq))
    )
    found = []
    for row in session.exec(query):
        plain = keys.cipher.decrypt(
            base64.b64decode(row.sealed), _context(entry_id, row.seq, row.kind)
        )
        found.append(Subject(row.kind, plain[:16], plain[16:].decode()))
    return found


def entries_about(session: Session, kind: str, value: str, keys: FieldKeys) -> set[str]:
    """Return the ids of the entries that have a commitment to a value."""
    key = keys.pseudonyms.subject(kind, value)
    query = select(LedgerSubject.entry_id).where(col(LedgerSubject.value_key) == key)
    return set(session.exec(query).all())


def seen(session: Session, occasions: Collection[str]) -> set[str]:
    """Return those of the occasions that stand in the ledger."""
    found: set[str] = set()
    wanted = sorted(occasions)
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        query = select(LedgerSeen.occasion).where(col(LedgerSeen.occasion).in_(part))
        found.update(session.exec(query).all())
    return found


def seen_starting_with(session: Session, prefix: str) -> set[str]:
    """Return the occasions that stand in the ledger and begin with a text."""
    query = select(LedgerSeen.occasion).where(
        col(LedgerSeen.occasion).startswith(prefix, autoescape=True)
    )
    return set(session.exec(query).all())


def seen_in_order(session: Session, prefix: str) -> list[str]:
    """Return the occasions that begin with a text as they came into the ledger, oldest first."""
    query = (
        select(LedgerSeen.occasion)
        .where(col(LedgerSeen.occasion).startswith(prefix, autoescape=True))
        .order_by(col(LedgerSeen.ledger), col(LedgerSeen.entry))
    )
    return list(session.exec(query).all())


def mirror(session: Session, number: int, entries: Iterable[Mirrored], *, upto: int) -> None:
    """Keep what is needed of entries that stand in the ledger; safe to repeat.

    Args:
        session: A writing session.
        number: The ledger.
        entries: Its entries from those already mirrored on.
        upto: How many entries of it are mirrored then.
    """
    connection = session.connection()
    for entry in entries:
        connection.execute(
            sa.update(table_of(LedgerSubject))
            .where(table_of(LedgerSubject).c.entry_id == entry.entry_id)
            .values(entry=entry.index)
        )
        if entry.occasion is not None:
            row = {"occasion": entry.occasion, "ledger": number, "entry": entry.index}
            insert_missing(session, LedgerSeen, [row])
        if entry.opens:
            intent = {
                "entry_id": entry.entry_id,
                "ledger": number,
                "entry": entry.index,
                "type": entry.type,
                "at": entry.at,
            }
            insert_missing(session, LedgerIntent, [intent])
        if entry.settles is not None:
            connection.execute(
                sa.delete(LedgerIntent).where(col(LedgerIntent.entry_id) == entry.settles)
            )
    connection.execute(
        sa.update(Ledger)
        .where(col(Ledger.number) == number, col(Ledger.mirrored) < upto)
        .values(mirrored=upto)
    )


def open_intents(session: Session) -> Sequence[LedgerIntent]:
    """Return the announced acts without an outcome, oldest first."""
    return session.exec(select(LedgerIntent).order_by(col(LedgerIntent.at))).all()


def _context(entry_id: str, seq: int, kind: str) -> str:
    return f"ledger.subject|{entry_id}|{seq}|{kind}"
