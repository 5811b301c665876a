"""Makes the n-th system call that changes a disk fail, or be the last of its process.

As a program: ``faults.py BASE FOLDER before|half`` copies the log BASE to FOLDER/0, FOLDER/1, …,
and in each copy kills a process that appends at its first, second, … such call: before it, or
with half of the bytes written. Prints the names of the calls.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = ("open", "write", "pwrite", "fsync", "mkdir", "replace", "rename", "link", "unlink")


class Faults:
    """Strikes once, at the n-th of `CALLS`; a context manager.

    Args:
        at: Which call, from 0.
        strike: Returns what to raise, or does not return.
        calls: Which functions of `os` count.
    """

    def __init__(
        self, at: int, strike: Callable[[], BaseException], calls: tuple[str, ...] = CALLS
    ) -> None:
        self._left = at
        self._strike = strike
        self._whole = {name: getattr(os, name) for name in calls}
        self.struck = ""

    @property
    def has_struck(self) -> bool:
        return bool(self.struck)

    def __enter__(self) -> Faults:
        for name, function in self._whole.items():
            setattr(os, name, self._counted(name, function))
        return self

    def __exit__(self, *_: object) -> None:
        for name, function in self._whole.items():
            setattr(os, name, function)

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._left -= 1
            if self._left != -1:
                return function(*arguments, **named)
            self.struck = f"{name} {arguments[0] if name != 'write' else ''}"
            if name == "write":
                self._half(function, *arguments)
            raise self._strike()

        return call

    def _half(self, function: Callable[..., Any], descriptor: int, data: bytes) -> None:
        """What is torn is what a disk does at its worst."""
        function(descriptor, data[: len(data) // 2])


def _die() -> BaseException:
    os.kill(os.getpid(), signal.SIGKILL)
    return AssertionError("still alive")


def _kill_at(at: int, folder: Path, calls: tuple[str, ...]) -> str | None:
    """Return the call at which the appending process died; None if it came to its end."""
    from orchestrator.ledger.log import Log
    from tests.support.ledger import SIGNER

    log = Log.open(folder, SIGNER)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:

            def strike() -> BaseException:
                faults._whole.get("write", os.write)(writing, faults.struck.encode() or b"?")
                return _die()

            with Faults(at, strike, calls) as faults:
                log.append([b"added %d" % number for number in range(10)])
        finally:
            os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode()
    if os.WIFSIGNALED(status):
        return said
    return None


def main(base: Path, folder: Path, how: str) -> None:
    calls = CALLS if how == "before" else ("write",)
    killed: list[str] = []
    while True:
        copy = folder / str(len(killed))
        shutil.copytree(base, copy)
        call = _kill_at(len(killed), copy, calls)
        if call is None:
            break
        killed.append(call)
    print(json.dumps(killed))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
