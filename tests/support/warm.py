"""Runs commands in processes of their own that need not import everything first.

The command line takes most of a second to import what a catalog needs, on a busy machine more. A
warm process has imported it, forks for each command and calls the same ``main`` as the installed
script. Where start-up itself is the question, run the script.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

LIMIT_S = 240.0
"""No command of a test takes longer, also on a busy machine."""

_ROOT = Path(__file__).resolve().parents[2]


class Warm:
    """A process that runs commands; ends with its ``with`` block."""

    def __enter__(self) -> Warm:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.support.warm import serve; serve()"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._files = tempfile.TemporaryDirectory()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=60)
        self._files.cleanup()

    def run(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> tuple[int, bytes, bytes]:
        """Run one command and return its exit code, stdout and stderr."""
        out, err = Path(self._files.name) / "out", Path(self._files.name) / "err"
        wish = {"words": list(words), "env": dict(env), "cwd": str(cwd)}
        wish |= {"out": str(out), "err": str(err)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wish).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_S)
        assert ready, f"{words} did not end within {LIMIT_S} s"
        code = int(self._process.stdout.readline())
        return code, out.read_bytes(), err.read_bytes()


def serve() -> None:
    """Run the commands that stdin asks for, one after the other, until it ends."""
    from orchestrator.cli import command_tree

    command_tree()
    for path in sorted((_ROOT / "orchestrator/actions").glob("*.py")):
        importlib.import_module(f"orchestrator.actions.{path.stem}")
    importlib.import_module("orchestrator.wiring")
    gc.freeze()
    for line in sys.stdin:
        wish = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_command(wish)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _be_the_command(wish: dict[str, object]) -> None:
    from orchestrator.cli import main

    code = 70
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        out, err = (
            os.open(str(wish[name]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for name in ("out", "err")
        )
        for source, target in ((null, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(wish["env"])  # type: ignore[call-overload]
        os.chdir(str(wish["cwd"]))
        words = wish["words"]
        assert isinstance(words, list)
        sys.argv = ["orchestrator", *words]
        main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
