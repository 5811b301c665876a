"""Sanitizes emulated drives in a virtual machine and reports what came of it.

    python -m tests.nightly.run [--report FOLDER] [PYTEST OPTION...]

Writes ``nightly.json`` and ``nightly.txt`` into the folder (``.lab/nightly``), with the transcripts
of every program beside them. Exit code 0 only if every test ran and passed.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.lab import qemu_machine
from deploy.lab.qemu_machine import ROOT, Machine, Ran
from tests.nightly import machine

FEWEST = 30
"""Tests that must have run: a run that tested nothing has found nothing."""


def main() -> int:
    """Run it and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--report", type=Path, default=ROOT / ".lab" / "nightly")
    arguments, more = parser.parse_known_args()
    out = arguments.report.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    started, at = time.monotonic(), datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="drives-", dir=out.parent) as folder:
        ran = qemu_machine.run(
            Machine(machine.options(Path(folder))),
            [
                *("/usr/bin/env", "PYTHONDONTWRITEBYTECODE=1", "LC_ALL=C.UTF-8", "TMPDIR=/run/tmp"),
                *("PATH=/usr/sbin:/usr/bin:/sbin:/bin", sys.executable, "-m", "pytest"),
                *("-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"),
                *("--junitxml=/run/out/junit.xml", *more),
                str(ROOT / "tests/nightly/drives.py"),
            ],
            out,
            during=lambda monitor: machine.obey(monitor, out),
        )
    report = _report(out, ran, whole=not more)
    report |= {"at": at.isoformat(timespec="seconds"), "took_s": round(time.monotonic() - started)}
    (out / "nightly.json").write_text(json.dumps(report, indent=2) + "\n")
    text = _text(report)
    (out / "nightly.txt").write_text(text)
    (out / "console.txt").write_text(ran.console)
    print(text, end="")
    return 0 if report["passed"] else 1


def _report(out: Path, ran: Ran, *, whole: bool) -> dict[str, Any]:
    junit = out / "junit.xml"
    tests = _tests(junit) if junit.exists() else []
    bad = [one["test"] for one in tests if one["outcome"] != "passed"]
    enough = len(tests) >= FEWEST or not whole
    said = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    )
    return {
        "passed": ran.code == 0 and bool(tests) and enough and not bad,
        "exit_code": ran.code,
        "failed": bad,
        "qemu": said.stdout.split("\n")[0],
        "accelerator": qemu_machine.accelerator()[1].split(",")[0],
        "machine": platform.machine(),
        "tests": tests,
        "said": [] if ran.code == 0 else (ran.output or ran.console).splitlines()[-60:],
    }


def _tests(junit: Path) -> list[dict[str, Any]]:
    found = []
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        problem = next((one for one in case if one.tag in ("failure", "error", "skipped")), None)
        facts = {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}
        found.append(
            {
                "test": case.attrib["name"],
                "outcome": "passed" if problem is None else problem.tag,
                "took_s": round(float(case.attrib["time"]), 1),
                **facts,
            }
        )
    return found


def _text(report: dict[str, Any]) -> str:
    lines = [
        f"{'PASSED' if report['passed'] else 'FAILED'}: {len(report['tests'])} tests, "
        f"{report['took_s']} s, {report['qemu']} ({report['accelerator']})",
    ]
    for one in report["tests"]:
        lines.append(f"  {one['outcome']:8} {one['took_s']:6.1f} s  {one['test']}")
        if "result" in one:
            lines.append(f"{'':21}{one['result']}: {one['reasons'] or 'nothing against it'}")
    return "\n".join([*lines, *report["said"], ""])


if __name__ == "__main__":
    sys.exit(main())
