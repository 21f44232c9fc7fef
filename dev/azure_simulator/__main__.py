"""A local Azure: `python -m dev.azure_simulator --port 0 --directory DIR`.

Serves the app's Azure on one https port: Azure Resource Manager for Backup vaults with Resource Graph, the managed
identity endpoint, an Event Grid topic, and the control plane `/_simulator/...` that sets up instances and faults
and lists the requests that came. The certificate is signed by a throw-away CA in DIR.

When it serves, one JSON line goes to stdout, and nothing else ever does:
`{"ready": true, "url", "ca", "identityEndpoint", "identityHeader", "topicEndpoint"}`. SIGTERM and Ctrl-C end
it with exit code 0.
"""

import argparse
import asyncio
import errno
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dev.azure_simulator.arm import Arm
from dev.azure_simulator.certificates import server_certificate
from dev.azure_simulator.control_plane import Simulation, control_routes
from dev.azure_simulator.cut_connection import CutConnection, CuttableHttpProtocol
from dev.azure_simulator.request_log import RequestLog

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_IDLE_CONNECTION_TIMEOUT = 120
_SHUTDOWN_TIMEOUT = 1

Handler = Callable[[Request, bytes], Awaitable[tuple[str, Response]]]
"""Returns the kind of the request, for the request log, and the response."""


def create_app(simulation: Simulation) -> Starlette:
    """The simulated Azure as an ASGI application."""
    vaults, log = simulation.vaults, simulation.request_log
    arm = Arm(vaults, simulation.identity, simulation.data_protection, simulation.graph, simulation.throttling)

    async def token(request: Request, body: bytes) -> tuple[str, Response]:
        await asyncio.sleep(vaults.behaviour(None).latency_seconds)
        return "token", simulation.identity.answer(request)

    async def publish(request: Request, body: bytes) -> tuple[str, Response]:
        await asyncio.sleep(vaults.behaviour(None).latency_seconds)
        return "topic", simulation.topics.publish(request.path_params["name"], request, body)

    return Starlette(
        routes=[
            *control_routes(simulation),
            _logged("/msi/token", ["GET"], token, log),
            _logged("/topics/{name}/api/events", ["POST"], publish, log),
            # ARM's paths are matched there, in any casing.
            _logged("/{path:path}", _METHODS, arm.answer, log),
        ]
    )


def _logged(path: str, methods: list[str], handler: Handler, log: RequestLog) -> Route:
    async def endpoint(request: Request) -> Response:
        at = time.time()
        body = await request.body()
        kind, response = await handler(request, body)
        status = None if isinstance(response, CutConnection) else response.status_code
        log.add(kind, at, request, body, status)
        return response

    return Route(path, endpoint, methods=methods)


class _AnnouncingServer(uvicorn.Server):
    """Prints the ready line on stdout as soon as it serves."""

    def __init__(self, config: uvicorn.Config, announcement: dict[str, object]) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            print(json.dumps(self._announcement), flush=True)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    arguments = _arguments()
    for stop in (signal.SIGTERM, signal.SIGINT):
        # uvicorn takes these over while it serves, and hands the signal on to us when it has ended.
        signal.signal(stop, _exit)
    level = logging.INFO if arguments.access_log else logging.WARNING
    logging.basicConfig(stream=sys.stderr, level=level, format="[%(asctime)s] %(levelname)s %(name)s: %(message)s")
    directory: Path = arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    ca, certificate = server_certificate(directory)
    sockets = _listen(arguments.port)
    url = f"https://localhost:{sockets[0].getsockname()[1]}"
    simulation = Simulation(url)
    config = uvicorn.Config(
        create_app(simulation),
        http=CuttableHttpProtocol,
        ws="none",
        lifespan="off",
        ssl_certfile=certificate,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_IDLE_CONNECTION_TIMEOUT,
        timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT,
    )
    announcement: dict[str, object] = {
        "ready": True,
        "url": url,
        "ca": str(ca),
        "identityEndpoint": f"{url}/msi/token",
        "identityHeader": simulation.identity.header,
        "topicEndpoint": f"{url}/topics/outcomes/api/events",
    }
    _AnnouncingServer(config, announcement).run(sockets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.azure_simulator", description="A local Azure.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="for the certificates; made if missing")
    parser.add_argument("--access-log", action="store_true", help="one line for each request on stderr")
    return parser.parse_args()


def _listen(port: int) -> list[socket.socket]:
    """Sockets on one port of 127.0.0.1 and, where the machine has it, ::1: `localhost` can mean either."""
    first = _bind(socket.AF_INET, "127.0.0.1", port)
    try:
        return [first, _bind(socket.AF_INET6, "::1", first.getsockname()[1])]
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return [first]
        first.close()
        if port:
            raise
        return _listen(port)


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    # Only where the protocol is named does asyncio turn off Nagle's algorithm, which costs 40 ms an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _exit(signal_number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
