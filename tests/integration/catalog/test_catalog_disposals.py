"""Rows of disposals, on both databases."""

from __future__ import annotations

import datetime as dt

import pytest

from orchestrator.catalog import disposals, repositories
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.disposal_tables import (
    LIVE,
    Disposal,
    DisposalCopy,
    DisposalStudy,
    SnapshotReplacement,
)
from orchestrator.catalog.disposals import CopyKey
from orchestrator.errors import NotFoundError, RefusedError
from tests.support.catalog_rows import NOW, REPOSITORY, repository_row

BATCH = "D-2026-0001"


def disposal_row(name: str = BATCH, **changes: object) -> Disposal:
    values: dict[str, object] = {
        "id": name,
        "state": "proposed",
        "plan_digest": "e" * 64,
        "plan": {},
        "proposed_by": "it",
        "proposed_at": NOW,
    }
    return Disposal(**(values | changes))


def study_row(key: str, name: str = BATCH, **changes: object) -> DisposalStudy:
    values: dict[str, object] = {
        "disposal": name,
        "store": "xrays",
        "study_key": key,
        "state": "due",
        "due": dt.date(2020, 1, 1),
        "schedule_id": "us-tx-dental",
        "schedule_version": "2026.1",
        "rule": "adult",
        "citation": "22 TAC 108.8(b)",
        "record_class": "patient_record",
    }
    return DisposalStudy(**(values | changes))


def copy_row(copy: str, **changes: object) -> DisposalCopy:
    values: dict[str, object] = {
        "disposal": BATCH,
        "store": "xrays",
        "copy_": copy,
        "medium": "",
        "role": "local",
        "state": "pending",
    }
    return DisposalCopy(**(values | changes))


@pytest.fixture
def batch(catalog: Catalog) -> Catalog:
    """A catalog with one proposed batch of three studies in two stores."""
    with catalog.transaction() as session:
        rows = [study_row("a"), study_row("b"), study_row("a", store="ct")]
        disposals.add(session, disposal_row(), rows)
    return catalog


def test_ids_go_on_after_the_largest_of_the_year_and_never_come_twice(batch: Catalog) -> None:
    with batch.transaction() as session:
        assert disposals.next_id(session, 2026) == "D-2026-0002"
        assert disposals.next_id(session, 2027) == "D-2027-0001"
        disposals.add(session, disposal_row("D-2026-9999", state="refused"), [])
        assert disposals.next_id(session, 2026) == "D-2026-10000"


def test_a_batch_moves_once_and_the_second_mover_is_refused(batch: Catalog) -> None:
    with batch.transaction() as session:
        row = disposals.move(
            session, BATCH, before=["proposed"], after="approved", decided_by="privacy"
        )
        assert (row.state, row.decided_by) == ("approved", "privacy")
    with batch.transaction() as session, pytest.raises(RefusedError, match="is approved, not"):
        disposals.move(session, BATCH, before=["proposed"], after="refused")


def test_changing_a_column_that_there_is_not_is_an_error(batch: Catalog) -> None:
    with batch.transaction() as session, pytest.raises(ValueError, match="colour"):
        disposals.change(session, BATCH, colour="red")


def test_studies_change_only_where_named_and_only_in_their_store(batch: Catalog) -> None:
    with batch.transaction() as session:
        named = [("xrays", "a"), ("xrays", "nobody")]
        assert disposals.set_studies(session, BATCH, named, state="withheld", withheld="x") == 1
    with batch.reading() as session:
        assert disposals.counts(session, BATCH) == {
            ("ct", "due"): 1,
            ("xrays", "due"): 1,
            ("xrays", "withheld"): 1,
        }
        assert [one.study_key for one in disposals.studies(session, BATCH, states=["due"])] == [
            "a",
            "b",
        ]
        assert len(disposals.studies(session, BATCH, store="xrays")) == 2


@pytest.mark.parametrize("state", ["proposed", "approved", "executing", "residual"])
def test_studies_of_a_batch_under_way_are_known_and_withheld_ones_are_free(
    batch: Catalog, state: str
) -> None:
    with batch.transaction() as session:
        disposals.set_studies(session, BATCH, [("xrays", "b")], state="withheld")
        disposals.change(session, BATCH, state=state)
        assert disposals.batched(session) == {("xrays", "a"), ("ct", "a")}


@pytest.mark.parametrize("state", ["refused", "complete"])
def test_studies_of_an_ended_batch_are_free(batch: Catalog, state: str) -> None:
    with batch.transaction() as session:
        disposals.change(session, BATCH, state=state)
        assert disposals.batched(session) == frozenset()


def test_only_begun_and_incomplete_batches_are_open(batch: Catalog) -> None:
    with batch.transaction() as session:
        for number, state in enumerate(("executing", "residual", "complete", "refused"), 2):
            disposals.add(session, disposal_row(f"D-2026-{number:04}", state=state), [])
        found = [one.id for one in disposals.open_batches(session)]
    assert found == ["D-2026-0002", "D-2026-0003"]


def test_a_copy_is_kept_once_for_each_medium(batch: Catalog) -> None:
    with batch.transaction() as session:
        disposals.put_copy(session, copy_row(LIVE, role="live"))
        disposals.put_copy(session, copy_row("rotation", medium="m1", role="offline"))
        disposals.put_copy(session, copy_row("rotation", medium="m2", role="offline"))
        disposals.put_copy(session, copy_row("rotation", medium="m2", state="residual"))
        key = CopyKey(BATCH, "xrays", "rotation", "m1")
        disposals.update_copy(session, key, state="absent", proved_at=NOW, evidence={"files": 0})
    with batch.reading() as session:
        found = disposals.copies(session, BATCH)
        assert [(one.copy_, one.medium, one.state) for one in found] == [
            ("", "", "pending"),
            ("rotation", "m1", "absent"),
            ("rotation", "m2", "residual"),
        ]
        assert CopyKey.of(found[1]) == key
        assert found[1].proved_at == NOW
    with batch.transaction() as session, pytest.raises(NotFoundError, match="copy vault"):
        disposals.update_copy(session, CopyKey(BATCH, "xrays", "vault"), state="absent")


def test_entries_are_kept_once_and_in_order(batch: Catalog) -> None:
    with batch.transaction() as session:
        for index in (9, 4, 9):
            disposals.note_entry(session, BATCH, index)
        assert disposals.get(session, BATCH).entries == [4, 9]


def test_replaced_snapshots_are_found_by_disposal_and_by_repository(batch: Catalog) -> None:
    replaced = {"disposal": BATCH, "repository_id": REPOSITORY, "kind": "data", "at": NOW}
    with batch.transaction() as session:
        repositories.add(session, repository_row())
        disposals.add_replacements(session, [SnapshotReplacement(old="a" * 64, **replaced)])
        again = SnapshotReplacement(old="a" * 64, new="b" * 64, **replaced)
        disposals.add_replacements(session, [again])
        assert [one.new for one in disposals.replacements(session, disposal=BATCH)] == ["b" * 64]
        assert len(disposals.replacements(session, repository_id=REPOSITORY)) == 1
        assert disposals.replacements(session, disposal="D-2026-0007") == []


def test_the_newest_instant_of_any_disposal_is_known(batch: Catalog) -> None:
    later = NOW + dt.timedelta(days=3)
    with batch.transaction() as session:
        assert disposals.newest_instant(session) == NOW
        disposals.add(session, disposal_row("D-2026-0002", decided_at=later), [])
        assert disposals.newest_instant(session) == later
