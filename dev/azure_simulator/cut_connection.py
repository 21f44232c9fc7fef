"""TCP resets in place of a response."""

import asyncio
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""`SO_LINGER` on, zero seconds: closing sends a TCP reset instead of an orderly end."""

_open: dict[tuple[str, int], asyncio.Transport] = {}
"""Transports by the client's address: ASGI itself gives an application no way to cut its connection."""


class CuttableHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also remembers its transport so that `CutConnection` can find it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio's BaseTransport, narrowed by uvicorn
        """Remember the transport of a connection that opens."""
        super().connection_made(transport)
        if self.client:
            _open[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport of a connection that is closed."""
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
    """No response: the connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset the connection that the request came on."""
        transport = _open[scope["client"]]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
        # Until the connection is seen as lost, returning without a response would be answered with a 500.
        while (await receive())["type"] != "http.disconnect":
            pass
