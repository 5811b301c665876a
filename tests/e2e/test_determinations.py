"""Settling a doubt about a study, as people and programs meet it."""

from __future__ import annotations

import io
import subprocess

import pydicom

from tests.support.due_studies import OLD, SCHEDULE, dicom, fill, patient_list
from tests.support.shape import differences, optional
from tests.support.site import PROGRAM, MakeSite

FINDING = "Zzyzx^Quentin: the film of the same visit, its date stands on the card"
SHAPE = {
    "determination": str,
    "state": {"asked", "in_force", "lapsed", "withdrawn"},
    "study": str,
    "doubt": {"no_usable_date"},
    "asked_by": {"privacy"},
    "asked_at": str,
    "made_by": optional(str),
    "made_at": optional(str),
    "withdrawn_by": optional(str),
    "withdrawn_at": optional(str),
    "disposals": list,
}


def test_a_doubt_is_settled_by_two_people_and_taken_back_by_one(make_site: MakeSite) -> None:
    site = make_site()
    fill(site, OLD[:2])
    dataset = pydicom.dcmread(io.BytesIO(dicom(OLD[0], 3)))
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        delattr(dataset, keyword)
    del dataset.InstanceCreationDate
    dataset.save_as(site.images / OLD[0].folder / "3.dcm")
    site.run("backup")
    site.run("--as", "privacy", "retention", "adopt", SCHEDULE)
    site.run("--as", "privacy", "patients", "import", patient_list(site, OLD[:2]))
    (doubted,) = site.ask("retention", "plan", "--verdict", "review")["decisions"]
    study = doubted["study"]
    assert (doubted["reasons"], doubted["settled"]) == (["no_usable_date"], [])
    words = ["retention", "determine", study, "--doubt", "no_usable_date", "--finding"]

    error = site.run("--as", "it", *words, FINDING, expect=5).error
    assert "compliance" in error["message"]
    typed = subprocess.run(
        [PROGRAM, "--as", "privacy", *words, "-"],
        env=site.env,
        input=FINDING,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "counts when another person has confirmed it" in typed.stdout
    made = site.run("--as", "it", *words, "I have seen it, too")
    assert differences(made.document, SHAPE) == []
    name = made.document["determination"]

    explained = site.run("retention", "explain", study)
    (one,) = explained.document["decisions"]
    assert (one["verdict"], one["reasons"]) == ("dispose", [])
    assert [(it["doubt"], it["determination"]) for it in one["settled"]] == [
        ("no_usable_date", name)
    ]
    listed = site.run("retention", "determinations", "--study", study)
    assert differences(listed.document, {"determinations": [SHAPE]}) == []
    shown = site.ask("--as", "privacy", "retention", "determinations", "--findings")
    assert shown["determinations"][0]["findings"] == [FINDING, "I have seen it, too"]

    assert site.ask("--as", "it", "retention", "withdraw", name)["state"] == "withdrawn"
    summary = site.ask("job", "run", "retention-plan")
    assert summary["outcome"] == "succeeded"
    found = [one for one in site.ask("doctor")["checks"] if one["name"] == "retention"]
    assert any("1 studies were in review" in one["detail"] for one in found), found
    told = site.ask("ledger", "list", "--type", "determination")["entries"]
    assert [one["type"].partition(".")[2] for one in told] == ["asked", "made", "withdrawn"]
    for answer in (typed.stdout, made.out, explained.out, listed.out, str(told)):
        assert "Zzyzx" not in answer
    for path in site.state.rglob("*"):
        if path.is_file():
            assert b"Zzyzx^Quentin: the film" not in path.read_bytes(), path.name
