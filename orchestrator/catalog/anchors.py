"""What lies of the ledgers outside this machine, and what was last heard from there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import upsert
from orchestrator.catalog.ledger_tables import LedgerAnchor, LedgerObject, LedgerOutside


def outside(session: Session) -> dict[str, LedgerOutside]:
    """Return what each anchor said when it was last asked, by its name."""
    return {row.target: row for row in session.exec(select(LedgerOutside))}


def put_outside(session: Session, row: LedgerOutside) -> None:
    """Keep what an anchor said, in place of what it said before."""
    upsert(session, LedgerOutside, [row.model_dump()], key=["target"])


def forget_outside(session: Session) -> None:
    """Forget what the anchors said: they must be asked again."""
    session.connection().execute(sa.delete(LedgerOutside))


def add(session: Session, anchor: LedgerAnchor) -> None:
    """Record that a checkpoint was anchored."""
    session.add(anchor)
    session.flush()


def newest(session: Session, ledger: int) -> Sequence[LedgerAnchor]:
    """Return the newest anchor of each kind and target of a ledger, the largest size first."""
    query = (
        select(LedgerAnchor)
        .where(col(LedgerAnchor.ledger) == ledger)
        .order_by(col(LedgerAnchor.size).desc(), col(LedgerAnchor.at).desc())
    )
    found: dict[tuple[str, str], LedgerAnchor] = {}
    for row in session.exec(query):
        found.setdefault((row.kind, row.target), row)
    return list(found.values())


def every(session: Session, ledger: int) -> Sequence[LedgerAnchor]:
    """Return all anchors of a ledger, oldest first."""
    query = select(LedgerAnchor).where(col(LedgerAnchor.ledger) == ledger)
    return session.exec(query.order_by(col(LedgerAnchor.at), col(LedgerAnchor.id))).all()


def objects(session: Session, copy: str, below: str) -> dict[str, LedgerObject]:
    """Return the files of a ledger that are known to lie in a bucket, by path.

    Args:
        session: Any session.
        copy: The bucket's copy.
        below: What the paths begin with.
    """
    query = select(LedgerObject).where(
        col(LedgerObject.copy_) == copy,
        col(LedgerObject.path).startswith(below, autoescape=True),
    )
    return {row.path: row for row in session.exec(query)}


def put_objects(session: Session, rows: Iterable[LedgerObject]) -> None:
    """Record files that lie in a bucket, with their locks."""
    upsert(
        session,
        LedgerObject,
        [
            {
                "copy": row.copy_,
                "path": row.path,
                "version_id": row.version_id,
                "sha256": row.sha256,
                "retain_until": row.retain_until,
            }
            for row in rows
        ],
        key=["copy", "path"],
    )
