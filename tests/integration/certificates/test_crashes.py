"""Killed or refused at every durable call: nothing is claimed by halves, the next run ends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.actions.certificates import certify
from orchestrator.actions.certificates import verify as verify_certificate
from orchestrator.catalog import certificates as rows
from orchestrator.ledger import entry
from orchestrator.wiring import open_site
from tests.support import certificate_records as acts

CHILD = Path(__file__).with_name("killed.py")
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("mode", ["kill", "fail"])
def test_a_certificate_cut_off_at_any_call_is_finished_or_claims_nothing(
    certifying_folder: Path, tmp_path: Path, mode: str
) -> None:
    ended = subprocess.run(
        [sys.executable, str(CHILD), str(certifying_folder), str(tmp_path), mode],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    through = int(ended.stdout)
    assert through > 8
    outcomes: set[str] = set()
    cut_off = [path for path in tmp_path.iterdir() if int(path.name) < through]
    assert len(cut_off) > 6
    for folder in sorted(cut_off, key=lambda path: int(path.name)):
        outcomes.add(settled(folder, outcomes))
    # Each of the ends was met: nothing begun, a draft voided, a certificate finished.
    assert outcomes == {"voided", "issued"} | ({"none"} if mode == "kill" else set())


def settled(folder: Path, met: set[str]) -> str:
    """Let the next run do its work; return what became of the first certificate.

    Args:
        folder: The site.
        met: Ends that were met before: only the first of each is issued anew, which takes long.
    """
    site = open_site(folder / "site.toml", actor="privacy")
    try:
        certify.settle(site)
        with site.catalog.reading() as session:
            assert rows.unfinished(session) == []
        listed = certify.listing(site)
        end = listed[0].state if listed else "none"
        made = listed[0] if end == rows.ISSUED else None
        if made is None and end not in met:
            made = certify.issue_sanitization(site, acts.sanitization())
            assert made not in listed
        kinds = [entry.parse(one.data) for one in site.ledger.reader().entries(0)]
        for kind in ("certificate.recorded", "certificate.issued"):
            numbers = [one.body["number"] for one in kinds if one.type == kind]
            assert numbers == ([] if made is None else [made.number]), folder.name
        if made is not None:
            assert verify_certificate.verify(site, made.pdf).verdict == "valid", folder.name
        return end
    finally:
        site.catalog.dispose()
