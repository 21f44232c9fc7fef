"""A gateway before a service of Azure's, which hands its answers on, or puts faults in their place, byte for byte."""

import http.client
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import BinaryIO, Literal, NamedTuple
from urllib.parse import urlsplit

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""`SO_LINGER` on, zero seconds: closing sends a TCP reset instead of an orderly end."""
_HOP_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Answer(NamedTuple):
    """One HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Fault:
    """A fault of a request."""

    name: str
    how: Literal["refuse", "be silent", "cut the body", "answer", "disguise"]
    """The connection is refused; the request is never answered; the true answer is reset in the middle; another answer
    comes in its place; the true answer comes, changed."""
    answer: Callable[[Answer], Answer] = lambda true: true
    """From the true answer; one in its place is made from an empty one, and the service is not asked."""


class Request(NamedTuple):
    """A request that came."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names are in lower case."""
    body: bytes


class Served(NamedTuple):
    """A request and what became of it."""

    kind: str
    request: Request
    fault: str | None
    """Its name; None where the true answer was handed on."""
    status: int | None
    """None where no status was sent."""


@dataclass(eq=False)
class Gateway:
    """Serves on a port of 127.0.0.1, with TLS where it has a context. One fault at a time, for one kind of request."""

    service: str
    """URL of the service behind it, without a path."""
    kind_of: Callable[[Request], str]
    context: ssl.SSLContext | None = None
    service_context: ssl.SSLContext | None = None
    """Verifies the certificate of the service."""
    rewrite: Callable[[Answer], Answer] = lambda answer: answer
    """Makes the URLs in an answer lead through gateways."""
    served: list[Served] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._fault: tuple[str, Fault] | None = None
        self._ended = Event()
        self._connections: set[socket.socket] = set()
        self._lock = Lock()
        self._listener: socket.socket | None = None
        self._listen(0)

    @property
    def url(self) -> str:
        """Without a path."""
        return f"{'https' if self.context else 'http'}://localhost:{self.port}"

    @contextmanager
    def fault(self, kind: str, fault: Fault) -> Iterator[None]:
        """As long as this lasts, requests of this kind meet the fault; a refusal is for all of them."""
        self._fault, self._ended = (kind, fault), Event()
        if fault.how == "refuse":
            self.close()
        try:
            yield
        finally:
            self._fault = None
            self._ended.set()
            if fault.how == "refuse":
                self._listen(self.port)

    def close(self) -> None:
        """Refuse connections, and reset those that there are."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for connection in self._connections:
                _reset(connection)
            self._connections.clear()

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self._listener.getsockname()[1]
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError, http.client.HTTPException):
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with self._lock:
                self._connections.add(connection)
            with closing(self._connect()) as behind, connection, connection.makefile("rb") as stream:
                while (request := _read(stream)) and self._answer(request, connection, behind):
                    pass
        with self._lock:
            self._connections.discard(connection)

    def _connect(self) -> http.client.HTTPConnection:
        address = urlsplit(self.service).netloc
        if self.service_context:
            return http.client.HTTPSConnection(address, context=self.service_context)
        return http.client.HTTPConnection(address)

    def _answer(self, request: Request, connection: socket.socket, behind: http.client.HTTPConnection) -> bool:
        """Answer it; False where the connection is over."""
        kind, armed, ended = self.kind_of(request), self._fault, self._ended
        fault = armed[1] if armed and armed[0] == kind else None
        if fault is None:
            answer = self._true_answer(request, behind)
            self.served.append(Served(kind, request, None, answer.status))
            connection.sendall(_bytes(request, answer))
            return True
        if fault.how == "be silent":
            self.served.append(Served(kind, request, fault.name, None))
            ended.wait()
            return False
        true = Answer(0, {}, b"") if fault.how == "answer" else self._true_answer(request, behind)
        answer = fault.answer(true)
        self.served.append(Served(kind, request, fault.name, answer.status))
        if fault.how != "cut the body":
            connection.sendall(_bytes(request, answer))
            return True
        whole = Answer(answer.status, answer.headers, answer.body + b" " * 100)
        connection.sendall(_bytes(request, whole)[:-80])
        _reset(connection)
        return False

    def _true_answer(self, request: Request, behind: http.client.HTTPConnection) -> Answer:
        behind.request(request.method, request.target, request.body, dict(request.headers))
        response = behind.getresponse()
        headers = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_HEADERS}
        return self.rewrite(Answer(response.status, headers, response.read()))


def _read(stream: BinaryIO) -> Request | None:
    method, _, rest = stream.readline().decode("latin-1").partition(" ")
    if not method.strip():
        return None
    headers: dict[str, str] = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, rest.rpartition(" ")[0], headers, stream.read(int(headers.get("content-length", 0))))


def _bytes(request: Request, answer: Answer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    lines.append(f"Content-Length: {len(answer.body)}")
    has_body = request.method != "HEAD" and answer.status != 204
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (answer.body if has_body else b"")


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        # Unlike close, it does not wait for another thread that reads from the connection.
        connection.shutdown(socket.SHUT_RD)
    with suppress(OSError):
        connection.close()
