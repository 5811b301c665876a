"""Numbers of a year, in both databases: none is given out twice."""

from __future__ import annotations

from orchestrator.catalog import lookup
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.hold_tables import Hold
from tests.support.catalog_rows import NOW


def hold(name: str) -> Hold:
    return Hold(
        id=name, kind="store", store="xrays", matter="m", reason_enc=b"", source="person",
        starts_at=NOW, placed_by="ada", placed_at=NOW,
    )  # fmt: skip


def test_the_next_number_follows_the_greatest_of_the_year_known_from_anywhere(
    catalog: Catalog,
) -> None:
    with catalog.transaction() as session:
        assert lookup.next_number(session, Hold, "H-2026-") == 1
        # 9 and 10000 in the order of text would be 10000 and 9; the other year counts its own
        session.add_all([hold("H-2026-0009"), hold("H-2026-10000"), hold("H-2027-20000")])
        assert lookup.next_number(session, Hold, "H-2026-") == 10001
        known = ["H-2026-10400", "H-2027-30000", "rubbish"]
        assert lookup.next_number(session, Hold, "H-2026-", known) == 10401
        assert lookup.next_number(session, Hold, "H-2025-", known) == 1
