"""Legal holds from the command line."""

from __future__ import annotations

import subprocess

from tests.support.site import PROGRAM, STORE, MakeSite


def test_hold_is_placed_listed_and_released_by_two(make_site: MakeSite) -> None:
    site = make_site()
    site.ask("backup")
    study = site.ask("study", "list")["studies"][0]["study"]
    about = ("--matter", "22-cv-100", "--reason", "a claim by Jane")
    assert site.run("hold", "place", "--study", study, *about, expect=5).error["hint"]
    two = ("--study", study, "--from", "2020-01-01")
    assert "one of" in site.run("--as", "privacy", "hold", "place", *two, *about, expect=2).err

    placed = site.ask("--as", "privacy", "hold", "place", "--study", study, *about)
    name = placed["hold"]
    assert (placed["state"], placed["kind"], placed["matter"]) == (
        "in_force",
        "study",
        "22-cv-100",
    )
    assert (placed["studies"], placed["snapshots"], placed["problems"]) == (1, 1, [])
    days = ("--from", "1990-01-01", "--store", STORE, "--starts", "2026-01-02")
    dated = site.ask("--as", "privacy", "hold", "place", *days, *about)
    assert (dated["from"], dated["to"], dated["store"]) == ("1990-01-01", None, STORE)
    assert dated["starts_at"] == "2026-01-02T06:00:00+00:00"

    shown = site.run("hold", "list")
    assert [one["hold"] for one in shown.document["holds"]] == [name, dated["hold"]]
    assert "Jane" not in shown.out
    why = site.ask("--as", "privacy", "hold", "list", "--reasons")["holds"]
    assert why[0]["reason"] == "a claim by Jane"
    assert site.run("hold", "list", "--reasons", expect=5).error

    asked = site.ask("--as", "it", "hold", "release", name, "--reason", "settled")
    assert (asked["state"], asked["release_asked_by"]) == ("release_asked", "it")
    again = site.run("--as", "it", "hold", "release", name, "--reason", "settled", expect=5)
    assert "another person" in again.error["message"]
    (held,) = [
        one for one in site.ask("doctor", expect=(0, 3))["checks"] if one["name"] == "holds"
    ][:1]
    assert held["detail"].startswith("2 in force; the oldest is H-")
    assert site.ask("--as", "it", "hold", "release", name, "--withdraw")["state"] == "in_force"
    site.ask("--as", "it", "hold", "release", name, "--reason", "settled")
    done = site.ask("--as", "privacy", "hold", "release", name, "--reason", "settled")
    assert (done["state"], done["studies"]) == ("released", 0)
    assert [one["hold"] for one in site.ask("hold", "list")["holds"]] == [dated["hold"]]
    assert len(site.ask("hold", "list", "--released")["holds"]) == 2


def test_patient_is_named_by_pseudonym_or_in_a_file_never_in_the_arguments(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.ask("backup")
    studies = site.ask("study", "list")["studies"]
    patient = next(one["patient"] for one in studies if one["patient"])
    about = ("--matter", "22-cv-100", "--reason", "a claim")
    by_key = site.ask("--as", "privacy", "hold", "place", "--patient", patient, *about)
    assert (by_key["kind"], by_key["patient"]) == ("patient", patient)
    assert by_key["studies"] == sum(one["patient"] == patient for one in studies)

    place = (PROGRAM, "--json", "--as", "privacy", "hold", "place", "--patient-file", "-", *about)
    for words, code in (("1CT1\n", 0), ("nobody\n", 10), ("1CT1\n4MR1\n", 2), ("", 2)):
        done = subprocess.run(
            place, input=words, env=site.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert "1CT1" not in done.stdout + done.stderr
