"""Every recorded transcript is worth what its file says, whatever the exit code was."""

from __future__ import annotations

import dataclasses
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sanitization.commands import PROCEDURES, Step
from orchestrator.sanitization.facts import Transcript
from orchestrator.sanitization.transcripts import Expected, Reading

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.toml"))
CASES = {file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in FILES}


def step_of(case: dict[str, Any]) -> Step:
    procedure = PROCEDURES[case["technique"]]
    if case["step"] == "status":
        assert procedure.status is not None
        return procedure.status
    return procedure.steps[int(case["step"])]


def said(case: dict[str, Any]) -> Transcript:
    argv = tuple(step_of(case).argv(case["device"]))
    out, err = case["stdout"].encode(), case["stderr"].encode()
    return Transcript(argv, case["returncode"], out, err)


def read(case: dict[str, Any], transcript: Transcript | None = None) -> Reading:
    expected = Expected(
        device=case["device"],
        size_bytes=case["size_bytes"],
        serial=case["serial"] or None,
        started_at=datetime.fromisoformat(case["started"]),
        ended_at=datetime.fromisoformat(case["ended"]),
    )
    return step_of(case).read(transcript or said(case), expected)


@pytest.mark.parametrize("name", CASES)
def test_a_transcript_is_worth_what_it_shows(name: str) -> None:
    case = CASES[name]
    reading = read(case)
    assert reading.verdict == case["verdict"], reading.reasons
    assert case["why"] in "; ".join(reading.reasons)
    assert (reading.verdict == "done") == (not reading.reasons)


def test_lying_exit_codes_are_all_in_the_corpus() -> None:
    lies = {name for name, case in CASES.items() if case["returncode"] == 0}
    lies = {name for name in lies if CASES[name]["verdict"] == "failed"}
    assert lies >= {
        "nwipe-unknown-option-prints-help",
        "nwipe-interrupted",
        "hdparm-erase-without-the-feature",
        "hdparm-erase-enhanced-without-the-feature",
        "hdparm-set-pass-without-the-feature",
        "sg-sanitize-transport-error",
    }


@pytest.mark.parametrize("name", [name for name, one in CASES.items() if one["verdict"] == "done"])
def test_a_good_transcript_is_not_good_with_another_exit_code(name: str) -> None:
    case = CASES[name]
    for change in (
        {"returncode": 1},
        {"returncode": None, "problem": "it did not end in time"},
        {"returncode": None, "missing": True},
    ):
        assert read(case, dataclasses.replace(said(case), **change)).verdict == "failed"


def test_a_log_of_nwipe_cut_off_anywhere_is_never_done() -> None:
    case = CASES["nwipe-complete-with-serial"]
    whole = case["stdout"]
    whole = whole[: whole.index("See summary table for details.")]  # it says so twice
    for length in range(0, len(whole), 7):
        assert read({**case, "stdout": whole[:length]}).verdict != "done"


def test_a_dry_run_is_never_imported() -> None:
    case = CASES["sg-requests-ready"] | {"step": "0", "stdout": "done"}
    wet = said(case)
    dry = dataclasses.replace(wet, argv=(*wet.argv, "--dry-run"))
    assert read(case, wet).verdict == "done"
    assert read(case, dry).verdict == "failed"
