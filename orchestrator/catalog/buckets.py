"""Tamper probes and lock coverage of buckets."""

from __future__ import annotations

from sqlmodel import Session, col, select

from orchestrator.catalog.copy_tables import BucketCoverage, BucketProbe


def add_probe(session: Session, probe: BucketProbe) -> None:
    """Record what a tamper probe found."""
    session.add(probe)
    session.flush()


def last_probe(session: Session, copy: str) -> BucketProbe | None:
    """Return the newest tamper probe of a copy."""
    query = (
        select(BucketProbe)
        .where(col(BucketProbe.copy_) == copy)
        .order_by(col(BucketProbe.at).desc(), col(BucketProbe.id).desc())
        .limit(1)
    )
    return session.exec(query).first()


def add_coverage(session: Session, coverage: BucketCoverage) -> None:
    """Record until when one listing proved a snapshot's files to be protected."""
    session.add(coverage)
    session.flush()


def last_coverage(
    session: Session, copy: str, *, repository_id: str | None = None, snapshot: str | None = None
) -> BucketCoverage | None:
    """Return the newest proof of coverage.

    Args:
        session: Any session.
        copy: Of this copy.
        repository_id: Of this repository; None for any.
        snapshot: For this snapshot; None for any.
    """
    query = select(BucketCoverage).where(col(BucketCoverage.copy_) == copy)
    if repository_id is not None:
        query = query.where(col(BucketCoverage.repository_id) == repository_id)
    if snapshot is not None:
        query = query.where(col(BucketCoverage.snapshot) == snapshot)
    query = query.order_by(col(BucketCoverage.at).desc(), col(BucketCoverage.id).desc()).limit(1)
    return session.exec(query).first()
