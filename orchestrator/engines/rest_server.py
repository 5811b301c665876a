"""A read-only server of restic's REST protocol on a Unix socket.

Streams from a Place the very files it was told to show; chooses nothing, holds no key and writes
nothing. A failing place is answered with 403, after which restic gives up at once, instead of
trying for a quarter of an hour as after 5xx; `View.failure` then says what it was.

Source: restic documentation, "REST Backend" (doc/REST_backend.rst).
"""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from orchestrator.engines.interface import Place, StoredFile
from orchestrator.engines.meter import Meter
from orchestrator.errors import EngineError, NotFoundError, OrchestratorError

_VERSION_2 = "application/vnd.x.restic.rest.v2"
_VERSION_1 = "application/vnd.x.restic.rest.v1"
_LISTED = ("data", "index", "keys", "locks", "snapshots")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)(?<!=-)")
_PATIENCE_S = 5.0

log = logging.getLogger(__name__)


class View:
    """What is shown, and how it went.

    Args:
        place: Where the bytes are.
        files: What to show.
        meter: What counts the traffic.

    Attributes:
        failure: The first failure of the place (or a cap of the meter); None if all went well.
            After it, every read is refused.
    """

    def __init__(self, place: Place, files: Iterable[StoredFile], meter: Meter) -> None:
        self.place = place
        self.meter = meter
        self.failure: OrchestratorError | None = None
        self._shown: dict[str, dict[str, StoredFile]] = {}
        for stored in files:
            self._shown.setdefault(stored.file.kind, {})[stored.file.name] = stored

    def shown(self, kind: str) -> dict[str, StoredFile]:
        """Return the shown files of a kind by name."""
        return self._shown.get(kind, {})

    def fail(self, error: OrchestratorError) -> None:
        """Remember the first failure."""
        if self.failure is None:
            self.failure = error
            log.warning("lens: %s", error.message)


class _Span(NamedTuple):
    """Which part of a file is asked for."""

    first: int
    length: int
    partial: bool


class RestServer(ThreadingMixIn, UnixStreamServer):
    """One thread per connection; restic opens five."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str, view: View) -> None:
        self.view = view
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(path, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, which `hang_up` knows."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._lock:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections, and wait a little for the threads to notice."""
        with self._lock:
            left = dict(self._open)
            for connection in left:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in left.values():
            thread.join(_PATIENCE_S)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is restic's way to say it has read enough."""
        log.debug("lens: a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: RestServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Names of repository files are of no use in the log."""

    def do_GET(self) -> None:
        """A listing or a file's content."""
        self.server.view.meter.request()
        parts = urlsplit(self.path).path.lstrip("/").split("/")
        if len(parts) == 2 and parts[1] == "":
            self._list(parts[0])
        else:
            self._file(parts)

    do_HEAD = do_GET

    def refuse(self) -> None:
        """The lens is read-only: locks, uploads and deletions are refused."""
        self.server.view.meter.request()
        self.close_connection = True  # an upload's body is not read
        self._answer(HTTPStatus.FORBIDDEN)

    do_POST = do_PUT = do_DELETE = do_PATCH = refuse

    def _list(self, kind: str) -> None:
        if kind not in _LISTED:
            self._answer(HTTPStatus.NOT_FOUND)
            return
        shown = self.server.view.shown(kind)
        if _VERSION_2 in self.headers.get("Accept", ""):
            entries: list[Any] = [
                {"name": name, "size": stored.file.size_bytes} for name, stored in shown.items()
            ]
            self._answer(HTTPStatus.OK, json.dumps(entries).encode(), content_type=_VERSION_2)
        else:
            body = json.dumps(list(shown)).encode()
            self._answer(HTTPStatus.OK, body, content_type=_VERSION_1)

    def _file(self, parts: list[str]) -> None:
        view = self.server.view
        kind, name = parts if len(parts) == 2 else (parts[0], parts[0])
        stored = view.shown(kind).get(name)
        if stored is None or (len(parts) == 1) != (kind == "config"):
            self._answer(HTTPStatus.NOT_FOUND)
            return
        size = stored.file.size_bytes
        span = _span(self.headers.get("Range"), size)
        if span is None:
            self._answer(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                headers={"Content-Range": f"bytes */{size}"},
            )
        elif self.command == "HEAD":
            self._begin(HTTPStatus.OK, size)
        elif view.failure is not None:
            self._answer(HTTPStatus.FORBIDDEN)
        else:
            view.meter.read(stored)
            self._content(stored, span)

    def _content(self, stored: StoredFile, span: _Span) -> None:
        """Stream a file; what fails before the first byte is an answer, later it is a cut."""
        view = self.server.view
        begun = False
        try:
            pieces = view.place.read(stored, offset=span.first, length=span.length)
            for piece in _exactly(pieces, span.length):
                view.meter.sent(len(piece))
                if not begun:
                    self._begin_span(stored, span)
                    begun = True
                self.wfile.write(piece)
        except NotFoundError:
            self.close_connection = True
            if not begun:
                self._answer(HTTPStatus.NOT_FOUND)
        except OrchestratorError as error:
            view.fail(error)
            self.close_connection = True
            if not begun:
                self._answer(HTTPStatus.FORBIDDEN)

    def _begin_span(self, stored: StoredFile, span: _Span) -> None:
        if not span.partial:
            self._begin(HTTPStatus.OK, span.length)
            return
        last, size = span.first + span.length - 1, stored.file.size_bytes
        headers = {"Content-Range": f"bytes {span.first}-{last}/{size}"}
        self._begin(HTTPStatus.PARTIAL_CONTENT, span.length, headers)

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes = b"",
        *,
        content_type: str = "text/plain",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._begin(status, len(body), {"Content-Type": content_type, **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _begin(
        self, status: HTTPStatus, length: int, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {"Content-Type": "application/octet-stream"}).items():
            self.send_header(name, value)
        self.end_headers()


def _span(asked: str | None, size: int) -> _Span | None:
    """Read a Range header; None if it cannot be satisfied, the whole file if it is not one."""
    found = _RANGE.fullmatch(asked or "")
    if found is None:
        return _Span(0, size, partial=False)
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size), size - 1)
    return _Span(first, last - first + 1, partial=True) if first <= last else None


def _exactly(pieces: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Yield at least one piece and exactly `length` bytes.

    Raises:
        EngineError: The place gave fewer or more.
    """
    left = length
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left != 0:
        raise EngineError("a file in the copy does not have the length it was listed with")
    if length == 0:
        yield b""
