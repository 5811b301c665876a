"""Destroys a key in processes that are killed at one durable write after the other.

``killed.py SITE_FOLDER WORK_FOLDER DESTRUCTION``: copies the site to ``WORK_FOLDER/N`` for N = 1,
2, … and lets a forked process destroy the key there, which is killed before its Nth file of ours
takes its name; ends with the N that came through. Prints a line for each: N and the file's name.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from orchestrator.actions.key_destruction import destroy
from orchestrator.wiring import open_site

_real = os.replace


def guard(left: int, told: Path) -> None:
    """Let the process die before the file number `left` takes its name."""
    counter = [left]

    def replace(source: Any, target: Any, **more: Any) -> None:
        if counts(Path(target)):
            counter[0] -= 1
            if counter[0] == 0:
                told.write_text(Path(target).name)
                os.kill(os.getpid(), signal.SIGKILL)
        _real(source, target, **more)

    os.replace = replace  # type: ignore[assignment]


def counts(target: Path) -> bool:
    """Say whether a file is one that the story depends on: keyring, kit, evidence, ledger."""
    return (
        target.name in ("keyring.json", "checkpoint", "recovery-kit.txt")
        or "evidence" in target.parts
    )


def run(folder: Path, number: int, name: str) -> None:
    site = open_site(folder / "site.toml", actor="it")
    _ = site.catalog, site.ledger.log
    guard(number, folder.with_suffix(".told"))
    destroy.execute(site, name)


def main() -> None:
    source, work, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    for number in range(1, 30):
        folder = work / str(number)
        shutil.copytree(source, folder, symlinks=True)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                run(folder, number, name)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0, number
            print(number, "through")
            return
        print(number, folder.with_suffix(".told").read_text())
    raise AssertionError("it never came through")


main()
