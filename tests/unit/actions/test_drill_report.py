"""The report of a drill on the disk: private, whole, and rendered anew when it is signed."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.actions.drills import report as drill_report
from orchestrator.actions.drills.report import report_dir, write_report
from orchestrator.actions.set_up import make_state
from orchestrator.actions.site import Site
from orchestrator.catalog import drills as rows
from orchestrator.drills.result import DrillResult
from orchestrator.engines.decoder import Decoded
from orchestrator.errors import DamageError, EngineError
from orchestrator.wiring import open_site
from tests.support import drill_results as drills
from tests.support.clock import SetClock

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20

SITE = """
[site]
name = "Elm Street Dental"
timezone = "America/Chicago"
state_dir = "state"
[stores.xrays]
kind = "folder"
path = "images"
jurisdictions = ["US-TX"]
rpo = "24h"
rto = "4h"
[copies.disk]
role = "local"
path = "disk"
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "images").mkdir()
    (tmp_path / "site.toml").write_text(SITE)
    site = open_site(tmp_path / "site.toml", clock=SetClock(drills.START))
    make_state(site)
    yield site
    site.catalog.dispose()


def recorded(site: Site, result: DrillResult) -> DrillResult:
    with site.catalog.transaction() as session:
        rows.begin(session, result, run_id=None)
        rows.finish(session, result)
    return result


def earlier(days: int) -> DrillResult:
    started = drills.START - timedelta(days=days)
    ended = started + timedelta(minutes=7)
    return replace(drills.verified(), drill=f"earlier-{days}", started_at=started, ended_at=ended)


def test_a_report_is_private_and_its_hash_is_in_the_catalog(site: Site) -> None:
    result = recorded(site, drills.verified())
    files = write_report(site, result)
    assert files.pdf is not None
    assert files.trouble is None
    for path in (files.html, files.pdf):
        assert path.parent == report_dir(site)
        assert path.stem == result.drill
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(files.html.parent.stat().st_mode) == 0o700
    assert files.pdf.read_bytes().startswith(b"%PDF-1.7")
    assert files.sha256 == hashlib.sha256(files.html.read_bytes()).hexdigest()
    with site.catalog.reading() as session:
        row = rows.get(session, result.drill)
        assert (row.report, row.report_sha256) == (files.html.name, files.sha256)


def test_a_report_shows_the_drills_before_it(site: Site) -> None:
    for days in (14, 7):
        recorded(site, earlier(days))
    other = replace(earlier(3), copy="rotation", drill="of-another-copy")
    recorded(site, other)
    page = write_report(site, recorded(site, drills.verified())).html.read_text()
    assert "The last 3 drills of this copy: 3 verified, 0 not." in page
    assert "8 Nov 2026" in page


def test_the_same_drill_gives_the_same_report_however_many_follow(site: Site) -> None:
    result = recorded(site, drills.verified())
    first = write_report(site, result)
    later = replace(earlier(-7), drill="later")
    recorded(site, later)
    assert write_report(site, result).sha256 == first.sha256


def test_a_signature_is_added_and_pictures_stay(site: Site) -> None:
    result = recorded(site, drills.verified())
    seen = [
        (Decoded("decoded", modality="CT", frames=2, preview=PNG), "k7h2q9mwd4xb3c5z"),
        (Decoded("decoded", modality="US", frames=1), "x5h2q9mwd4xb3c5z"),
    ]
    unsigned = write_report(site, result, previews=seen).html.read_text()
    assert "Signature and date" in unsigned
    with site.catalog.transaction() as session:
        rows.sign(session, result.drill, actor="privacy", sign_off=drills.signature())
    signed = write_report(site, result).html.read_text()
    assert "Dana Whitfield" in signed
    for page in (unsigned, signed):
        assert "(PHI)" in page
        assert "CT, 2 frames · k7h2q9mwd4xb3c5z" in page
        assert "1 image is not shown" in page
    kept = report_dir(site) / f"{result.drill}.previews.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_without_previews_nothing_of_them_is_kept(site: Site) -> None:
    result = recorded(site, drills.verified())
    write_report(site, result, previews=[])
    names = {path.name for path in report_dir(site).iterdir()}
    assert names == {f"{result.drill}.html", f"{result.drill}.pdf"}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"hidden": 0, "shown": [{"png": "%"}]}'])
def test_damaged_pictures_are_told_not_left_out(site: Site, content: bytes) -> None:
    result = recorded(site, drills.verified())
    write_report(site, result)
    (report_dir(site) / f"{result.drill}.previews.json").write_bytes(content)
    with pytest.raises(DamageError, match="pictures"):
        write_report(site, result)


def test_a_report_that_cannot_be_typeset_is_written_as_a_page_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = recorded(site, drills.verified())
    before = write_report(site, result)
    assert before.pdf is not None

    def refuse(*_: object, **__: object) -> bytes:
        raise EngineError("no fonts")

    monkeypatch.setattr("orchestrator.reports.drill_pdf.render_pdf", refuse)
    files = write_report(site, result)
    assert (files.pdf, files.trouble) == (None, "no fonts")
    assert files.html.read_text().startswith("<!DOCTYPE html>")
    assert not before.pdf.exists()  # it would be of an earlier state


def test_a_disk_that_refuses_is_told(site: Site) -> None:
    result = recorded(site, drills.verified())
    report_dir(site).parent.mkdir(mode=0o700)
    report_dir(site).write_text("a file in the way")
    with pytest.raises(EngineError, match="cannot be"):
        write_report(site, result)


def test_nothing_but_pseudonyms_is_kept_of_a_picture(site: Site) -> None:
    result = recorded(site, drills.verified())
    write_report(site, result, previews=[(Decoded("decoded", "", "CT", 1, PNG), "k7h2q9mw")])
    kept = json.loads((report_dir(site) / f"{result.drill}.previews.json").read_text())
    assert set(kept["shown"][0]) == {"png", "modality", "frames", "study"}
    assert drill_report.report_dir(site).is_relative_to(site.state_dir)
