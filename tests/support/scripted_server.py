"""A small HTTP server that gives scripted answers, byte for byte, whatever it is asked."""

import gzip
import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

Answer = dict[str, Any]
"""`status`, and optionally: `headers`; `body` (any JSON value) or `text`; `gzip`: the body is compressed; `cut`: the
connection ends that many bytes before the body does."""


class ScriptedServer(ThreadingTCPServer):
    """Gives one answer after the other, the last one for ever; each connection gets one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """With a context it speaks https."""
        super().__init__(("127.0.0.1", 0), _Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.answers: Sequence[Answer] = ()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, target and headers (names in lower case) of each request that came."""

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self.server_address[1])

    def script(self, answers: Sequence[Answer]) -> None:
        """Begin anew with these answers."""
        self.answers = answers
        self.requests.clear()

    def handle_error(self, request: object, client_address: object) -> None:
        """Left to the test: a client may hang up."""


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, ScriptedServer)
        method, target, _ = self.rfile.readline().decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        self.rfile.read(int(headers.get("content-length", 0)))
        answer = server.answers[min(len(server.requests), len(server.answers) - 1)]
        server.requests.append((method, target, headers))
        self.wfile.write(_bytes(answer))


def _bytes(answer: Answer) -> bytes:
    text = json.dumps(answer["body"]) if "body" in answer else answer.get("text", "")
    body = text.encode("utf-8", "surrogatepass")
    headers = {"Content-Type": "application/json; charset=utf-8", "Connection": "close", **answer.get("headers", {})}
    if answer.get("gzip"):
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    headers.setdefault("Content-Length", str(len(body)))
    lines = [f"HTTP/1.1 {answer['status']} {answer.get('reason', 'Reason')}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body[: len(body) - answer.get("cut", 0)]


@contextmanager
def scripted_server(context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """One that runs."""
    with ScriptedServer(context) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
