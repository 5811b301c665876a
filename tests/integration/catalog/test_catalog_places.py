"""The register of places in both databases, and since when a study can have been anywhere."""

from __future__ import annotations

import datetime as dt

import pytest

from orchestrator.catalog import disposals, files, places, repositories, runs, snapshots
from orchestrator.catalog.database import Catalog
from orchestrator.catalog.disposal_tables import Disposal, DisposalCopy
from orchestrator.catalog.disposals import CopyKey
from orchestrator.catalog.place_tables import CopyPlace
from orchestrator.catalog.tables import Repository, Run, Snapshot
from orchestrator.errors import NotFoundError, UsageError
from tests.support.catalog_rows import NOW, REPOSITORY, image, study_date

DAY = dt.timedelta(days=1)


def place(name: str, copy: str = "disk", **changes: object) -> CopyPlace:
    values: dict[str, object] = {
        "id": name,
        "copy_": copy,
        "role": "local",
        "location": f"/backup/{name}",
        "address": {"path": f"/backup/{name}"},
        "first_seen": NOW,
        "last_seen": NOW,
    }
    return CopyPlace(**(values | changes))


def test_a_place_is_found_by_the_beginning_of_its_id(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        places.gate(session)
        for one in (place("P-a1"), place("P-a2", closed_at=NOW), place("P-b", "attic")):
            places.save(session, one)
    with catalog.reading() as session:
        assert places.get(session, "P-b").copy_ == "attic"
        assert [one.id for one in places.listing(session, copy="disk")] == ["P-a1", "P-a2"]
        assert [one.id for one in places.listing(session, closed=False)] == ["P-b", "P-a1"]
        assert places.find(session, "P-a") is None
        for wrong, error in (("P-x", NotFoundError), ("", NotFoundError), ("P-a", UsageError)):
            with pytest.raises(error):
                places.get(session, wrong)


def test_a_store_began_with_whatever_is_oldest_of_it(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        assert places.store_began(session, "xrays") is None
        repositories.add(
            session,
            Repository(id=REPOSITORY, store="xrays", name="xrays", config_sha256="",
                       created_at=NOW),
        )  # fmt: skip
        assert places.store_began(session, "xrays") == NOW
        # a catalog that was made anew has its repository from today, its snapshots from then
        snapshots.add(
            session,
            Snapshot(id="s" * 64, repository_id=REPOSITORY, store="xrays", run_id="r1",
                     kind="data", at=NOW - DAY, files=1, size_bytes=1, complete=True),
        )  # fmt: skip
        assert places.store_began(session, "xrays") == NOW - DAY
        assert places.store_began(session, "films") is None


@pytest.mark.parametrize(("later", "known"), [(NOW + DAY, True), (NOW - DAY, False), (None, True)])
def test_when_a_study_came_is_in_doubt_if_a_later_run_began_before(
    catalog: Catalog, later: dt.datetime | None, *, known: bool
) -> None:
    with catalog.transaction() as session:
        for name, at in (("r1", NOW), ("r2", later)):
            if at is not None:
                runs.start(
                    session,
                    Run(id=name, action="backup", store="xrays", actor="it", host="h", pid=1,
                        started_at=at, metrics={}),
                )  # fmt: skip
        files.apply_changes(
            session,
            "xrays",
            run_id="r1",
            changed=[image(7, 1)],
            gone=(),
            keys=catalog.keys,
            study_date=study_date,
        )
        study = str(catalog.keys.pseudonyms.study("1.2.3.7"))
        found = places.study_came(session, "xrays", study)
        assert found == (("r1", NOW) if known else None)
        assert places.study_came(session, "xrays", "another") is None
        assert places.study_came(session, "films", study) is None


def test_the_row_of_a_copy_that_another_row_stands_for_is_dropped(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        batch = Disposal(
            id="D-1", state="residual", plan_digest="d", proposed_by="it", proposed_at=NOW
        )
        disposals.add(session, batch, [])
        for medium in ("", "P-1"):
            disposals.put_copy(
                session,
                DisposalCopy(disposal="D-1", store="xrays", copy_="disk", medium=medium,
                             role="local", state="residual"),
            )  # fmt: skip
        for _ in range(2):  # the second time there is nothing to drop
            disposals.drop_copy(session, CopyKey("D-1", "xrays", "disk", "P-1"))
        assert [one.medium for one in disposals.copies(session, "D-1")] == [""]
