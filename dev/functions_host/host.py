"""The triggers, invoker and outputs of an app's functions, put together and run until a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route as Endpoint

from dev.functions_host.bindings import FunctionLoadError, LocalFunction, index_app, load_function
from dev.functions_host.event_grid import EventGridWebhook
from dev.functions_host.http_trigger import HttpTriggers
from dev.functions_host.invoker import Invoker
from dev.functions_host.queue_client import Queues
from dev.functions_host.queue_trigger import Nudges, QueueOutputs, QueuePump, poison_queue_name
from dev.functions_host.routes import http_routes
from dev.functions_host.settings import (
    ConfigurationError,
    HostSettings,
    Keys,
    storage_connection,
)
from dev.functions_host.timers import Timer, TimerStatuses

_logger = logging.getLogger("Host")
DRAIN_SECONDS = 5.0
_METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "QUERY"]


class _Anything(PathConvertor):
    """Any path; Starlette's own convertor takes none with a line break in it, and answers 404 itself."""

    regex = r"[\s\S]*"


register_url_convertor("anything", _Anything())


class FunctionsHost:
    """Composes triggers, invoker and outputs for a set of functions."""

    def __init__(
        self, functions: Sequence[LocalFunction], settings: HostSettings, keys: Keys, statuses: TimerStatuses
    ) -> None:
        """Functions whose trigger cannot be set up are logged as in error and left out, as in Azure."""
        self._settings = settings
        self._queues = Queues()
        self._nudges = Nudges()
        outputs = QueueOutputs(self._queues, settings.queues, self._nudges, os.environ)
        self._invoker = Invoker(_thread_count(os.environ), outputs.send)
        self._pumps: list[QueuePump] = []
        self._timers: list[Timer] = []
        self.functions = [function for function in functions if self._set_up(function, statuses)]
        self._http = HttpTriggers(http_routes(self.functions, settings.route_prefix), keys, self._invoker)
        self._webhook = EventGridWebhook(self.functions, keys, self._invoker)

    def _set_up(self, function: LocalFunction, statuses: TimerStatuses) -> bool:
        with _in_error(function.name) as attempt:
            for port in (*function.outputs.values(), function.returns):
                if port is not None and port.type == "queue":
                    storage_connection(str(port.properties["connection"]), os.environ)
            if function.trigger.type == "queueTrigger":
                self._pumps.append(self._pump(function))
            elif function.trigger.type == "timerTrigger":
                self._timers.append(Timer(function, self._invoker, statuses))
        return attempt.succeeded

    def _pump(self, function: LocalFunction) -> QueuePump:
        properties = function.trigger.properties
        connection = storage_connection(str(properties["connection"]), os.environ)
        name = str(properties["queueName"])
        poison = poison_queue_name(name)
        return QueuePump(
            function,
            self._queues.open(connection, name),
            self._queues.open(connection, poison) if poison else None,
            self._settings.queues,
            self._invoker,
            self._nudges,
        )

    def web_app(self) -> Starlette:
        """The Event Grid webhook, and the HTTP functions everywhere else."""
        path = "/runtime/webhooks/{extension}"
        webhook = Endpoint(path, self._webhook.endpoint, methods=["POST", "OPTIONS"])
        everything = Endpoint("/{path:anything}", self._http.endpoint, methods=_METHODS)
        return Starlette(routes=[webhook, everything])

    async def run(self, listener: socket.socket, announce: TextIO, keys_to_show: Keys | None) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code, 1 when a trigger broke down."""
        stop = _stop_on_signals()
        server = _Server(uvicorn.Config(self.web_app(), log_config=None, access_log=False, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        triggers = [serving, *self._start_triggers()]
        if not serving.done():
            _announce(announce, listener, self.functions, keys_to_show)
        await asyncio.wait([*triggers, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        broken = [task for task in triggers if task.done()]
        for task in broken:
            _logger.critical("The %s trigger broke down.", task.get_name(), exc_info=task.exception())
        await self._shut_down(server, triggers)
        return 1 if broken else 0

    def _start_triggers(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(trigger.run(), name="queue") for trigger in self._pumps] + [
            asyncio.create_task(trigger.run(), name="timer") for trigger in self._timers
        ]

    async def _shut_down(self, server: uvicorn.Server, triggers: Sequence[asyncio.Task[None]]) -> None:
        _logger.info("Stopping: no new invocations, %.0f s for running ones.", DRAIN_SECONDS)
        server.should_exit = True
        pumps = [task for task in triggers if task.get_name() == "queue"]
        for task in pumps:
            task.cancel()
        left = await self._invoker.drain(DRAIN_SECONDS)
        if left:
            _logger.warning("%d invocations were still running and are abandoned.", left)
            server.force_exit = True
        for task in triggers:
            task.cancel()
        await asyncio.wait(triggers, timeout=1)
        for pump in self._pumps:
            await pump.stop()
        self._queues.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the host: it stops its triggers before the server."""
        yield


@dataclass
class _Attempt:
    succeeded: bool = False


@contextlib.contextmanager
def _in_error(function: str) -> Iterator[_Attempt]:
    """Log a ConfigurationError the way the real host does and go on without the function."""
    attempt = _Attempt()
    try:
        yield attempt
        attempt.succeeded = True
    except ConfigurationError as error:
        _logger.error("The '%s' function is in error: %s", function, error)


def load_functions(environment: Mapping[str, str]) -> list[LocalFunction]:
    """Import function_app and load its functions; raises FunctionLoadError as Azure's worker would.

    Left out: functions disabled by `AzureWebJobs.NAME.Disabled`, and those whose %SETTING% is not set.
    """
    loaded = []
    for function in index_app():
        name = str(function.get_function_name())
        if environment.get(f"AzureWebJobs.{name}.Disabled", "").lower() in ("1", "true"):
            _logger.info("Function %s is disabled", name)
            continue
        try:
            loaded.append(load_function(function, environment))
        except FunctionLoadError:
            raise
        except ConfigurationError as error:
            _logger.error("The '%s' function is in error: %s", name, error)
    return loaded


def _thread_count(environment: Mapping[str, str]) -> int | None:
    text = environment.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        _logger.warning("PYTHON_THREADPOOL_THREAD_COUNT must be a whole number from 1; using the default.")
        return None
    return int(text)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    return stop


def _announce(announce: TextIO, listener: socket.socket, functions: Sequence[LocalFunction], keys: Keys | None) -> None:
    line: dict[str, object] = {
        "ready": True,
        "url": f"http://127.0.0.1:{listener.getsockname()[1]}",
        "functions": [function.name for function in functions],
    }
    if keys is not None:
        line["keys"] = keys.as_json()
    print(json.dumps(line), file=announce, flush=True)
