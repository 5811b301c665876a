"""A second process for the tests; run as ``python -m tests.integration.catalog.child``.

Reads one JSON line from standard input (url, password, what to do), opens the catalog, prints
``ready``, and begins at the next line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from orchestrator.catalog import files, slots
from orchestrator.catalog.database import Catalog
from orchestrator.manifest import ManifestEntry
from tests.integration.catalog.conftest import open_at
from tests.support.catalog_rows import NOW, image, study_date
from tests.support.postgres import CatalogUrl


def claim(catalog: Catalog, order: dict[str, Any]) -> None:
    """Claim slots one by one; print those that were won."""
    won = []
    for n in range(order["slots"]):
        with catalog.transaction() as session:
            slot = f"{n:04d}"
            if slots.claim(session, "nightly", slot=slot, run_id=order["name"], now=NOW):
                won.append(slot)
    print(json.dumps(won), flush=True)


def stall(catalog: Catalog, _order: dict[str, Any]) -> None:
    """Write many files in one transaction, say so half-way, and never commit."""

    def entries() -> Iterator[ManifestEntry]:
        for n in range(6000):
            yield image(n % 7, n)
        print("half-way", flush=True)
        time.sleep(600)

    with catalog.transaction() as session:
        files.apply_changes(
            session,
            "xrays",
            run_id="killed",
            changed=entries(),
            gone=[],
            keys=catalog.keys,
            study_date=study_date,
        )


def churn(catalog: Catalog, order: dict[str, Any]) -> None:
    """Commit one transaction of a hundred files after another, until killed."""
    n = order["first"]
    while True:
        with catalog.transaction() as session:
            files.apply_changes(
                session,
                "xrays",
                run_id=f"run-{n}",
                changed=[image(n, k) for k in range(100)],
                gone=[],
                keys=catalog.keys,
                study_date=study_date,
            )
        print(n, flush=True)
        n += 1


def main() -> None:
    order = json.loads(sys.stdin.readline())
    catalog = open_at(CatalogUrl(order["url"], order["password"]))
    print("ready", flush=True)
    sys.stdin.readline()
    {"claim": claim, "stall": stall, "churn": churn}[order["do"]](catalog, order)
    catalog.dispose()


if __name__ == "__main__":
    main()
