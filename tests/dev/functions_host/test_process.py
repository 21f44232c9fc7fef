"""The host as a process: ready line, keys, settings, start that fails, end."""

from __future__ import annotations

import json
import signal
import threading

import pytest
import requests

from tests.dev.functions_host.conftest import HostFactory
from tests.dev.functions_host.processes import Host, until

HELLO = """
import os
import azure.functions as func

print("printed at import")
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("hello")
def hello(req: func.HttpRequest) -> str:
    print("printed in a function")
    return os.environ.get("GREETING", "hello") + " " + os.path.basename(os.getcwd())
"""

SLOW = """
import logging
import threading
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("wait/{seconds:int}")
def wait(req: func.HttpRequest) -> str:
    logging.info("waiting")
    threading.Event().wait(int(req.route_params["seconds"]))
    return "done"
"""

THREADS = """
import threading
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
running = []
most = [0]


@app.route("work")
def work(req: func.HttpRequest) -> str:
    running.append(1)
    most[0] = max(most[0], len(running))
    threading.Event().wait(0.1)
    running.pop()
    return str(most[0])
"""


def get(host: Host, path: str) -> str:
    return requests.get(host.url(path), timeout=10).text


def test_ready_line_names_the_functions(new_host: HostFactory) -> None:
    assert new_host(HELLO).start().ready["functions"] == ["hello"]


def test_what_the_app_prints_does_not_reach_stdout(new_host: HostFactory) -> None:
    host = new_host(HELLO).start()
    get(host, "/api/hello")
    assert host.stop() == (0, "")


def test_what_the_app_prints_reaches_stderr(new_host: HostFactory) -> None:
    host = new_host(HELLO).start()
    get(host, "/api/hello")
    host.wait_for_log("printed in a function")


def test_app_runs_in_its_own_directory(new_host: HostFactory) -> None:
    assert get(new_host(HELLO).start(), "/api/hello") == "hello app"


def test_local_settings_reach_the_app(new_host: HostFactory) -> None:
    host = new_host(HELLO)
    (host.app / "local.settings.json").write_text(json.dumps({"Values": {"GREETING": "hi"}}))
    assert get(host.start(), "/api/hello") == "hi app"


def test_environment_wins_over_local_settings(new_host: HostFactory) -> None:
    host = new_host(HELLO)
    (host.app / "local.settings.json").write_text(json.dumps({"Values": {"GREETING": "hi"}}))
    assert get(host.start({"GREETING": "hey"}), "/api/hello") == "hey app"


def test_route_prefix_is_taken_from_host_json(new_host: HostFactory) -> None:
    host = new_host(HELLO, {"extensions": {"http": {"routePrefix": ""}}}).start()
    assert get(host, "/hello") == "hello app"


def test_keys_file_is_created_for_its_owner_only(new_host: HostFactory) -> None:
    host = new_host(HELLO).start()
    assert host.keys_file.stat().st_mode & 0o777 == 0o600


def test_keys_file_is_kept(new_host: HostFactory) -> None:
    host = new_host(HELLO)
    keys = {"master": "m", "function": "f", "system": "s"}
    host.keys_file.write_text(json.dumps(keys))
    host.start()
    assert json.loads(host.keys_file.read_text()) == keys


def test_keys_file_without_a_key_is_refused(new_host: HostFactory) -> None:
    host = new_host(HELLO)
    host.keys_file.write_text(json.dumps({"master": "m", "function": "", "system": "s"}))
    host.launch()
    assert host.wait()[0] == 1


def test_keys_without_a_file_are_in_the_ready_line(new_host: HostFactory) -> None:
    assert sorted(new_host(HELLO).start(keys=False).ready["keys"]) == ["function", "master", "system"]


def test_disabled_function_is_not_served(new_host: HostFactory) -> None:
    assert new_host(HELLO).start({"AzureWebJobs.hello.Disabled": "true"}).ready["functions"] == []


def test_function_with_an_unset_setting_is_left_out(new_host: HostFactory) -> None:
    timer = '@app.timer_trigger(arg_name="t", schedule="%UNSET%")\ndef tick(t: func.TimerRequest) -> None: ...\n'
    assert new_host(HELLO + "\n\n" + timer).start().ready["functions"] == ["hello"]


def test_function_without_its_storage_is_left_out(new_host: HostFactory) -> None:
    queue = '@app.queue_trigger(arg_name="m", queue_name="q", connection="NoSuch")\ndef q(m: str) -> None: ...\n'
    assert new_host(HELLO + "\n\n" + queue).start().ready["functions"] == ["hello"]


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('the app is broken')",
        "import azure.functions",
        HELLO.replace("req: func.HttpRequest", "request: func.HttpRequest"),
        HELLO.replace("req: func.HttpRequest", "req: func.QueueMessage"),
        HELLO.replace("-> str", "-> int"),
    ],
    ids=["raises", "no app", "unbound parameter", "wrong trigger type", "wrong return type"],
)
def test_app_that_the_worker_would_refuse_does_not_start(new_host: HostFactory, source: str) -> None:
    host = new_host(source)
    host.launch()
    assert host.wait() == (1, "")


def test_start_that_fails_says_why(new_host: HostFactory) -> None:
    host = new_host("raise RuntimeError('the app is broken')")
    host.launch()
    host.wait()
    assert "RuntimeError: the app is broken" in host.log()


def test_thread_count_bounds_sync_functions(new_host: HostFactory) -> None:
    host = new_host(THREADS).start({"PYTHON_THREADPOOL_THREAD_COUNT": "2"})
    answers: list[str] = []
    callers = [threading.Thread(target=lambda: answers.append(get(host, "/api/work"))) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert max(answers) == "2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_host_with_success(new_host: HostFactory, number: int) -> None:
    host = new_host(HELLO).start()
    host.signal(number)
    assert host.wait()[0] == 0


def test_running_invocation_is_finished_before_the_end(new_host: HostFactory) -> None:
    host = new_host(SLOW).start()
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(get(host, "/api/wait/1")))
    caller.start()
    host.wait_for_log("root: waiting")
    host.stop()
    caller.join()
    assert answers == ["done"]


def test_invocation_that_does_not_end_is_abandoned(new_host: HostFactory) -> None:
    host = new_host(SLOW).start()
    caller = threading.Thread(target=lambda: until(lambda: _refused(host), "the host is gone"))
    caller.start()
    host.wait_for_log("root: waiting")
    host.signal(signal.SIGTERM)
    code, _ = host.wait(12)
    caller.join()
    assert code == 0


def _refused(host: Host) -> bool:
    try:
        requests.get(host.url("/api/wait/600"), timeout=20)
    except requests.ConnectionError:
        return True
    return False
