"""The stage of the demo: its folders, what is said on screen, and the command line as typed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2] / "demo-site"
IMAGES = HERE / "images"
SITE = HERE / "site"
MEDIUM = HERE / "media" / "red"
MEDIUM_FILE = HERE / "medium.img"
INTO_THE_SAFE = ("--holder", "courier", "--location", "bank safe")

COLOUR = sys.stdout.isatty()


class Failed(Exception):
    """A step of the demo did not do what it must."""


def tell(title: str, *lines: str) -> None:
    """Say what comes now."""
    start, end = ("\x1b[1;36m", "\x1b[0m") if COLOUR else ("", "")
    print(f"\n{start}== {title}{end}", flush=True)
    for line in lines:
        print(f"   {line}", flush=True)


class Orchestrator:
    """The command line, as typed by hand."""

    def __init__(self) -> None:
        self.env = {**os.environ, "ORCHESTRATOR_SITE": str(SITE / "site.toml")}
        self._program = str(Path(sys.executable).with_name("orchestrator"))

    def __call__(self, *words: str, code: int = 0) -> None:
        """Run a command before everybody's eyes.

        Args:
            words: What is typed.
            code: Exit code it must end with.

        Raises:
            Failed: It ended with another one.
        """
        typed = shlex.join(["orchestrator", *words])
        print(f"$ {typed}", flush=True)
        ended = subprocess.run([self._program, *words], env=self.env, check=False).returncode
        print(flush=True)
        if ended != code:
            raise Failed(f"`{typed}` ended with exit code {ended}")

    def ask(self, *words: str) -> dict[str, Any]:
        """Return what a command says to a program, without showing it."""
        done = subprocess.run(
            [self._program, "--json", *words], env=self.env, check=True, capture_output=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer
