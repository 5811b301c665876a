"""What changes between the approval and the end: holds, the patient list, a schedule, a store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.live import LiveDisposal
from orchestrator.actions.disposal.primary import PrimaryDisposal
from orchestrator.actions.holds import place
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    approve_all,
    batch_state,
    interfere,
    key_of,
    primary,
    study_states,
    traces,
)
from tests.support.due_studies import NEW, OLD, TODAY, Made, dicom, patient_list
from tests.support.site import STORE, LabSite

LONGER = """
id = "our-own"
version = "1"
kind = "local"
title = "What the practice keeps longer"

[[rule]]
id = "images"
record_class = "xray_image"
trigger = "last_treatment"
adult = "{years}y"
images = "with_record"
confidence = "high"
reviewer = "P. Rivacy"
reviewed_on = {day}
review_by = {later}

[rule.minor]
form = "not_applicable"

[rule.citation]
instrument = "Our own rules"
section = "1"
read_on = {day}
"""


def test_holds_between_two_studies_and_before_the_forgetting_keep_what_they_can(
    due_site: Callable[..., LabSite], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = due_site(more=SOON)
    approve_all(lab)
    placed: list[str] = []

    def hold(state: str) -> None:
        with acting(lab, "privacy") as site:
            study = min(key for key, now in study_states(site).items() if now == state)
            place.place(site, place.Wish("study", "24-CV-1", "a claim", study=study))
            placed.append(study)

    interfere(monkeypatch, LiveDisposal, "_one", before=lambda: hold("suppressed"))
    interfere(monkeypatch, PrimaryDisposal, "_exchange", before=lambda: hold("live_removed"))
    with acting(lab, "it") as site:
        (share,) = execute(site, BATCH, dry_run=False).stores
        assert share.kept == {"on_hold": 2}
        assert (share.removed_live, share.removed_primary) == (2, 1)
        assert {key for key, state in study_states(site).items() if state == "withheld"} == set(
            placed
        )
        (gone,) = (one for one in OLD if key_of(site, one) not in placed)
        assert (traces(primary(site), [gone]), batch_state(site)) == ([], "complete")
    for number, study in enumerate(placed):
        to = tmp_path / str(number)
        result = lab.ask("restore", STORE, "--to", to, "--study", study)
        assert (result["verified"], result["files"], result["suppressed"]) == (True, 2, 0)


def test_a_patient_list_and_a_schedule_that_came_after_the_approval_are_obeyed(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    approve_all(lab)
    again = Made(OLD[1].number, TODAY - dt.timedelta(days=30))
    lab.run("--as", "privacy", "patients", "import", patient_list(lab, (*OLD, NEW, again)))
    folder = lab.folder / "retention_policies"
    folder.mkdir()
    years = TODAY.year - OLD[2].day.year + 1
    (folder / "our-own.toml").write_text(
        LONGER.format(years=years, day=TODAY, later=TODAY + dt.timedelta(days=300))
    )
    lab.run("--as", "privacy", "retention", "adopt", "our-own")
    with acting(lab, "it") as site:
        (share,) = execute(site, BATCH, dry_run=False).stores
        assert sum(share.kept.values()) == 2
        states = study_states(site)
        assert [states[key_of(site, one)] for one in OLD] == ["disposed", "withheld", "withheld"]
        assert batch_state(site) == "complete"
        assert traces(primary(site), OLD[:1]) == []
    for one in OLD[1:]:
        assert (lab.images / one.folder / "1.dcm").read_bytes() == dicom(one, 1)


SECOND_STORE = """
[stores.archive]
kind = "folder"
path = "archive"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
"""


def test_a_disposal_in_one_store_leaves_the_same_study_in_another_and_says_so(
    due_site: Callable[..., LabSite], tmp_path: Path
) -> None:
    lab = due_site(more=SOON)
    kept = lab.folder / "archive" / "1.dcm"
    kept.parent.mkdir()
    kept.write_bytes(dicom(OLD[0], 1))
    lab.write(more=SOON + SECOND_STORE)
    lab.run("init", lab.folder)
    lab.run("backup")
    lab.run("--as", "it", "disposal", "propose", STORE)
    lab.run("--as", "privacy", "disposal", "approve", BATCH)
    with acting(lab, "it", ahead=dt.timedelta(seconds=5)) as site:
        execute(site, BATCH, dry_run=False)
        assert batch_state(site) == "complete"
        study = key_of(site, OLD[0])
    assert kept.exists()
    result = lab.ask("restore", "archive", "--to", tmp_path / "back", "--study", study)
    assert (result["files"], result["suppressed"], result["verified"]) == (1, 0, True)
    (record,) = (lab.state / "certificates").glob("*.json")
    assert "1 of these studies are in another store" in record.read_text()
