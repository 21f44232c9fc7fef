"""A local Azure Functions host: `python -m dev.host --app DIR --port 0 [--keys FILE]`.

Runs DIR/function_app.py unmodified where Core Tools (`func`) are not installed: HTTP, Event Grid, queue and
timer triggers, HTTP and queue outputs. When it serves, one JSON line goes to stdout:
`{"ready": true, "url": "http://127.0.0.1:PORT", "functions": [...]}` (with `keys` when no file was given).
SIGTERM and Ctrl-C stop the triggers, wait up to five seconds for running invocations and exit with 0.

Differences from Azure, each told where it is made: no singleton lease for timers (host_timers), the end of
an invocation is written down through an outage of storage (host_queues), no function time-out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import Route as Endpoint

from dev.host_bindings import FunctionLoadError, LocalFunction, index_app, load_function
from dev.host_eventgrid import EventGridWebhook
from dev.host_http import HttpTriggers
from dev.host_invocations import Invoker
from dev.host_logging import configure_logging, reserve_stdout
from dev.host_queues import Nudges, QueueOutputs, QueuePump, poison_queue_name
from dev.host_routes import http_routes
from dev.host_settings import (
    ConfigurationError,
    HostSettings,
    Keys,
    apply_local_settings,
    load_keys,
    read_host_settings,
    storage_connection,
)
from dev.host_storage import Queues
from dev.host_timers import Timer, TimerStatuses

_logger = logging.getLogger("Host")
DRAIN_SECONDS = 5.0
_METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "QUERY"]


class _Anything(PathConvertor):
    """Any path; Starlette's own convertor takes none with a line break in it, and answers 404 itself."""

    regex = r"[\s\S]*"


register_url_convertor("anything", _Anything())


@dataclass(frozen=True)
class HostOptions:
    """The command line, paths made absolute before the working directory changes."""

    app: Path
    port: int
    keys: Path | None


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


def _options(arguments: Sequence[str] | None) -> HostOptions:
    parser = argparse.ArgumentParser(prog="python -m dev.host", description="Local Azure Functions host")
    parser.add_argument("--app", type=Path, default=Path.cwd(), help="directory of function_app.py")
    parser.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--keys", type=Path, help="JSON file with the access keys; created when missing")
    given = parser.parse_args(arguments)
    keys = given.keys.resolve() if given.keys is not None else None
    return HostOptions(given.app.resolve(), given.port, keys)


def _listen(port: int) -> socket.socket:
    # Named TCP, asyncio turns Nagle's algorithm off; else each answer waits 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the host; returns the exit code: 0 stopped, 1 the app or the host could not run."""
    options = _options(arguments)
    announce = reserve_stdout()
    try:
        settings = read_host_settings(options.app)
        configure_logging(settings.log_levels)
        apply_local_settings(options.app, os.environ)
        keys = load_keys(options.keys)
        # As in the real worker: the app's directory is the first to import from, and the working directory.
        os.chdir(options.app)
        sys.path.insert(0, str(options.app))
        functions = load_functions(os.environ)
        listener = _listen(options.port)
    except Exception:
        # The app's own code runs here, so anything may come; basicConfig is a no-op when it is done already.
        configure_logging({})
        _logger.critical("The host could not start.", exc_info=True)
        return 1
    statuses = TimerStatuses(options.keys.with_name("timers.json") if options.keys is not None else None)
    host = FunctionsHost(functions, settings, keys, statuses)
    return asyncio.run(host.run(listener, announce, None if options.keys is not None else keys))


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    # Threads of abandoned invocations would keep the interpreter from ending.
    os._exit(code)
