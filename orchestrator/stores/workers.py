"""Reading many files with several processes: in order, a bounded way ahead.

Each worker has its own pipe, so that its death is seen at once and no lock is shared. Workers
are spawned, never forked: the parent may run threads. They end when their pipe closes, and at
once when the parent dies. This module knows nothing of what is read.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing import connection as pipes
from multiprocessing.connection import Connection

from orchestrator.errors import EngineError
from orchestrator.stores.interface import Listed, ReadResult
from orchestrator.stores.reading import (
    PIECE_BYTES,
    FileContent,
    is_readable,
    not_read,
    read_content,
    result_of,
)

_BATCH_FILES = 64
_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_PATH_BYTES = 32 * 1024
"""Two batches fit a pipe, so that handing one out never waits for a worker that waits for us."""

_BATCHES_PER_WORKER = 2
_BATCHES_AHEAD = 4
_END_TIMEOUT_S = 5.0


class _Worker:
    """One process, its pipe and the numbers of the batches it has in hand, oldest first."""

    def __init__(self, root: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.in_hand: deque[int] = deque()
        self.process = context.Process(target=_work, args=(theirs, root), daemon=True)
        self.process.start()
        theirs.close()  # only the worker holds it now, so its death closes the pipe

    def end(self) -> None:
        self.pipe.close()
        if self.in_hand:
            self.process.terminate()
        self.process.join(_END_TIMEOUT_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class _Crew:
    """The workers, what they were given and what they have answered."""

    def __init__(self, *, root: bytes, workers: int, store: str) -> None:
        self._root = root
        self._store = store
        self._given: dict[int, list[Listed]] = {}
        self._answers: dict[int, list[FileContent]] = {}
        self._next = 0
        self._workers: list[_Worker] = []
        self._size = workers

    def start(self) -> None:
        while len(self._workers) < self._size:
            self._workers.append(_Worker(self._root))

    def end(self) -> None:
        for worker in self._workers:
            worker.end()

    def run(self, batches: Iterator[list[Listed]]) -> Iterator[ReadResult]:
        self._hand_out(batches)
        delivered = 0
        while self._given:
            while delivered not in self._answers:
                self._collect()
            self._hand_out(batches)
            yield from _results(self._given[delivered], self._answers.pop(delivered))
            del self._given[delivered]
            delivered += 1
            self._hand_out(batches)

    def _hand_out(self, batches: Iterator[list[Listed]]) -> None:
        while len(self._given) < self._size * _BATCHES_AHEAD:
            worker = min(self._workers, key=lambda w: len(w.in_hand))
            if len(worker.in_hand) >= _BATCHES_PER_WORKER:
                return
            batch = next(batches, None)
            if batch is None:
                return
            paths = [listed.path for listed in batch if is_readable(listed)]
            try:
                worker.pipe.send(paths)
            except OSError as error:
                raise self._died(worker) from error
            worker.in_hand.append(self._next)
            self._given[self._next] = batch
            self._next += 1

    def _collect(self) -> None:
        busy = {worker.pipe: worker for worker in self._workers if worker.in_hand}
        for pipe in pipes.wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            try:
                answer = worker.pipe.recv()
            except (EOFError, OSError) as error:
                raise self._died(worker) from error
            self._answers[worker.in_hand.popleft()] = answer

    def _died(self, worker: _Worker) -> EngineError:
        worker.process.join(_END_TIMEOUT_S)
        code = worker.process.exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return EngineError(
            f"store {self._store}: a process that was reading files ended unexpectedly ({how})",
            hint="look for 'out of memory' in the kernel's log, then run the backup again",
        )


def read_in_processes(
    wanted: Iterable[Listed], *, root: bytes, workers: int, store: str
) -> Iterator[ReadResult]:
    """Read files in worker processes; results come in the order of `wanted`.

    Closing the iterator ends the workers, also in the middle of a file.

    Args:
        wanted: What to read, of any length; taken a bounded way ahead.
        root: The store's folder.
        workers: Number of processes, 1 or more.
        store: The store's name, for messages.

    Raises:
        EngineError: A worker died.
    """
    crew = _Crew(root=root, workers=workers, store=store)
    try:
        crew.start()
        yield from crew.run(_batches(wanted))
    finally:
        crew.end()


def _batches(wanted: Iterable[Listed]) -> Iterator[list[Listed]]:
    batch: list[Listed] = []
    size_bytes = path_bytes = 0
    for listed in wanted:
        size = listed.stat.size_bytes if listed.stat else 0
        if batch and (
            len(batch) >= _BATCH_FILES
            or size_bytes + size > _BATCH_BYTES
            or path_bytes + len(listed.path) > _BATCH_PATH_BYTES
        ):
            yield batch
            batch = []
            size_bytes = path_bytes = 0
        batch.append(listed)
        size_bytes += size
        path_bytes += len(listed.path)
    if batch:
        yield batch


def _results(batch: list[Listed], answer: list[FileContent]) -> Iterator[ReadResult]:
    contents = iter(answer)
    for listed in batch:
        yield result_of(listed, next(contents)) if is_readable(listed) else not_read(listed)


def _work(pipe: Connection, root: bytes) -> None:
    """Be a worker: paths in, contents out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    buffer = bytearray(PIECE_BYTES)
    try:
        while True:
            paths: list[bytes] = pipe.recv()
            pipe.send([read_content(os.path.join(root, path), buffer) for path in paths])
    except (EOFError, OSError):
        return  # the parent has closed the pipe


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        pipes.wait([parent.sentinel])
        os._exit(1)
