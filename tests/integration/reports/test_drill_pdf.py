"""The PDF of a drill: what a reader finds on its pages, on both papers and in any script."""

from __future__ import annotations

import re
import subprocess
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator import fonts
from orchestrator.dicom.decode_child import program
from orchestrator.engines.decoder import Decoder
from orchestrator.reports.drill_pdf import Paper, render_pdf
from orchestrator.reports.drill_values import Preview, Report
from tests.support import drill_results as drills

REPORTS = {
    "verified": Report(drills.verified(), drills.CHICAGO, drills.history(8)),
    "signed": Report(
        drills.verified("all"), drills.CHICAGO, drills.history(60), [drills.signature()]
    ),
    "damaged": Report(drills.damaged(), drills.CHICAGO, drills.history(3, copy="rotation")),
    "not run": Report(drills.not_run(), drills.CHICAGO, drills.history(12)),
    "crowded": Report(drills.crowded(), drills.CHICAGO, drills.history(60)),
}


def told_by(program_name: str, *words: str) -> str:
    done = subprocess.run([program_name, *words], capture_output=True, check=True, timeout=120)
    return unicodedata.normalize("NFKC", done.stdout.decode())


def pages_of(pdf: bytes, path: Path) -> list[str]:
    path.write_bytes(pdf)
    pages = told_by("pdftotext", "-layout", str(path), "-").split("\f")[:-1]
    return [re.sub(r"\s+", " ", page).strip() for page in pages]


def text_of(pdf: bytes, path: Path) -> str:
    return " ".join(pages_of(pdf, path))


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("verified", "Verified: this backup can be restored"),
        ("signed", "Verified: this backup can be restored"),
        ("damaged", "Not verified: damage was found"),
        ("not run", "Could not run: nothing was proven"),
        ("crowded", "Not verified: damage was found"),
    ],
)
def test_every_page_says_what_it_must(kind: str, first: str, tmp_path: Path) -> None:
    report = REPORTS[kind]
    text = text_of(render_pdf(report), tmp_path / "report.pdf")
    assert text.strip().startswith(first)
    for words in (
        "Sun 22 Nov 2026, 03:30 CST (09:30 UTC)",
        "Time to restore (RTO)",
        "Age of the backup (RPO)",
        "164.308(a)(7)(ii)(D)",
        "It is not a statement that the practice complies with them.",
        "This report holds no patient names",
        report.result.drill,
    ):
        assert words in text
    for check in report.result.checks:
        assert check.name in text
    pages = [int(one) for one in re.findall(r"Page (\d+) of \d+", text)]
    assert pages == list(range(1, len(pages) + 1))
    assert len(pages) == int(re.findall(r"Page \d+ of (\d+)", text)[0])
    assert ("Signature and date" in text) != bool(report.signs)
    assert ("What to do:" in text) == (report.result.verdict != "verified")


@pytest.mark.parametrize(
    ("paper", "size"),
    [("us-letter", "612 x 792 pts (letter)"), ("a4", "595.276 x 841.89 pts (A4)")],
)
def test_paper_is_as_asked_for(paper: Paper, size: str, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(render_pdf(REPORTS["signed"], paper=paper))
    facts = told_by("pdfinfo", str(path))
    assert size in facts
    assert re.search(r"Pages: +2\n", facts)


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_pdf(REPORTS["verified"]) == render_pdf(REPORTS["verified"])


def test_names_in_any_script_are_shown_or_spelled_by_code_point(tmp_path: Path) -> None:
    result = drills.foreign()
    text = text_of(render_pdf(Report(result, drills.CHICAGO)), tmp_path / "report.pdf")
    for word in ("Стоматология", "Οδοντιατρείο", "Администратор"):
        assert word in text
    covered = {code for path in fonts.available() for code in fonts.covered_by(path)}
    for char in "エルム通り歯科":
        assert (char if ord(char) in covered else f"[U+{ord(char):04X}]") in text


def test_markup_in_a_name_stays_text(tmp_path: Path) -> None:
    name = '#eval("1+1") $x$ *bold* <b>&amp; \\ _u_'
    result = replace(drills.damaged(), site=name, reason=name, medium=name, remarks=[name])
    text = text_of(render_pdf(Report(result, drills.CHICAGO)), tmp_path / "report.pdf")
    assert text.count(name) >= 4


def test_pictures_stand_on_a_page_of_their_own_marked_as_phi(tmp_path: Path) -> None:
    from tests.unit.dicom.conftest import real_files

    with Decoder(program()) as decoder:
        seen = [
            decoder.decode(path, preview=True)
            for path in real_files()
            if path.name in ("CT_small.dcm", "MR_small.dcm", "SC_rgb_rle.dcm")
        ]
    shown = [
        Preview(one.preview, one.modality, one.frames, f"study-{number}")
        for number, one in enumerate(seen)
        if one.preview is not None
    ]
    assert len(shown) == 2  # the third is a screen shot, which may bear a name
    path = tmp_path / "report.pdf"
    report = replace(REPORTS["signed"], previews=shown, hidden_previews=1)
    pages = pages_of(render_pdf(report), path)
    assert "Handle it as a patient record" in pages[0]
    assert all("Contains patient images (PHI)" in page for page in pages)
    assert ["Restored images" in page for page in pages] == [False] * (len(pages) - 1) + [True]
    for words in ("1 image is not shown", "study-0", "Handle it as a patient record"):
        assert words in pages[-1]
    images = [line.split() for line in told_by("pdfimages", "-list", str(path)).splitlines()[2:]]
    assert [(page, kind) for page, _number, kind, *_rest in images].count(
        (str(len(pages)), "image")
    ) == 2
    assert {page for page, *_rest in images} == {str(len(pages))}
