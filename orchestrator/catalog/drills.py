"""Drills: how each ended, who signed it, and which studies they have proven on which copy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlmodel import Session, col, select

from orchestrator.catalog.bulk import BATCH, batches, stream, table_of, upsert
from orchestrator.catalog.drill_tables import Drill, DrillProven, DrillSignOff, SuppressedStudy
from orchestrator.catalog.tables import File
from orchestrator.drills.document import from_document, to_document
from orchestrator.drills.result import Coverage, DrillResult, PastDrill, SignOff, Verdict
from orchestrator.errors import DamageError, NotFoundError, UsageError

_LIST = "orchestrator drill list"
_file, _proven, _suppressed = table_of(File), table_of(DrillProven), table_of(SuppressedStudy)


def begin(session: Session, result: DrillResult, *, run_id: str | None) -> None:
    """Record that a drill has begun: should it never end, that shows."""
    session.add(Drill(id=result.drill, run_id=run_id, **_columns(result)))
    session.flush()


def finish(
    session: Session,
    result: DrillResult,
    *,
    proven: Iterable[str] = (),
    refuted: Iterable[str] = (),
) -> bool:
    """Record how a drill has ended, and what it proved.

    Args:
        session: A writing session.
        result: With `ended_at`; its verdict is final.
        proven: Pseudonyms of the studies of which every file was restored and found good.
        refuted: Pseudonyms of studies that were not: whatever proved them before no longer does.

    Returns:
        False if it never began or was ended before; nothing was changed then.

    Raises:
        ValueError: The result has no end.
    """
    if result.ended_at is None:
        raise ValueError("a drill that has ended has an instant of its end")
    values = _columns(result) | {"verdict": result.verdict, "exit_code": result.exit_code}
    values["copy"] = values.pop("copy_")
    drill = table_of(Drill)
    ended = session.connection().execute(
        sa.update(drill)
        .where(drill.c.id == result.drill, drill.c.ended_at.is_(None))
        .values(ended_at=result.ended_at, **values)
    )
    if ended.rowcount == 0:
        return False
    place = {"store": result.store, "copy": result.copy}
    upsert(
        session,
        DrillProven,
        ({**place, "study_key": key, "at": result.ended_at} for key in proven),
        key=list(_proven.primary_key.columns.keys()),
    )
    for keys in batches(refuted, BATCH):
        session.connection().execute(
            sa.delete(_proven).where(*_on(result.store, result.copy), _proven.c.study_key.in_(keys))
        )
    return True


def note_coverage(session: Session, result: DrillResult) -> None:
    """Record anew what is told of a drill that has ended: its coverage counts itself."""
    session.connection().execute(
        sa.update(Drill)
        .where(col(Drill.id) == result.drill, col(Drill.ended_at).is_not(None))
        .values(result=to_document(result))
    )


def set_report(session: Session, drill: str, *, report: str, sha256: str) -> None:
    """Record the file name of a drill's report and its SHA-256 in hex."""
    session.connection().execute(
        sa.update(Drill).where(col(Drill.id) == drill).values(report=report, report_sha256=sha256)
    )


def get(session: Session, prefix: str) -> Drill:
    """Return a drill by its id or by the beginning of it.

    Raises:
        NotFoundError: No drill has such an id.
        UsageError: Several have.
    """
    query = select(Drill).where(col(Drill.id).startswith(prefix, autoescape=True)).limit(2)
    found = session.exec(query).all()
    if not prefix or not found:
        raise NotFoundError("no drill has such an id", hint=_LIST)
    if len(found) > 1:
        raise UsageError(f"several drills begin with {prefix}", hint="give more of the drill's id")
    return found[0]


def result_of(drill: Drill) -> DrillResult:
    """Return what was recorded of a drill; of one without an end, how it began.

    Raises:
        DamageError: The catalog holds something else.
    """
    try:
        return from_document(drill.result)
    except (KeyError, TypeError, ValueError) as error:
        raise DamageError(f"what the catalog holds of drill {drill.id} is not a result") from error


def recent(
    session: Session, store: str | None = None, copy: str | None = None, *, limit: int = 50
) -> Sequence[Drill]:
    """Return the newest drills, newest first, those without an end too.

    Args:
        session: Any session.
        store: Only those of this store; None for all.
        copy: Only those from this copy; None for all.
        limit: At most so many, 1 or more.
    """
    query = select(Drill)
    if store is not None:
        query = query.where(col(Drill.store) == store)
    if copy is not None:
        query = query.where(col(Drill.copy_) == copy)
    newest = query.order_by(col(Drill.started_at).desc(), col(Drill.id).desc())
    return session.exec(newest.limit(limit)).all()


def past(
    session: Session, store: str, copy: str | None = None, *, limit: int = 60
) -> list[PastDrill]:
    """Return the newest ended drills, oldest first, as a report's trend shows them."""
    return [
        as_past(row) for row in reversed(recent(session, store, copy, limit=limit)) if row.verdict
    ]


def as_past(drill: Drill) -> PastDrill:
    """Return a drill as the trend shows it; one without an end could not be run."""
    return PastDrill(
        drill=drill.id,
        started_at=drill.started_at,
        copy=drill.copy_,
        scope=drill.scope,
        verdict=cast("Verdict", drill.verdict or "could_not_run"),
        rto_s=drill.rto_projected_s if drill.rto_projected_s is not None else drill.rto_s,
        rpo_s=drill.rpo_s,
    )


def unfinished(session: Session) -> Sequence[Drill]:
    """Return the drills without an end, oldest first."""
    query = select(Drill).where(col(Drill.ended_at).is_(None)).order_by(col(Drill.started_at))
    return session.exec(query).all()


def coverage(session: Session, store: str, copy: str, now: dt.datetime) -> Coverage:
    """Return which share of a store's studies drills have proven on a copy.

    Studies that are gone from the store or disposed of do not count on either side; neither does
    a proof dated later than `now`.
    """
    studies = _studies(store)
    share = [
        sa.func.sum(sa.case((_proven.c.at >= now - dt.timedelta(days=days), 1), else_=0))
        for days in (30, 90, 365)
    ]
    joined = studies.outerjoin(
        _proven,
        sa.and_(*_on(store, copy), _proven.c.study_key == studies.c.study_key, _proven.c.at <= now),
    )
    counted = sa.select(sa.func.count(), *share).select_from(joined)
    total, *numbers = session.connection().execute(counted).one()
    shares = [int(number or 0) / total if total else 0.0 for number in numbers]
    return Coverage(int(total), *shares)


def proven_at(session: Session, store: str, copy: str) -> Iterator[tuple[str, dt.datetime]]:
    """Yield study pseudonyms with when each was last proven on a copy; ends with the session."""
    query = sa.select(_proven.c.study_key, _proven.c.at).where(*_on(store, copy))
    yield from ((study, at) for study, at in stream(session, query))


def study_keys(session: Session, store: str) -> Iterator[str]:
    """Yield the pseudonyms of a store's studies that are neither gone nor disposed of."""
    for (study,) in stream(session, sa.select(_studies(store).c.study_key)):
        yield study


def members(session: Session, store: str) -> Iterator[str]:
    """Yield what slices are made of: a store's studies, and its files of no study, by pseudonym."""
    yield from study_keys(session, store)
    loose = sa.select(_file.c.path_key).where(
        _file.c.store == store, _file.c.study_key.is_(None), _file.c.gone_run.is_(None)
    )
    for (path,) in stream(session, loose):
        yield path


def sign(session: Session, drill: str, *, actor: str, sign_off: SignOff) -> None:
    """Record a person's signature under a drill's report."""
    session.add(
        DrillSignOff(
            drill=drill,
            actor=actor,
            actor_name=sign_off.actor_name,
            actor_title=sign_off.actor_title,
            at=sign_off.at,
            note=sign_off.note,
        )
    )
    session.flush()


def signs(session: Session, drill: str) -> list[SignOff]:
    """Return the signatures under a drill's report, oldest first."""
    query = select(DrillSignOff).where(col(DrillSignOff.drill) == drill)
    rows = session.exec(query.order_by(col(DrillSignOff.at), col(DrillSignOff.id)))
    return [SignOff(row.actor_name, row.actor_title, row.at, row.note) for row in rows]


def _columns(result: DrillResult) -> dict[str, Any]:
    return {
        "store": result.store,
        "copy_": result.copy,
        "role": result.role,
        "medium": result.medium,
        "scope": result.scope,
        "snapshot": result.snapshot,
        "as_of": result.as_of,
        "kit_only": result.kit_only,
        "actor": result.actor,
        "started_at": result.started_at,
        "rto_s": result.rto.measured_s,
        "rto_projected_s": result.rto.projected_s,
        "rpo_s": result.rpo.measured_s,
        "files": result.files,
        "size_bytes": result.bytes,
        "result": to_document(result),
    }


def _studies(store: str) -> sa.Subquery:
    disposed = sa.select(_suppressed.c.study_key).where(_suppressed.c.store == store)
    return (
        sa.select(_file.c.study_key)
        .where(
            _file.c.store == store,
            _file.c.study_key.is_not(None),
            _file.c.gone_run.is_(None),
            _file.c.study_key.not_in(disposed),
        )
        .distinct()
        .subquery()
    )


def _on(store: str, copy: str) -> list[sa.ColumnElement[bool]]:
    return [_proven.c.store == store, _proven.c.copy == copy]
