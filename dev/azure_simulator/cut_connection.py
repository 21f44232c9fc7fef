"""Answers that are no answers: connections that are cut before the response."""

import asyncio
import socket
import struct
import sys

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""`SO_LINGER` on, zero seconds: closing sends a TCP reset instead of an orderly end."""

_open: dict[tuple[str, int], asyncio.Transport] = {}
"""Transports by the client's address: ASGI itself gives an application no way to cut its connection."""


class CuttableHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also remembers its transport so that `CutConnection` can find it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in the base class
        """A connection is open."""
        super().connection_made(transport)
        if self.client:
            _open[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection is gone."""
        if self.client:
            _open.pop(self.client, None)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends: an idle connection goes at once, a busy one after its answer."""
        super().shutdown()
        if self.cycle is None or self.cycle.response_complete:
            # The orderly end of TLS would wait for clients that do not read any more.
            self.transport.abort()


class CutConnection(Response):
    """Stays silent for so many seconds, then resets the connection."""

    def __init__(self, after_seconds: float) -> None:
        """`after_seconds` 0 resets at once."""
        super().__init__()
        self._after_seconds = after_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the time, or for the client to give up, whichever is first; then cut."""
        try:
            async with asyncio.timeout(self._after_seconds):
                await _gone(receive)
        except TimeoutError:
            _reset(scope["client"])
            # Until the connection is seen as lost, returning without a response would be answered with a 500.
            await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _reset(client: tuple[str, int]) -> None:
    transport = _open.get(client)
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
