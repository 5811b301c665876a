"""The printed summary of a period: it must not be read as better than the ledger is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.actions.ledger.record import Event, record
from orchestrator.actions.ledger.report import summarize, write_report
from orchestrator.actions.site import Site
from orchestrator.wiring import open_site
from tests.integration.certificates.conftest import PEOPLE, certifying_folder
from tests.support.site import Values

__all__ = ["certifying_folder"]

LONG_NAME = "Dr. Maria-Magdalena von Hohenlohe-Waldenburg-Schillingsfürst geb. Wolfeschlegelstein"


def checked(*damaged: int) -> dict[str, Any]:
    return {"run": "r", "copies": [{"copy": "disk", "damaged": count} for count in damaged]}


WENT_WRONG = [
    ("check.done", checked(0, 3)),
    ("drill.done", {"drill": "d", "copy": "vault", "verdict": "not_verified"}),
    ("drill.done", {"drill": "d", "copy": "vault", "verdict": "could_not_run"}),
    ("probe.done", {"copy": "vault", "verdict": "broken"}),
    ("medium.overdue", {"medium": "m", "due": "2026-03-01T00:00:00.000Z"}),
    ("missed", {"job": "nightly", "kind": "missed"}),
    ("backup.day", {"day": "2026-03-01", "store": "xrays", "runs": 0, "outcomes": {}}),
    ("backup.day", {"day": "2026-03-02", "store": "xrays", "outcomes": {"failed": 1}}),
    ("sanitization.run.done", {"sanitization": "s", "verification": "unverified"}),
    ("sanitization.validated", {"sanitization": "s", "decision": "rejected"}),
    ("certificate.revoked", {"number": "2026-0001"}),
    ("disposal.partial", {"disposal": "D"}),
]
WENT_WELL = [
    ("check.done", checked(0, 0)),
    ("drill.done", {"drill": "d", "copy": "vault", "verdict": "verified"}),
    ("probe.done", {"copy": "vault", "verdict": "held"}),
    ("backup.day", {"day": "2026-03-03", "store": "xrays", "outcomes": {"succeeded": 1}}),
    ("sanitization.run.done", {"sanitization": "s", "verification": "verified"}),
    ("sanitization.validated", {"sanitization": "s", "decision": "accepted"}),
]


@pytest.fixture
def site(certifying_folder: Path, tmp_path: Path) -> Iterator[Site]:
    folder = Path(shutil.copytree(certifying_folder, tmp_path / "site"))
    text = Values(more=PEOPLE.replace("Cy Castillo", LONG_NAME)).text()
    (folder / "site.toml").write_text(text, encoding="utf-8")
    opened = open_site(folder / "site.toml", actor="owner")
    yield opened
    opened.catalog.dispose()


def test_the_summary_names_everything_that_did_not_go_well_and_nothing_else(site: Site) -> None:
    record(site, [Event(kind, body) for kind, body in WENT_WELL])
    assert summarize(site, first=None, last=None).alarms == []
    record(site, [Event(kind, body) for kind, body in WENT_WRONG])
    found = summarize(site, first=None, last=None)
    assert [one["type"] for one in found.alarms] == [kind for kind, _ in WENT_WRONG]
    assert "damaged 3" in found.alarms[0]["says"]


def test_a_long_name_leaves_room_for_what_an_entry_says(site: Site, tmp_path: Path) -> None:
    record(site, [Event("sanitization.approved", {"sanitization": f"s-{n}"}) for n in range(30)])
    write_report(site, tmp_path / "q.pdf", first=None, last=None)
    told = subprocess.run(
        ["pdftotext", "-layout", tmp_path / "q.pdf", "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.count("\f") <= 4
    assert site.ledger.verifier.vkey in told.replace("\n", "").replace(" ", "")
    assert "\u200b" not in told
    # On paper "now" means nothing.
    assert re.search(r"From the beginning to \d{4}-\d\d-\d\d \(times in", told)
