"""Which contents the stores have now, by their hash. Knows nothing of copies or keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlmodel import Session, col

from orchestrator.catalog.bulk import batches, stream
from orchestrator.catalog.tables import File

_AT_ONCE = 400


def present(session: Session, stores: Mapping[str, str], hashes: Iterable[str]) -> set[str]:
    """Return those of the contents that some stores have, in a file that is good and there.

    Args:
        session: Any session.
        stores: By store name the run up to which its contents count.
        hashes: SHA-256 in hex.
    """
    found: set[str] = set()
    if not stores:
        return found
    counts = sa.or_(
        *(
            sa.and_(col(File.store) == store, col(File.since_run) <= upto)
            for store, upto in stores.items()
        )
    )
    for batch in batches(hashes, _AT_ONCE):
        query = (
            sa.select(col(File.sha256))
            .where(
                col(File.sha256).in_(batch),
                counts,
                col(File.state) == "good",
                col(File.gone_run).is_(None),
            )
            .distinct()
        )
        found.update(sha256 for (sha256,) in stream(session, query))
    return found
