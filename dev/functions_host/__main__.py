"""A local Azure Functions host: `python -m dev.functions_host --app DIR --port 0 --keys FILE`.

Runs DIR/function_app.py unmodified where Core Tools (`func`) are not installed: HTTP, Event Grid, queue and
timer triggers, HTTP and queue outputs. When it serves, one JSON line goes to stdout:
`{"ready": true, "url": "http://127.0.0.1:PORT", "functions": [...]}`.
SIGTERM and Ctrl-C stop the triggers, wait up to five seconds for running invocations and exit with 0.

Differences from Azure are listed in timers.py and queue_trigger.py; and there is no function time-out.
"""

import argparse
import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

from dev.functions_host.bindings import load_functions
from dev.functions_host.host import FunctionsHost
from dev.functions_host.host_log import configure_logging, reserve_stdout
from dev.functions_host.settings import apply_local_settings, load_keys, read_host_settings

_logger = logging.getLogger("Host")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.functions_host", description="Local Azure Functions host")
    parser.add_argument("--app", type=Path, default=Path.cwd(), help="directory of function_app.py")
    parser.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--keys", type=Path, required=True, help="JSON file with the access keys; created when missing")
    return parser.parse_args()


def _listen(port: int) -> socket.socket:
    # Named TCP, asyncio turns Nagle's algorithm off; else each answer waits 40 ms for the client's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def main() -> int:
    """Run the host; returns the exit code: 0 stopped, 1 the app or the host could not run."""
    options = _options()
    announce = reserve_stdout()
    configure_logging()
    try:
        app = options.app.resolve()
        settings, keys = read_host_settings(app), load_keys(options.keys.resolve())
        apply_local_settings(app, os.environ)
        # As in the real worker: the app's directory is the first to import from, and the working directory.
        os.chdir(app)
        sys.path.insert(0, str(app))
        host = FunctionsHost(load_functions(), settings, keys)
        listener = _listen(options.port)
    except Exception:
        # The app's own code runs here, so anything may come.
        _logger.critical("The host could not start.", exc_info=True)
        return 1
    return asyncio.run(host.run(listener, announce))


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    # Threads of abandoned invocations would keep the interpreter from ending.
    os._exit(code)
