"""The log of the requests to the simulated Azure, without their secrets."""

import json
import logging
from collections import deque
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from starlette.requests import Request

from dev.azure_simulator.behaviour import Json

_log = logging.getLogger("azure_simulator")
_MAX_ENTRIES = 100_000
_MAX_QUERY_CHARS = 500
"""Kept: that of an operation URL is 3 kB of signature."""
_SECRET_HEADERS = frozenset({"x-identity-header", "aeg-sas-key", "aeg-sas-token"})


class _Entry(NamedTuple):
    # Raw parts: most entries of a load test are never read, so they are only put into words on demand.
    n: int
    at: float
    kind: str
    method: str
    path: str
    query: str
    status: int | None
    headers: list[tuple[bytes, bytes]]
    body: bytes


class RequestLog:
    """The last 100,000 requests, numbered from 0 in the order in which they were answered."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all, and number from 0 again."""
        self._entries: deque[_Entry] = deque(maxlen=_MAX_ENTRIES)
        self._next = 0

    def add(self, kind: str, at: float, request: Request, body: bytes, status: int | None) -> None:
        """Add a request that came at this second since 1970; `status` is None if it gets no answer."""
        path, query = request.scope["path"], request.scope["query_string"][:_MAX_QUERY_CHARS].decode("latin-1")
        headers = request.headers.raw
        entry = _Entry(self._next, at, kind, request.method, path, query, status, headers, body)
        self._entries.append(entry)
        self._next += 1
        _log.info("%s %s %s -> %s", kind, request.method, path, status)

    def since(self, n: int) -> Json:
        """`{"next": M, "requests": [...]}`: the requests numbered n and up; M asks for the rest."""
        oldest = self._next - len(self._entries)
        return {
            "next": self._next,
            "requests": [_show(entry) for entry in islice(self._entries, max(0, n - oldest), None)],
        }


def _show(entry: _Entry) -> Json:
    return {
        "n": entry.n,
        "at": datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "kind": entry.kind,
        "method": entry.method,
        "path": entry.path,
        "query": entry.query,
        "status": entry.status,
        "headers": dict(_show_header(name.decode("latin-1"), text.decode("latin-1")) for name, text in entry.headers),
        "body": _show_body(entry.body),
    }


def _show_header(name: str, text: str) -> tuple[str, str]:
    if name == "authorization":
        # That there was a bearer token is worth knowing; whatever else it was is not shown.
        return name, "Bearer <redacted>" if text.lower().startswith("bearer ") else "<redacted>"
    return name, "<redacted>" if name in _SECRET_HEADERS else text


def _show_body(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
