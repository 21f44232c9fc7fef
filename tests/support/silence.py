"""Servers that are there and do not answer, and storage that is too busy to."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def unreachable_port() -> Iterator[int]:
    """A port that takes no further connection: those in its queue are never accepted, so that it is full."""
    with ExitStack() as connections, socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        for _ in range(4):
            waiting = connections.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


class BusyStorage(ThreadingHTTPServer):
    """Table storage behind a door that can be shut: then it answers as Azure does when it throttles.

    Source: "Table Storage error codes": 503 `ServerBusy`, when a partition is asked for too much.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        """In front of the table storage on this port."""
        super().__init__(("127.0.0.1", 0), _Door)
        self.port = port
        self.refusals = 0
        """How many requests are refused from now on."""


class _Door(BaseHTTPRequestHandler):
    server: BusyStorage
    protocol_version = "HTTP/1.1"
    _HOP: ClassVar = {"connection", "keep-alive", "transfer-encoding", "content-length"}

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.refusals > 0:
            self.server.refusals -= 1
            self._answer(503, {"x-ms-error-code": "ServerBusy"}, b'{"odata.error":{"code":"ServerBusy"}}')
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.server.port)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in self._HOP}
        self._answer(answer.status, kept, answer.read())
        behind.close()

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 # as http.server looks for them

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def busy_storage(port: int) -> Iterator[BusyStorage]:
    """The door, open at first."""
    with BusyStorage(port) as server:
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()
