"""A proxy between the product and a real S3 server that does what bad networks and servers do.

It forwards requests as they are (the signature covers the Host header, which is passed on), keeps
a record of them, and asks a script what to do with each.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body_bytes: int


@dataclass(frozen=True)
class Answer:
    """Answer in the server's place."""

    status: int
    code: str


@dataclass(frozen=True)
class Silence:
    """Take the request and never answer."""


@dataclass(frozen=True)
class HangUp:
    """Close the connection; after the server has done the work if `late`."""

    late: bool = False


@dataclass(frozen=True)
class Cut:
    """Pass on so many bytes of the answer's body, then close the connection."""

    after_bytes: int


@dataclass(frozen=True)
class Unlock:
    """Forget the lock that an upload asks for, as some servers do with multipart uploads."""

    sign: Callable[[str, str, bytes, dict[str, str]], dict[str, str]]


Fault = Answer | Silence | HangUp | Cut | Unlock
Script = Callable[[Seen], Fault | None]


class FaultyNetwork:
    """The proxy; a context manager.

    Args:
        upstream: ``http://host:port`` of the real server.
        script: What to do with each request; None = pass it on.
    """

    def __init__(self, upstream: str, script: Script | None = None) -> None:
        self.upstream = urlsplit(upstream)
        self.script = script or (lambda seen: None)
        self.seen: list[Seen] = []
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        network = self

        class Handler(_Handler):
            proxy = network

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def count(self, method: str) -> int:
        return sum(one.method == method for one in self.seen)

    def __enter__(self) -> FaultyNetwork:
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        with self.lock:
            for connection in self.open:
                connection.shutdown(socket.SHUT_RDWR)
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every small answer waits 40 ms
    wbufsize = 1 << 16
    proxy: FaultyNetwork

    def setup(self) -> None:
        super().setup()
        with self.proxy.lock:
            self.proxy.open.add(self.connection)

    def finish(self) -> None:
        with self.proxy.lock:
            self.proxy.open.discard(self.connection)
        super().finish()

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name != "Expect"}
        with self.proxy.lock:
            number = len(self.proxy.seen)
            lowered = {name.lower(): value for name, value in headers.items()}
            seen = Seen(number, self.command, self.path, lowered, len(body))
            self.proxy.seen.append(seen)
        fault = self.proxy.script(seen)
        if isinstance(fault, Silence):
            self.proxy.ended.wait()
        if isinstance(fault, Silence) or fault == HangUp():
            self.close_connection = True
        elif isinstance(fault, Answer):
            text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code></Error>".encode()
            self._reply(fault.status, {"Content-Type": "application/xml"}, text)
        else:
            self._forward(headers, body, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def _forward(self, headers: dict[str, str], body: bytes, fault: Fault | None) -> None:
        if isinstance(fault, Unlock):
            headers = fault.sign(self.command, self.path, body, headers)
        upstream = self.proxy.upstream
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=20)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            passed = dict(answer.getheaders())
        finally:
            connection.close()
        if isinstance(fault, HangUp):
            self.close_connection = True
            return
        if isinstance(fault, Cut):
            self._reply(answer.status, passed, content[: fault.after_bytes])
            self.close_connection = True
            return
        self._reply(answer.status, passed, content)

    def _reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        passed = {name.lower(): value for name, value in headers.items()}
        passed.pop("transfer-encoding", None)
        passed.setdefault("content-length", str(len(content)))
        for name, value in passed.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
