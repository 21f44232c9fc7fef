"""The triggers, invoker and outputs of an app's functions, put together and run until a signal comes."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from typing import TextIO

import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dev.functions_host.bindings import LocalFunction
from dev.functions_host.event_grid import EventGridWebhook
from dev.functions_host.http_trigger import HttpTriggers
from dev.functions_host.invoker import Invoker
from dev.functions_host.queue_client import Queues
from dev.functions_host.queue_trigger import QueueListener, QueueOutputs, SharedQueueWatcher, poison_queue_name
from dev.functions_host.routes import http_routes
from dev.functions_host.settings import HostSettings, Keys, thread_count
from dev.functions_host.timers import Timer

_logger = logging.getLogger("Host")
DRAIN_TIMEOUT = 5.0
"""Seconds that running invocations get when the host stops."""
_WEBHOOK_PATH = "/runtime/webhooks/eventgrid"


class FunctionsHost:
    """Composes triggers, invoker and outputs for a set of functions."""

    def __init__(self, functions: Sequence[LocalFunction], settings: HostSettings, keys: Keys) -> None:
        """Raises ConfigurationError when a trigger cannot be set up."""
        self._settings = settings
        self._queues = Queues()
        self._watcher = SharedQueueWatcher()
        self._invoker = Invoker(QueueOutputs(self._queues, self._watcher).send, thread_count(os.environ))
        self._functions = functions
        self._listeners = [self._listener(each) for each in functions if each.trigger.type == "queueTrigger"]
        self._timers = [Timer(each, self._invoker) for each in functions if each.trigger.type == "timerTrigger"]
        self._http = HttpTriggers(http_routes(functions, settings.http.route_prefix.strip("/")), keys, self._invoker)
        self._webhook = EventGridWebhook(functions, keys, self._invoker)

    def _listener(self, function: LocalFunction) -> QueueListener:
        properties = function.trigger.properties
        connection, name = str(properties["connection"]), str(properties["queueName"])
        queue, poison = self._queues.open(connection, name), poison_queue_name(name)
        return QueueListener(
            function,
            queue,
            self._queues.open(connection, poison) if poison else None,
            self._settings.queues,
            self._invoker,
            self._watcher,
        )

    async def web_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: the Event Grid webhook, whose path the real host knows in any casing, and the HTTP functions."""
        trigger = self._webhook if scope["path"].lower() == _WEBHOOK_PATH else self._http
        response = await trigger.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def run(self, listener: socket.socket, announce: TextIO) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code, 1 when a trigger broke down."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        config = uvicorn.Config(self.web_app, interface="asgi3", log_config=None, access_log=False, lifespan="off")
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        listening = [asyncio.create_task(each.run(), name="queue") for each in self._listeners]
        timing = [asyncio.create_task(each.run(), name="timer") for each in self._timers]
        triggers = [serving, *listening, *timing]
        if not serving.done():
            self._announce(announce, listener)
        await asyncio.wait([*triggers, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        broken = [task for task in triggers if task.done()]
        for task in broken:
            _logger.critical("The %s trigger broke down.", task.get_name(), exc_info=task.exception())
        await self._shut_down(server, listening, triggers)
        return 1 if broken else 0

    def _announce(self, announce: TextIO, listener: socket.socket) -> None:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        line = {"ready": True, "url": url, "functions": [function.name for function in self._functions]}
        print(json.dumps(line), file=announce, flush=True)

    async def _shut_down(
        self, server: uvicorn.Server, listening: Sequence[asyncio.Task[None]], triggers: Sequence[asyncio.Task[None]]
    ) -> None:
        _logger.info("Stopping: no new invocations, %.0f s for running ones.", DRAIN_TIMEOUT)
        server.should_exit = True
        for task in listening:
            task.cancel()
        left = await self._invoker.drain(DRAIN_TIMEOUT)
        if left:
            _logger.warning("%d invocations were still running and are abandoned.", left)
            server.force_exit = True
        for task in triggers:
            task.cancel()
        await asyncio.wait(triggers, timeout=1)
        for listener in self._listeners:
            await listener.stop()
        self._queues.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the host: it stops its triggers before the server."""
        yield
