"""The processes that host tests start: Azurite and the host, each ended by the test that started it."""

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

REPOSITORY = Path(__file__).resolve().parents[2]
# Azurite's documented account, the same for everybody.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


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


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Azurite:
    """The storage emulator; it can be stopped and started again on the same ports and data."""

    def __init__(self, directory: Path) -> None:
        """Keeps its data in `directory`."""
        self._directory = directory
        self._ports = free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connection_string(self) -> str:
        """For AzureWebJobsStorage."""
        services = zip(("Blob", "Queue", "Table"), self._ports, strict=True)
        endpoints = [f"{name}Endpoint=http://127.0.0.1:{port}/devstoreaccount1" for name, port in services]
        account = [
            "DefaultEndpointsProtocol=http",
            "AccountName=devstoreaccount1",
            f"AccountKey={ACCOUNT_KEY}",
        ]
        return ";".join(account + endpoints) + ";"

    def start(self) -> None:
        """Start it and wait until all three services answer."""
        blob, queue, table = map(str, self._ports)
        ports = ["--blobPort", blob, "--queuePort", queue, "--tablePort", table]
        options = ["--silent", "--loose", "--skipApiVersionCheck", "--disableTelemetry"]
        self._process = subprocess.Popen(
            [_azurite_executable(), "--location", str(self._directory), *ports, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: all(map(_answers, self._ports)), "Azurite answers", 30)

    def stop(self) -> None:
        """Stop it and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)
            self._process = None


def _azurite_executable() -> str:
    default = REPOSITORY / ".dev" / "azurite" / "node_modules" / ".bin" / "azurite"
    executable = os.environ.get("AZURITE") or str(default)
    if not Path(executable).exists():
        pytest.fail(f"Azurite is not at {executable}: `python3 -m dev test` installs it, AZURITE names another")
    return executable


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
        command = [sys.executable, "-m", "dev.host", "--app", str(self.app), "--port", "0"]
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
