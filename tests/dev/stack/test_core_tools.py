"""The stack with Core Tools instead of the local host; a stand-in plays `func`."""

import os
import sys
from pathlib import Path

import pytest

from dev.processes.errors import Failure
from dev.stack.services import Host
from dev.stack.stack import core_tools

FUNC = f"""#!{sys.executable}
import http.server, json, os, sys

assert sys.argv[1:3] == ["start", "--port"]

class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        Handler.asked += 1
        state = "Running" if Handler.asked > 2 else "Initializing"
        self.answer(200, {{"path": self.path, "state": state}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        print(self.path, self.headers["aeg-event-type"], body, os.environ["SETTING"], flush=True)
        self.answer(202, {{}})

    def answer(self, status, document):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

http.server.HTTPServer(("127.0.0.1", int(sys.argv[3])), Handler).serve_forever()
"""


def install(directory: Path, script: str) -> dict[str, str]:
    func = directory / "func"
    func.write_text(script)
    func.chmod(0o755)
    return {**os.environ, "PATH": str(directory)}


def test_func_is_taken_where_it_is_installed(tmp_path: Path) -> None:
    environment = install(tmp_path, FUNC)
    assert core_tools("auto", environment) == str(tmp_path / "func")
    assert core_tools("func", environment) == str(tmp_path / "func")
    assert core_tools("local", environment) is None


def test_without_func_auto_means_the_local_host_and_func_is_an_error(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path)}
    assert core_tools("auto", environment) is None
    with pytest.raises(Failure, match="no func on PATH"):
        core_tools("func", environment)


def test_func_gets_settings_and_events_once_it_runs(tmp_path: Path) -> None:
    environment = install(tmp_path, FUNC)
    host = Host(sys.executable, core_tools("auto", environment), environment, tmp_path)
    try:
        host.start({"SETTING": "from the stack"})
        host.wait()
        assert host.post_event({"id": "1"}).status_code == 202
        assert host.keys == {}
    finally:
        host.stop()
    assert "Notification [{'id': '1'}] from the stack" in host.service.log.read_text()


def test_when_func_fails_then_its_words_and_the_way_without_it_are_shown(tmp_path: Path) -> None:
    environment = install(tmp_path, "#!/bin/sh\necho cannot download the extension bundle\nexit 1\n")
    host = Host(sys.executable, core_tools("auto", environment), environment, tmp_path)
    try:
        host.start({})
        with pytest.raises(Failure, match=r"(?s)cannot download the extension bundle.*--host local"):
            host.wait()
    finally:
        host.stop()
