"""A process that does one act after another on a site, each in a fork that may be killed.

The acts are those of the product, called as its commands call them. Each may be given a fault: the
fork dies by SIGKILL at a step, a restic program fails or dies, the disk refuses.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.integration.disposal.life_acts import ACTS
from tests.integration.disposal.life_breaks import break_at

LIMIT_S = 300.0
"""No act takes longer, also on a busy machine."""

_ROOT = Path(__file__).resolve().parents[3]


class Worker:
    """The process; ends with its ``with`` block."""

    def __enter__(self) -> Worker:
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
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
        self._process.communicate(timeout=LIMIT_S)
        self._files.cleanup()

    def do(self, wish: dict[str, Any]) -> dict[str, Any]:
        """Do one act and return how it ended: ``killed``, ``error``, ``strange`` or ``done``."""
        out = Path(self._files.name) / "out"
        out.unlink(missing_ok=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wish | {"out": str(out)}).encode() + b"\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        if code == -signal.SIGKILL:
            return {"killed": True}
        return dict(json.loads(out.read_text())) if out.exists() else {"strange": f"code {code}"}


def serve() -> None:
    """Do the acts that stdin asks for, one after the other, until it ends."""
    for room in ("", "disposal/", "holds/", "retention/", "drills/", "certificates/", "ledger/"):
        for path in sorted((_ROOT / "orchestrator/actions" / room).glob("*.py")):
            name = f"orchestrator.actions.{room.replace('/', '.')}{path.stem}"
            importlib.import_module(name.removesuffix(".__init__"))
    importlib.import_module("orchestrator.wiring")
    gc.freeze()
    for line in sys.stdin:
        wish = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _act(wish)
        until = time.monotonic() + LIMIT_S
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            time.sleep(0.005)
            if time.monotonic() > until:
                os.kill(pid, signal.SIGABRT)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(ended[1])}\n")
        sys.stdout.flush()


def _act(wish: dict[str, Any]) -> None:
    from orchestrator.engines import transfer
    from orchestrator.errors import OrchestratorError
    from orchestrator.wiring import open_site
    from tests.support.clock import ShiftedClock

    answer: dict[str, Any]
    code = 0
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.environ.clear()
        os.environ.update(wish["env"])
        # What an act that was killed has left is another process's, as it would be in truth.
        transfer._PROCESS = secrets.token_hex(8)
        clock = ShiftedClock(timedelta(seconds=wish["ahead"]))
        site = open_site(Path(wish["env"]["ORCHESTRATOR_SITE"]), actor=wish["actor"], clock=clock)
        break_at(wish.get("fault"))
        answer = {"done": True, **(ACTS[wish["act"]](site, **wish["args"]) or {})}
    except OrchestratorError as error:
        answer = {"error": type(error).__name__, "message": error.message}
    except BaseException:
        answer = {"strange": traceback.format_exc()}
    try:
        Path(wish["out"]).write_text(json.dumps(answer))
    except BaseException:
        code = 70
    os._exit(code)
