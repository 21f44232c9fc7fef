"""Functions hosts with an app of the test's own, and waiting for what other processes do."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from dev.stack.services import Host

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[2]


def until(
    condition: Callable[[], T | None], what: str | Callable[[], str], seconds: float = 15.0, interval: float = 0.05
) -> T:
    """Poll until the condition gives something true, and return that; fails the test at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what if isinstance(what, str) else what()}")
        time.sleep(interval)  # the state of another process can only be polled


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class AppHost(Host):
    """The local host with this app in it."""

    def __init__(self, directory: Path, source: str, host_json: Mapping[str, Any] | None = None) -> None:
        """Writes the app to `directory`/app."""
        self.app = directory / "app"
        self.app.mkdir()
        (self.app / "function_app.py").write_text(source, encoding="utf-8")
        if host_json is not None:
            (self.app / "host.json").write_text(json.dumps(host_json), encoding="utf-8")
        self.keys_file = directory / "keys.json"
        super().__init__(sys.executable, None, os.environ, directory, self.app)

    def run(self, **settings: str) -> Self:
        """Start it and wait until it is ready."""
        self.start(settings)
        self.wait()
        return self

    def functions(self) -> list[str]:
        """The functions that its ready line names."""
        names: list[str] = json.loads(self.service.output())["functions"]
        return names

    def log(self) -> str:
        """All that it wrote to stderr so far."""
        return self.service.log.read_text(encoding="utf-8")

    def wait_for_log(self, text: str) -> None:
        """Wait until a text is in the log."""
        until(lambda: text in self.log(), f"{text!r} in the host's log")

    def end(self, signal_number: int | None = None) -> int:
        """Wait for its end, after this signal; returns the exit code."""
        if signal_number is not None:
            self.service.process.send_signal(signal_number)
        return self.service.process.wait(15)
