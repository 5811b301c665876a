"""What happens on the three pipes of a child: lines out, errors kept, input fed.

Nothing here blocks for good: every wait ends soon after the child is over, even if one of its
own children still holds a pipe open. This module starts no program and knows of none.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Callable, Generator, Iterable
from typing import IO

from orchestrator.errors import EngineError

CHUNK_BYTES = 64 * 1024
POLL_S = 0.05
STDERR_TAIL_BYTES = 64 * 1024
LINE_LIMIT_BYTES = 64 * 1024 * 1024

_CHUNKS_AFTER_THE_END = 64


class Lines:
    """Cuts a stream into lines, holding no more than one of them.

    Args:
        deliver: Called with each line, without its end.
        name: What the program is called in an error.
    """

    def __init__(self, deliver: Callable[[bytes], None], name: str) -> None:
        self._deliver = deliver
        self._name = name
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the stream.

        Raises:
            EngineError: A line is longer than 64 MiB.
        """
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            self._parts.append(line)
            self._flush()
        if rest:
            self._parts.append(rest)
            self._held += len(rest)
            if self._held > LINE_LIMIT_BYTES:
                raise EngineError(f"{self._name} wrote a line that is too long to be read")

    def end(self) -> None:
        """Deliver a last line that has no end."""
        if self._parts:
            self._flush()

    def _flush(self) -> None:
        line = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        self._deliver(line)


class Tail(threading.Thread):
    """Reads a pipe to its end and keeps its last 64 KiB.

    Args:
        pipe: The pipe.
        over: Set once the child is over.
        lines: Also given every piece; if it fails it is given no more, and the pipe is drained
            all the same.
    """

    def __init__(self, pipe: IO[bytes], over: threading.Event, lines: Lines | None) -> None:
        super().__init__(name="stderr", daemon=True)
        self._pipe = pipe
        self._over = over
        self._lines = lines
        self._kept = bytearray()
        self.error: Exception | None = None

    def run(self) -> None:
        """Read until the end."""
        for chunk in chunks(self._pipe, self._over.is_set):
            self._kept += chunk
            del self._kept[:-STDERR_TAIL_BYTES]
            self._deliver(chunk)
        self._deliver(b"")

    def _deliver(self, chunk: bytes) -> None:
        if self._lines is None:
            return
        try:
            if chunk:
                self._lines.feed(chunk)
            else:
                self._lines.end()
        except Exception as error:  # noqa: BLE001  (raised again by the thread that waits)
            self.error = error
            self._lines = None

    @property
    def kept(self) -> bytes:
        """The last bytes read so far."""
        return bytes(self._kept)


class Feeder(threading.Thread):
    """Writes an iterable of bytes into a pipe and closes it at the end.

    If the iterable fails, the pipe is left open: the child must be killed before it can take a
    stream that was cut for one that ended.

    Args:
        pipe: The pipe; this thread alone closes it.
        source: What to write.
        over: Set once the child is over.

    Attributes:
        error: What the iterable raised; None if nothing.
    """

    def __init__(self, pipe: IO[bytes], source: Iterable[bytes], over: threading.Event) -> None:
        super().__init__(name="stdin", daemon=True)
        self._pipe = pipe
        self._source = source
        self._over = over
        self.error: BaseException | None = None

    def run(self) -> None:
        """Write until the source or the child ends."""
        os.set_blocking(self._pipe.fileno(), False)
        try:
            self._write_all()
        except BrokenPipeError:
            pass  # the child reads no more: its exit code tells why
        except BaseException as error:  # noqa: BLE001  (raised again by the thread that waits)
            self.error = error
            self._over.wait()
        self._pipe.close()

    def _write_all(self) -> None:
        source = iter(self._source)
        try:
            for chunk in source:
                if not self._write(memoryview(chunk)):
                    return
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    def _write(self, rest: memoryview) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_WRITE)
            while rest:
                if self._over.is_set():
                    return False
                if selector.select(POLL_S):
                    with contextlib.suppress(BlockingIOError):
                        rest = rest[os.write(self._pipe.fileno(), rest) :]
        return True


def chunks(pipe: IO[bytes], is_over: Callable[[], bool]) -> Generator[bytes, None, None]:
    """Yield what comes through a pipe until its end, or until the child is over and it is quiet.

    Whoever still writes after the child's end is read a little longer and then left alone.

    Args:
        pipe: The pipe.
        is_over: Says whether the child is over; asked at least every 50 ms, and what it raises
            is raised from here.
    """
    patience = _CHUNKS_AFTER_THE_END
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while patience:
            # Asked before looking: whatever the child wrote is then in the pipe already.
            over = is_over()
            patience -= over
            if selector.select(POLL_S):
                chunk = os.read(pipe.fileno(), CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk
            elif over:
                return
