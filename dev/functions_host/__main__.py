"""A local Azure Functions host: `python -m dev.functions_host --app DIR --port 0 [--keys FILE]`.

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
import logging
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.functions_host.host import FunctionsHost, load_functions
from dev.functions_host.host_log import configure_logging, reserve_stdout
from dev.functions_host.settings import apply_local_settings, load_keys, read_host_settings
from dev.functions_host.timers import TimerStatuses

_logger = logging.getLogger("Host")


@dataclass(frozen=True)
class HostOptions:
    """The command line, paths made absolute before the working directory changes."""

    app: Path
    port: int
    keys: Path | None


def _options(arguments: Sequence[str] | None) -> HostOptions:
    parser = argparse.ArgumentParser(prog="python -m dev.functions_host", description="Local Azure Functions host")
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
