"""What goes wrong within an act: the process dies, a program fails or dies, the disk refuses."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


def break_at(fault: dict[str, Any] | None) -> None:
    """Let something go wrong at call number `at` of a step."""
    if fault is None:
        return
    numbers = itertools.count(1)
    due = lambda: next(numbers) == fault["at"]  # noqa: E731
    {"program": _break_program, "transaction": _break_transaction, "file": _break_file}[
        fault["where"]
    ](fault, due)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _break_program(fault: dict[str, Any], due: Callable[[], bool]) -> None:
    from orchestrator.engines import process

    real: Any = process._Child._start
    how, after_s = fault["how"], fault["after_s"]

    def start(child: Any) -> Any:
        if not due():
            return real(child)
        if how == "kill before":
            _die()
        if how == "fails":
            child._launch = dataclasses.replace(child._launch, argv=["/bin/false"])
            return real(child)
        started = real(child)
        if how == "kill while":  # restic has a session of its own and goes on
            threading.Timer(after_s, _die).start()
        else:
            threading.Timer(after_s, lambda: _kill(started.pid)).start()
        return started

    process._Child._start = start  # type: ignore[method-assign]


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _break_transaction(fault: dict[str, Any], due: Callable[[], bool]) -> None:
    from orchestrator.catalog.database import Catalog

    real = Catalog.transaction

    @contextmanager
    def transaction(catalog: Catalog, **more: Any) -> Iterator[Any]:
        is_due = due()
        if is_due and fault["how"] == "kill before":
            _die()
        with real(catalog, **more) as session:
            yield session
            if is_due and fault["how"] == "kill within":
                _die()
        if is_due:
            _die()

    Catalog.transaction = transaction  # type: ignore[method-assign]


def _break_file(fault: dict[str, Any], due: Callable[[], bool]) -> None:
    """Die at the removal of a file, or let the file system refuse it."""
    real = os.unlink

    def unlink(path: Any, **more: Any) -> None:
        if fault["how"] == "refuse":  # only a store does: our own disk is another matter
            if more.get("dir_fd") is not None and due():
                raise OSError(errno.EIO, "Input/output error")
        elif due():
            if fault["how"] == "kill before":
                _die()
            real(path, **more)
            _die()
        real(path, **more)

    os.unlink = os.remove = unlink  # type: ignore[assignment]
