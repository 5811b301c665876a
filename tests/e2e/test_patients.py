"""The patient list by the command line, for a store of real images."""

from __future__ import annotations

import datetime as dt
import subprocess
import warnings
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from tests.support.site import PROGRAM, LabSite, MakeSite

HEADER = (
    "patient_id;issuer;birth_date;last_treatment_date;deceased_date;legal_hold;hold_reason;"
    "merged_into;exported_at"
)
NOW = dt.datetime.now(dt.UTC)


def patients_of(site: LabSite) -> list[str]:
    """Return the patient ids of the store's images that name no issuer."""
    found = set()
    for path in site.images.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    header = pydicom.dcmread(path, stop_before_pixels=True)
                except (InvalidDicomError, EOFError, NotImplementedError):
                    continue
            name = str(header.get("PatientID") or "").strip()
            if name and not header.get("IssuerOfPatientID") and name.isprintable():
                found.add(name)
    return sorted(found)


def write(site: LabSite, rows: list[str], *, at: dt.datetime = NOW) -> Path:
    file = site.folder / "list.csv"
    lines = [f"{row};{at.isoformat(timespec='seconds')}" for row in rows]
    file.write_text("\n".join([HEADER, *lines]), encoding="utf-8-sig")
    return file


def test_a_patient_list_is_taken_told_and_kept_without_anybodys_identity(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.run("backup")
    known = patients_of(site)
    assert len(known) > 8
    rows = [f"{one};;1951-04-13;2017-03-14;;0;;" for one in known[:-2]]
    rows += [f"{known[-2]};;1951-04-13;;;1;the matter of Tellingname;"]
    rows += ["TELLINGID;;1951-04-31;2017-03-14;;0;;"]
    file = write(site, rows)

    refused = site.run("patients", "import", file, expect=5)
    assert "person" in refused.error["message"]
    assert site.ask("patients", "show")["list"] is None

    done = site.run("--as", "it", "patients", "import", file, expect=3)
    body = done.document
    assert (body["rows"], body["accepted"], body["rejected"]) == (len(rows), len(rows) - 1, 1)
    assert body["rejected_rows"] == [{"line": len(rows) + 1, "reasons": ["birth_date_unreadable"]}]
    blocked = {(one["reason"], one["unit"]): one["count"] for one in body["blocking"]}
    assert blocked["birth_date_unreadable", "rows"] == 1
    assert blocked["not_in_patient_list", "studies"] >= 1
    assert body["outcome"] == "partial"
    (hold,) = site.ask("hold", "list")["holds"]
    assert [hold["hold"]] == body["holds"]

    shrunk = site.run("--as", "it", "patients", "import", write(site, rows[:3]), expect=5)
    assert "--accept-shrink" in shrunk.error["message"]
    old = NOW - dt.timedelta(days=31)
    stale = site.run("--as", "it", "patients", "import", write(site, rows, at=old), expect=5)
    assert "31 days ago" in stale.error["message"]
    broken = site.folder / "broken.csv"
    broken.write_text("TELLINGID,1951-04-13\n")
    wrong = site.run("--as", "it", "patients", "import", broken, expect=2)

    shown = site.run("patients", "show")
    state = shown.document
    assert (state["list"]["list"], state["usable"]) == (body["list"], False)
    assert state["doubts"] == ["patient_list_refused"]
    # Of the two, the one that is not older than the list in force stands in the way.
    assert "--accept-shrink" in state["refused"]["refusal"]
    assert 0 <= state["age_s"] < state["max_age_s"] == 30 * 86400
    table = subprocess.run(
        [str(PROGRAM), "patients", "show"], env=site.env, capture_output=True, check=True
    )
    entries = site.ask("ledger", "list", "--type", "patients")["entries"]
    assert [one["type"] for one in entries] == ["patients.imported"]

    # Nobody of the list, in what was said and in everything that is kept of it.
    said = "".join(one.out + one.err for one in (refused, done, shrunk, stale, wrong, shown))
    kept = b"".join(one.read_bytes() for one in site.state.rglob("*") if one.is_file())
    long = [one for one in known if len(one) > 7]
    assert long
    for secret in ("Tellingname", "TELLINGID", "1951-04-13", "19510413", "2017-03-14", *long):
        assert secret not in said
        assert secret.encode() not in table.stdout
        assert secret.encode() not in kept
