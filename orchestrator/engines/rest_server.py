"""A read-only server of restic's REST protocol on a Unix socket, or on loopback with a login.

Sends from a View the very files it was told to show; chooses nothing, holds no key of a
repository and writes nothing. A failing place is answered with 403, after which restic gives up at
once, instead of trying for a quarter of an hour as after 5xx; `View.failure` then says what it was.

Source: restic documentation, "REST Backend" (doc/REST_backend.rst).
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import os
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from orchestrator.engines.interface import StoredFile
from orchestrator.engines.view import Region, View
from orchestrator.errors import DamageError, EngineError, NotFoundError, OrchestratorError

_VERSION_2 = "application/vnd.x.restic.rest.v2"
_VERSION_1 = "application/vnd.x.restic.rest.v1"
_LISTED = ("data", "index", "keys", "locks", "snapshots")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)(?<!=-)")
_PATIENCE_S = 5.0

log = logging.getLogger(__name__)


class RestServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One thread per connection; restic opens five.

    Args:
        address: Path of a Unix socket to make, or host and port.
        view: What to show.
        login: User and password that every request must carry; None where only the owner of a
            socket's folder can get in.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, address: str | tuple[str, int], view: View, *, login: tuple[str, str] | None = None
    ) -> None:
        self.view = view
        self.authorization: str | None = None
        if login is not None:
            credential = base64.b64encode(":".join(login).encode()).decode("ascii")
            self.authorization = f"Basic {credential}"
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._loopback = not isinstance(address, str)
        self.address_family = socket.AF_INET if self._loopback else socket.AF_UNIX
        super().__init__(address, _Handler)  # type: ignore[arg-type] # a socket's path, too

    @property
    def port(self) -> int:
        """The port on loopback."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, which `hang_up` knows."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        if self._loopback:
            # headers and content are sent apart: the second must not wait for an answer
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


class _Span(NamedTuple):
    """Which part of a file is asked for."""

    first: int
    length: int
    partial: bool


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: RestServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Names of repository files are of no use in the log."""

    def do_GET(self) -> None:
        """A listing or a file's content."""
        self.server.view.meter.request()
        if not self._may_enter():
            return
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
        if self._may_enter():
            self._answer(HTTPStatus.FORBIDDEN)

    do_POST = do_PUT = do_DELETE = do_PATCH = refuse

    def _may_enter(self) -> bool:
        expected = self.server.authorization
        given = self.headers.get("Authorization") or ""
        if expected is None or hmac.compare_digest(given.encode(), expected.encode()):
            return True
        self.close_connection = True
        self._answer(HTTPStatus.UNAUTHORIZED)
        return False

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
        if self.command == "HEAD":
            self._begin(HTTPStatus.OK, stored.file.size_bytes)
        elif view.failure is not None:
            self._answer(HTTPStatus.FORBIDDEN)
        else:
            view.meter.read(stored)
            self._content(stored)

    def _content(self, stored: StoredFile) -> None:
        """Send a file; what fails before the first byte is an answer, later it is a cut."""
        view = self.server.view
        self._begun = False
        try:
            stored = view.settled(stored)
            size = stored.file.size_bytes
            span = _span(self.headers.get("Range"), size)
            if span is None:
                headers = {"Content-Range": f"bytes */{size}"}
                self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
            else:
                self._send_span(stored, span)
        except NotFoundError:
            self._break_off(HTTPStatus.NOT_FOUND)
        except DamageError:
            # Only this file is bad: the view knows, and the others may well be needed.
            self._break_off(HTTPStatus.FORBIDDEN)
        except OrchestratorError as error:
            view.fail(error)
            self._break_off(HTTPStatus.FORBIDDEN)

    def _send_span(self, stored: StoredFile, span: _Span) -> None:
        view = self.server.view
        parts: Iterator[Region | bytes]
        parts = iter(view.content(stored, offset=span.first, length=span.length))
        for part in parts:
            length = part.length if isinstance(part, Region) else len(part)
            view.meter.sent(length)
            if not self._begun:
                self._begin_span(stored, span)
                self._begun = True
            if isinstance(part, Region):
                self._send_region(part)
            else:
                self.wfile.write(part)
        if not self._begun:  # an empty file
            self._begin_span(stored, span)

    def _send_region(self, region: Region) -> None:
        """Let the kernel send a part of a file: it never passes through this process."""
        done = 0
        while done < region.length:
            try:
                count = os.sendfile(
                    self.connection.fileno(),
                    region.descriptor,
                    region.offset + done,
                    region.length - done,
                )
            except ConnectionError:
                raise
            except OSError as error:
                raise EngineError(f"a file of the copy cannot be read: {error.strerror}") from error
            if count == 0:
                raise EngineError("a file of the copy became shorter while it was read")
            done += count

    def _break_off(self, status: HTTPStatus) -> None:
        self.close_connection = True
        if not self._begun:
            self._answer(status)

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
        if self.close_connection:
            self.send_header("Connection", "close")
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
