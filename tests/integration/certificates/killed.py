"""Issues a certificate in processes that die at one system call after the other.

``killed.py SITE_FOLDER WORK_FOLDER MODE``: copies the site to ``WORK_FOLDER/N`` for N = 1, 2, … and
lets a forked process issue a certificate there, which at its Nth durable call is killed
(``kill``) or sees the call fail (``fail``); ends with the N that came through, and prints it.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from orchestrator.actions.certificates import certify
from orchestrator.catalog.database import Catalog
from orchestrator.errors import OrchestratorError
from orchestrator.wiring import open_site
from tests.support import certificate_records as acts

RENAMING = ("replace", "rename")
CALLS = ("fsync", "fdatasync", *RENAMING)
"""A kill before and after an fsync leaves the same files: killed is before what changes them; the
ledger's own tests die at every single call."""


class Countdown:
    def __init__(self, left: int, mode: str) -> None:
        self.left = left
        self.mode = mode

    def pass_by(self) -> None:
        self.left -= 1
        if self.left == 0 and self.mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")


def guard(countdown: Countdown) -> None:
    for name in RENAMING if countdown.mode == "kill" else CALLS:
        real = getattr(os, name)

        def call(*arguments: Any, real: Any = real, **named: Any) -> Any:
            countdown.pass_by()
            return real(*arguments, **named)

        setattr(os, name, call)
    if countdown.mode == "kill":  # SQLite's own failures have tests of their own
        begin = Catalog.transaction

        def begun(self: Catalog, **named: Any) -> Any:
            countdown.pass_by()
            return begin(self, **named)

        Catalog.transaction = begun  # type: ignore[method-assign]


def run(folder: Path, number: int, mode: str) -> int:
    """Return 0 if the certificate was issued, 1 if an error was told."""
    site = open_site(folder / "site.toml", actor="privacy")
    _ = site.catalog, site.ledger.log
    guard(Countdown(number, mode))
    try:
        certify.issue_sanitization(site, acts.sanitization())
    except OrchestratorError:
        return 1
    return 0


def main() -> None:
    source, work, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    # Imported once, so that forked processes begin at once.
    import orchestrator.certificates.checking
    import orchestrator.certificates.signing
    import orchestrator.typeset  # noqa: F401

    # A file is written in three calls: every second one meets each of the three in turn.
    for number in range(1, 200, 2 if mode == "fail" else 1):
        folder = work / str(number)
        shutil.copytree(source, folder)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = run(folder, number, mode)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        code = -1 if killed else os.waitstatus_to_exitcode(status)
        assert killed or code in (0, 1), (number, code)
        if code == 0:
            print(number)
            return
    raise AssertionError("it never came through")


main()
