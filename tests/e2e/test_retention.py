"""Schedules, plans and explanations as people and programs meet them."""

from __future__ import annotations

from pathlib import Path

from tests.support.due_studies import NEW, OLD, SCHEDULE, fill, patient_list
from tests.support.shape import differences, optional
from tests.support.site import LabSite, MakeSite

FORBIDDEN = ("PAT0", "Zzyzx", "Quentin", "1.2.826", "19500203", "1950-02-03")
"""Patient ids, names, UIDs and birth dates of the studies."""

DECISION = {
    "study": str,
    "store": {"xrays"},
    "verdict": {"keep", "dispose", "review"},
    "due": optional(str),
    "reasons": list,
    "rule": optional(str),
    "citation": optional(str),
}


def agree(document: object, shape: object) -> None:
    assert differences(document, shape) == []


def test_a_schedule_goes_from_the_shelf_to_the_decision(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site: LabSite = make_site()
    fill(site)
    site.run("backup")

    listed = site.ask("retention", "list")
    assert listed["uncovered"] == ["US-TX"]
    assert listed["jurisdictions"][0]["offered"] == [SCHEDULE]
    texas = next(one for one in listed["schedules"] if one["id"] == SCHEDULE)
    assert (texas["adopted"], texas["kind"], texas["origin"]) == (None, "jurisdiction", "shipped")
    assert texas["rules"][0]["citation"] == "22 TAC 108.8(b)"

    refused = site.run("--as", "it", "retention", "adopt", SCHEDULE, expect=5).error
    assert "compliance" in refused["message"]
    adopted = site.ask("--as", "privacy", "retention", "adopt", SCHEDULE)
    assert (adopted["changed"], adopted["adopted_by"]) == (True, "privacy")
    assert "not legal advice" in adopted["notice"]
    assert not site.ask("--as", "privacy", "retention", "adopt", SCHEDULE)["changed"]

    answers = []
    blocked = site.run("retention", "plan")
    assert blocked.document["summary"]["verdicts"]["review"]["studies"] == 4
    site.run("--as", "privacy", "patients", "import", patient_list(site))

    export = tmp_path / "plan.csv"
    planned = site.run("retention", "plan", "xrays", "--export", export)
    answers += [blocked, planned]
    agree(planned.document["decisions"], [DECISION])
    assert [one["verdict"] for one in planned.document["decisions"]].count("dispose") == len(OLD)
    assert planned.document["exported"] == 4
    assert planned.document["decisions_left_out"] == 0

    due = next(one for one in planned.document["decisions"] if one["verdict"] == "dispose")
    explained = site.run("retention", "explain", due["study"])
    agree(explained.document, {"decisions": [{**DECISION, "components": [dict]}]})
    (one,) = explained.document["decisions"]
    assert (one["verdict"], one["due"]) == ("dispose", due["due"])
    studies = site.run("study", "list")
    assert {row["study"]: (row["due"], row["verdict"]) for row in studies.document["studies"]} == {
        row["study"]: (row["due"], row["verdict"]) for row in planned.document["decisions"]
    }
    shown = site.run("study", "show", due["study"])
    assert shown.document["studies"][0]["due"] == due["due"]
    overdue = site.run("retention", "overdue", expect=3)
    assert [row["subject"] for row in overdue.document["waiting"]] == ["dispose"]
    run = site.run("job", "run", "retention-plan")
    assert run.document["outcome"] == "succeeded"
    entries = site.run("ledger", "list")
    assert entries.document["entries"][-1]["type"] == "disposal.planned"

    answers += [explained, studies, shown, overdue, run, entries]
    said = "".join(answer.out + answer.err for answer in answers) + export.read_text()
    assert [word for word in FORBIDDEN if word in said] == []
    assert NEW.patient_id.startswith(FORBIDDEN[0])


def test_what_cannot_be_adopted_is_said_with_the_right_exit_code(make_site: MakeSite) -> None:
    site = make_site()
    assert site.ask("retention", "plan")["decisions"] == []  # nothing was backed up yet
    own = site.folder / "retention_policies"
    own.mkdir()
    (own / "ours.toml").write_text('id = "ours"\nversion = "1"\nkind = "jurisdiction"\n')
    broken = site.run("--as", "privacy", "retention", "adopt", "ours", expect=2).error
    assert "ours.toml" in broken["message"]
    assert broken["error"] == "ConfigError"
    site.run("--as", "privacy", "retention", "adopt", "malpractice-carrier", expect=2)
    site.run("--as", "privacy", "retention", "adopt", "no-such", expect=10)
    site.run("--as", "privacy", "retention", "adopt", SCHEDULE, "--image-clock", expect=2)
    assert [one["id"] for one in site.ask("retention", "list")["files_with_faults"]] == ["ours"]
