"""The report of a real drill, through the command line: written, exported, signed, without PHI."""

from __future__ import annotations

import re
import stat
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.support.site import LabSite, MakeSite

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

HEADLINES = {
    "verified": "Verified: this backup can be restored",
    "not_verified": "Not verified:",
}
IDENTITIES = ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID", "SOPInstanceUID")


def identifiers(site: LabSite) -> set[str]:
    """Return what the images say about people, and the names of their folders and files."""
    found = {path.name for path in site.images.rglob("*")}
    for path in site.images.rglob("*"):
        if path.is_file():
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*IDENTITIES])
            except pydicom.errors.InvalidDicomError:
                continue
            found |= {str(header.get(keyword, "")) for keyword in IDENTITIES}
    return {one for one in found if len(one) > 5 and not one.isalpha()}


def sound_study(site: LabSite) -> str:
    """Return a study of magnetic resonance images, which can be shown."""
    studies = [one for one in site.ask("study", "list")["studies"] if one["modalities"] == ["MR"]]
    return str(max(studies, key=lambda one: one["files"])["study"])


def shown(document: dict[str, Any]) -> str:
    """Return the text of a drill's page, without pictures."""
    page = Path(document["report"]).read_text(encoding="utf-8")
    return re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)


def test_a_drill_leaves_a_report_that_can_be_exported_and_signed(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site()
    site.ask("backup")
    scope = f"study:{sound_study(site)}"
    drill = site.ask("--as", "it", "drill", "run", "xrays", "--scope", scope, "--previews")
    assert drill["verdict"] == "verified"
    page = shown(drill)
    assert f"<h1>{HEADLINES['verified']}</h1>" in page
    assert "I. T." in page
    assert "CST" in page or "CDT" in page
    assert page.count("<img") >= 1
    assert "Handle it as a patient record" in page
    for name in ("report", "report_pdf"):
        assert stat.S_IMODE(Path(drill[name]).stat().st_mode) == 0o600

    exported = tmp_path / "report.pdf"
    site.ask("drill", "report", drill["drill"], "--to", exported)
    text = subprocess.run(
        ["pdftotext", "-layout", exported, "-"], capture_output=True, check=True, timeout=60
    ).stdout.decode()
    assert text.strip().startswith(HEADLINES["verified"])

    again = site.run("drill", "report", drill["drill"], "--to", exported, expect=2)
    assert "already" in again.error["message"]

    refused = site.run("drill", "sign", drill["drill"], "--note", "seen", expect=5)
    assert "a person" in refused.error["message"]
    note = "Replace <disk B> by 1 December"
    signed = site.ask("--as", "privacy", "drill", "sign", drill["drill"], "--note", note)
    assert [(one["actor_name"], one["note"]) for one in signed["signs"]] == [("P. Rivacy", note)]
    signed_page = shown(signed)
    assert "Replace &lt;disk B&gt; by 1 December" in signed_page
    assert "Compliance officer" in signed_page
    assert signed_page.count("<img") == page.count("<img")
    entries = site.ask("ledger", "list", "--type", "drill")["entries"]
    made, after = (one["evidence"]["report"] for one in entries)
    assert made != after == f"sha256:{sha256(Path(signed['report']).read_bytes()).hexdigest()}"


def test_a_report_without_previews_holds_nothing_that_identifies_a_patient(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.ask("backup")
    drill = site.run("drill", "run", "xrays", expect=(0, 1)).document
    page = shown(drill)
    assert HEADLINES[drill["verdict"]] in page
    assert "This report holds no patient names" in page
    assert "<img" not in page
    told = identifiers(site)
    assert len(told) > 100
    text = subprocess.run(
        ["pdftotext", "-layout", drill["report_pdf"], "-"],
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout.decode()
    for where in (page, text):
        assert drill["drill"] in where
        assert not [one for one in told if one in where]
