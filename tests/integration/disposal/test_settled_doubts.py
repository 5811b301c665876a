"""A disposal that rests on findings: named on the certificate, and asked again when it begins."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pydicom

from orchestrator.actions.disposal.execute import execute
from orchestrator.actions.disposal.story import story
from orchestrator.actions.retention.determine import determine, withdraw
from tests.integration.disposal.conftest import acting
from tests.integration.disposal.executing import (
    BATCH,
    SOON,
    approve_all,
    batch_state,
    key_of,
    primary,
    study_states,
    traces,
)
from tests.support.due_studies import OLD, Made, dicom
from tests.support.site import LabSite

FINDING = "The card in the paper chart shows that it was made on the day of the others"


def add_undated(lab: LabSite, study: Made, file: int) -> None:
    dataset = pydicom.dcmread(io.BytesIO(dicom(study, file)))
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, "")
    dataset.InstanceCreationDate = ""
    dataset.save_as(lab.images / study.folder / f"{file}.dcm")


def test_a_finding_that_counts_no_more_withholds_its_study_and_the_rest_goes_on(
    due_site: Callable[..., LabSite],
) -> None:
    lab = due_site(more=SOON)
    for one in OLD:
        add_undated(lab, one, 3)
    lab.run("backup")
    names = []
    for actor in ("privacy", "it"):
        with acting(lab, actor) as site:
            found = [determine(site, key_of(site, one), "no_usable_date", FINDING) for one in OLD]
            names = [one.determination for one in found]
    assert {one.state for one in found} == {"in_force"}
    approve_all(lab)
    with acting(lab, "it") as site:
        assert withdraw(site, names[1]).disposals == ()
    add_undated(lab, OLD[2], 4)
    with acting(lab, "it") as site:
        (share,) = execute(site, BATCH, dry_run=False).stores
        assert share.kept == {"no_usable_date": 2}
        states = study_states(site)
        assert [states[key_of(site, one)] for one in OLD] == ["disposed", "withheld", "withheld"]
        assert (batch_state(site), traces(primary(site), OLD[:1])) == ("complete", [])
        told = [one.what for one in story(site, BATCH, key_of(site, OLD[0])).chapters]
    assert f"doubt no_usable_date settled, {names[0]}: found by privacy, confirmed" in told
    (file,) = (lab.state / "certificates").glob("*.json")
    record = file.read_text()
    assert f"settled by two persons each before they were due: 1 determination: {names[0]}" in (
        record
    )
    assert not any(name in record for name in names[1:])
    digest = json.loads(record)["act"]["evidence"]["determinations"].removeprefix("sha256:")
    kept = lab.state / "evidence" / "sha256" / digest[:2] / digest[2:]
    (settled,) = json.loads(kept.read_bytes())["determinations"]
    assert (settled["determination"], settled["asked_by"], settled["made_by"]) == (
        names[0],
        "privacy",
        "it",
    )
    assert FINDING not in kept.read_text() + record
