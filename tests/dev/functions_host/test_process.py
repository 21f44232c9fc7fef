"""The host as a process: ready line, keys, settings, a start that fails, the end."""

import json
import signal
import threading

import pytest
import requests

from tests.dev.functions_host.conftest import HostFactory
from tests.support.processes import AppHost, until

HELLO = """
import os
import azure.functions as func

print("printed at import")
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("hello")
def hello(req: func.HttpRequest) -> func.HttpResponse:
    print("printed in a function")
    return func.HttpResponse(os.environ.get("GREETING", "hello") + " " + os.path.basename(os.getcwd()))
"""

SLOW = """
import logging
import threading
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("wait/{seconds}")
def wait(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("waiting")
    threading.Event().wait(int(req.route_params["seconds"]))
    return func.HttpResponse("done")
"""


def get(host: AppHost, path: str) -> str:
    return requests.get(host.url + path, timeout=10).text


def test_ready_line_names_the_functions(new_host: HostFactory) -> None:
    assert new_host(HELLO).run().functions() == ["hello"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_host_with_success_and_only_the_ready_line_on_stdout(
    new_host: HostFactory, number: int
) -> None:
    host = new_host(HELLO).run()
    get(host, "/api/hello")
    host.wait_for_log("printed in a function")
    assert host.end(number) == 0
    assert len(host.service.output().splitlines()) == 1


def test_app_runs_in_its_own_directory(new_host: HostFactory) -> None:
    assert get(new_host(HELLO).run(), "/api/hello") == "hello app"


@pytest.mark.parametrize(("environment", "greeting"), [({}, "hi"), ({"GREETING": "hey"}, "hey")])
def test_local_settings_reach_the_app_unless_the_environment_has_them(
    new_host: HostFactory, environment: dict[str, str], greeting: str
) -> None:
    host = new_host(HELLO)
    (host.app / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": {"GREETING": "hi"}}))
    assert get(host.run(**environment), "/api/hello") == f"{greeting} app"


def test_route_prefix_is_taken_from_host_json(new_host: HostFactory) -> None:
    host = new_host(HELLO, {"extensions": {"http": {"routePrefix": ""}}}).run()
    assert get(host, "/hello") == "hello app"


def test_keys_file_is_created_for_its_owner_only(new_host: HostFactory) -> None:
    assert new_host(HELLO).run().keys_file.stat().st_mode & 0o777 == 0o600


def test_keys_file_is_kept(new_host: HostFactory) -> None:
    host = new_host(HELLO)
    keys = {"master": "m", "function": "f", "system": "s"}
    host.keys_file.write_text(json.dumps(keys))
    assert host.run().keys == keys


def test_keys_file_without_a_key_is_refused(new_host: HostFactory) -> None:
    host = new_host(HELLO)
    host.keys_file.write_text(json.dumps({"master": "m", "function": "", "system": "s"}))
    host.start({})
    assert host.end() == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('the app is broken')", "RuntimeError: the app is broken"),
        ("import azure.functions", "0 top level function app instances"),
        (HELLO.replace("req: func.HttpRequest", "request: func.HttpRequest"), "req, request"),
        (HELLO + '@app.queue_trigger("m", "q", "NoSuch")\ndef q(m: func.QueueMessage) -> None: ...\n', "'NoSuch'"),
        (HELLO + '@app.timer_trigger("t", "5 minutes")\ndef t(t: func.TimerRequest) -> None: ...\n', "5 minutes"),
        (HELLO + '@app.blob_trigger("b", "path", "NoSuch")\ndef b(b: func.InputStream) -> None: ...\n', "blobTrigger"),
    ],
    ids=["raises", "no app", "unbound parameter", "no storage", "no schedule", "other binding"],
)
def test_app_that_cannot_be_served_does_not_start_and_the_log_says_why(
    new_host: HostFactory, source: str, reason: str
) -> None:
    host = new_host(source)
    host.start({})
    assert (host.end(), host.service.output()) == (1, "")
    assert reason in host.log()


def test_running_invocation_is_finished_before_the_end(new_host: HostFactory) -> None:
    host = new_host(SLOW).run()
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(get(host, "/api/wait/1")))
    caller.start()
    host.wait_for_log("root: waiting")
    host.end(signal.SIGTERM)
    caller.join()
    assert answers == ["done"]


def test_invocation_that_does_not_end_is_abandoned(new_host: HostFactory) -> None:
    host = new_host(SLOW).run()
    caller = threading.Thread(target=lambda: until(lambda: _refused(host), "the host is gone"))
    caller.start()
    host.wait_for_log("root: waiting")
    code = host.end(signal.SIGTERM)
    caller.join()
    assert code == 0


def _refused(host: AppHost) -> bool:
    try:
        requests.get(f"{host.url}/api/wait/600", timeout=20)
    except requests.ConnectionError:
        return True
    return False
