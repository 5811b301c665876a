"""Rows of adopted schedules, on both databases."""

from __future__ import annotations

import datetime as dt

from orchestrator.catalog import schedules
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.retention_tables import AdoptedSchedule
from tests.support.catalog_rows import NOW


def adopted(name: str, version: str, digest: str = "a", *, days: int = 0) -> AdoptedSchedule:
    return AdoptedSchedule(
        schedule_id=name,
        version=version,
        digest=digest * 64,
        kind="jurisdiction",
        text=f"# {version} – §",
        adopted_by="privacy",
        adopted_at=NOW + dt.timedelta(days=days),
    )


def test_one_text_of_a_schedule_is_in_force_and_the_replaced_ones_stay(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        schedules.adopt(session, adopted("us-tx", "1"))
        schedules.adopt(session, adopted("us-az", "1"))
        schedules.adopt(session, adopted("us-tx", "2", "b", days=1))
    with catalog.reading() as session:
        found = schedules.in_force(session)
        assert [(row.schedule_id, row.version) for row in found] == [("us-az", "1"), ("us-tx", "2")]
        assert found[1].text == "# 2 – §"
        # As the ledger wrote it down: they are compared letter by letter.
        assert found[0].adopted_at.isoformat() == NOW.isoformat()
        first, second = schedules.history(session, "us-tx")
        assert (first.replaced_at, second.replaced_at) == (second.adopted_at, None)


def test_every_digest_that_was_ever_adopted_is_known(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        for number, digest in enumerate("abb"):
            schedules.adopt(session, adopted("us-tx", "1", digest, days=number))
    with catalog.reading() as session:
        assert schedules.digests(session) == {("us-tx", "1"): {"a" * 64, "b" * 64}}
