"""The host processes that host tests start, each ended by the test that started it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[3]


def until(condition: Callable[[], T], what: str, seconds: float = 15.0) -> T:
    """Poll until the condition gives something true, and return that; fails the test at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        threading.Event().wait(0.05)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Host:
    """A host process with an app of the test's own."""

    def __init__(self, directory: Path, source: str, host_json: Mapping[str, Any] | None = None) -> None:
        """Writes the app to `directory`/app."""
        self.app = directory / "app"
        self.app.mkdir()
        (self.app / "function_app.py").write_text(source, encoding="utf-8")
        if host_json is not None:
            (self.app / "host.json").write_text(json.dumps(host_json), encoding="utf-8")
        self.keys_file = directory / "keys.json"
        self._log_file = directory / "host.log"
        self._process: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}

    def launch(self, environment: Mapping[str, str] | None = None, *, keys: bool = True) -> None:
        """Start the process without waiting for it."""
        command = [sys.executable, "-m", "dev.functions_host", "--app", str(self.app), "--port", "0"]
        if keys:
            command += ["--keys", str(self.keys_file)]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={**os.environ, **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def start(self, environment: Mapping[str, str] | None = None, *, keys: bool = True) -> Host:
        """Start the process and read its ready line."""
        self.launch(environment, keys=keys)
        assert self._process is not None
        assert self._process.stdout is not None
        # A host that neither gets ready nor ends must not hold up the tests for ever.
        alarm = threading.Timer(30, self._process.kill)
        alarm.start()
        line = self._process.stdout.readline()
        alarm.cancel()
        if not line:
            pytest.fail(f"the host did not start:\n{self.log()}")
        self.ready = json.loads(line)
        return self

    def url(self, path: str) -> str:
        """The absolute URL of a path."""
        return f"{self.ready['url']}{path}"

    def key(self, level: str) -> str:
        """The access key "master", "function" or "system"."""
        return str(json.loads(self.keys_file.read_text())[level])

    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._log_file.read_text(encoding="utf-8")

    def wait_for_log(self, text: str, seconds: float = 15.0) -> None:
        """Wait until a text is in the log."""
        until(lambda: text in self.log(), f"{text!r} in the host's log", seconds)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, seconds: float = 15.0) -> tuple[int, str]:
        """Wait for its end: the exit code and the rest of its stdout."""
        assert self._process is not None
        output, _ = self._process.communicate(timeout=seconds)
        return self._process.returncode, output

    def stop(self) -> tuple[int, str]:
        """End it as the stack does, hard if it does not go."""
        if self._process is None or self._process.poll() is not None:
            return 0, ""
        self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
            pytest.fail(f"the host did not stop:\n{self.log()}")
