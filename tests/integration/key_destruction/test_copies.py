"""What a destroyed key leaves on copies that stay: named, tried where it can be, never absent."""

from __future__ import annotations

import json
from datetime import date

import pytest

from orchestrator.actions.disposal import listing
from orchestrator.actions.key_destruction import destroy, record, validate
from orchestrator.actions.rotate_key import rotate_key
from orchestrator.catalog import disposals
from orchestrator.catalog.disposal_tables import Disposal, DisposalCopy, DisposalStudy
from orchestrator.errors import RefusedError
from tests.integration.key_destruction.conftest import Replaced, acting
from tests.support.site import STORE, LabSite


def destroyed(site: LabSite) -> str:
    with acting(site, "it") as opened:
        name = destroy.propose(opened, STORE, reason="replaced").id
    with acting(site, "privacy") as opened:
        destroy.approve(opened, name)
    with acting(site, "it") as opened:
        assert destroy.execute(opened, name).state == "destroyed"
    return name


def certified(site: LabSite, name: str) -> dict[str, object]:
    with acting(site, "privacy") as opened:
        done = validate.validate(opened, name, accept=True, attested=(), reason="as it is")
        file = opened.state_dir / "certificates" / f"{done.certificate}.json"
        return dict(json.loads(file.read_text())["act"])


def add_disposal(site: LabSite, state: str) -> None:
    with site.opened() as opened, opened.catalog.transaction() as session:
        now = opened.clock.now()
        row = Disposal(
            id="D-1", state=state, plan_digest="0" * 64, proposed_by="it", proposed_at=now
        )
        study = DisposalStudy(
            disposal="D-1",
            store=STORE,
            study_key="a" * 16,
            state="primary_removed",
            due=date(2020, 1, 1),
            schedule_id="us-tx",
            schedule_version="1",
            rule="adult",
            citation="22 TAC 108.8",
            record_class="patient record",
        )
        disposals.add(session, row, [study])
        left = DisposalCopy(
            disposal="D-1", store=STORE, copy_="disk", medium="", role="local", state="residual"
        )
        disposals.put_copy(session, left)


def test_open_disposal_is_not_complete_by_a_destroyed_key(replaced: Replaced) -> None:
    site = replaced()
    add_disposal(site, "residual")
    act = certified(site, destroyed(site))
    assert any("That disposal D-1 is complete" in one for one in act["not_claimed"])  # type: ignore[attr-defined]
    with site.opened() as opened:
        batch = listing.show(opened, "D-1")
        assert batch.row.state == "residual"
        assert any("key of repository xrays was destroyed" in one for one in batch.hints)


def test_disposal_that_is_being_executed_keeps_the_key(replaced: Replaced) -> None:
    site = replaced()
    add_disposal(site, "executing")
    with acting(site, "it") as opened, pytest.raises(RefusedError, match="D-1 is being executed"):
        destroy.propose(opened, STORE, reason="replaced")


def test_locked_bucket_is_tried_and_an_absent_medium_is_named(replaced: Replaced) -> None:
    site = replaced(medium=True, vault=True)
    assert site.medium is not None
    site.medium.unmount()
    name = destroyed(site)
    with acting(site, "it") as opened:
        measured = record.kept(opened, record.get(opened, name).after)
        before = record.kept(opened, record.get(opened, name).before)
    assert before["copies"] == ["disk", "vault"]
    shut = [one for one in measured["attempts"] if one["where"] == "copy vault"]
    assert [one["result"] for one in shut] == ["refused", "refused"]
    stored = {one["copy"]: one for one in measured["stored"]}
    assert set(stored) == {"disk", "rotation", "vault"}
    assert stored["vault"]["until"] is not None
    with acting(site, "it") as opened:
        rotate_key(opened)
    act = certified(site, name)
    assert act["verification"]["result"] == "verified"  # type: ignore[index]
    findings = " ".join(act["verification"]["findings"])  # type: ignore[index]
    assert "Not tried, before or after: copy rotation (it was not there)" in findings
    residual = {one["where"]: one["until"] for one in act["residual"]}  # type: ignore[attr-defined]
    assert set(residual) == {"disk", "rotation, medium red", "vault"}
    assert residual["vault"] is not None
