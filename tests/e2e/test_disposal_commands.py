"""A disposal by the command line, from the proposal to the certificate, naming nobody."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.support.due_studies import NEW, OLD, prepare
from tests.support.site import STORE, LabSite, MakeSite, wait_for
from tests.support.warm import shared

MORE = '[retention]\nquarantine = "1s"\n'


@pytest.fixture
def site(make_site: MakeSite) -> LabSite:
    made = make_site(more=MORE)
    prepare(made)
    return made


def printed(site: LabSite, *words: str) -> str:
    """Return what people see of a command."""
    code, out, err = shared().run(words, site.env, site.folder)
    assert code == 0, err
    return (out + err).decode()


def names_of_patients(site: LabSite, text: str) -> list[str]:
    wanted = [word for one in (*OLD, NEW) for word in (one.patient_id, one.uid, one.folder)]
    return [one for one in (*wanted, "Zzyzx", "Quentin") if one in text]


def test_two_people_and_a_quarantine_stand_between_a_study_and_its_end(site: LabSite) -> None:
    proposed = site.ask("--as", "it", "disposal", "propose", STORE)
    batch = proposed["disposal"]
    assert (proposed["state"], proposed["studies"]) == ("proposed", 3)
    assert {(one["copy"], one["state"]) for one in proposed["copies"]} == {
        ("live", "pending"),
        ("disk", "pending"),
    }
    assert proposed["earliest_completion"] is not None

    early = site.run("--as", "it", "disposal", "execute", batch, "--execute", expect=5)
    assert "another person of compliance" in early.error["hint"]
    assert site.run("--as", "it", "disposal", "approve", batch, expect=5).error["exit_code"] == 5

    approved = site.ask("--as", "privacy", "disposal", "approve", batch)
    until = datetime.fromisoformat(approved["quarantine_until"])
    wait_for(lambda: datetime.now(until.tzinfo) > until)

    dry = site.ask("--as", "it", "disposal", "execute", batch)
    assert dry["execution"]["dry_run"] is True
    assert [one["going"] for one in dry["execution"]["stores"]] == [3]
    assert dry["state"] == "approved"
    assert all((site.images / one.folder).exists() for one in (*OLD, NEW))

    said = [printed(site, "disposal", "show", batch), printed(site, "disposal", "list")]
    done = site.ask("--as", "it", "disposal", "execute", batch, "--execute")
    assert (done["state"], done["execution"]["problems"]) == ("complete", [])
    (share,) = done["execution"]["stores"]
    (planned,) = dry["execution"]["stores"]
    for field in ("going", "files", "bytes"):
        assert share[field] == planned[field], "what goes is what was said to go"
    assert share["files_removed_from_store"] == share["files"]
    assert planned["files_removed_from_store"] == 0
    assert {one["state"] for one in done["copies"]} == {"absent"}
    assert [(site.images / one.folder).exists() for one in (*OLD, NEW)] == [False] * 3 + [True]

    (certificate,) = site.ask("certificate", "list")["certificates"]
    assert certificate["subject"] == f"disposal/{batch}"
    assert certificate["number"] == done["certificate"]
    assert site.ask("certificate", "verify", certificate["file"])["verdict"] == "valid"
    refused = site.run("disposal", "statement", batch, "--to", site.folder / "s.pdf", expect=5)
    assert f"certificate export {certificate['number']}" in refused.error["hint"]

    study = site.rows("SELECT study_key FROM disposal_study")[0]["study_key"]
    told = site.ask("disposal", "show", batch, "--study", study)["study"]
    assert told["state"] == "disposed"
    assert len(told["story"]) >= 6
    said += [printed(site, "disposal", "show", batch, "--study", study), repr(told), repr(done)]
    said.append(site.run("ledger", "list").out)
    said += [path.read_text("utf-8", "replace") for path in evidence(site)]
    assert names_of_patients(site, "\n".join(said)) == []


def evidence(site: LabSite) -> list[Path]:
    """Return what is kept beside the ledger, and the records of certificates."""
    found = [path for path in (site.state / "evidence").rglob("*") if path.is_file()]
    assert found
    return [*found, *(site.state / "certificates").glob("*.json")]
