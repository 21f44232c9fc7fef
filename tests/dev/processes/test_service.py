"""Services: ready or explained, and gone when they are ended, with everything that they started."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.processes.errors import Failure
from dev.processes.service import PROJECT, Service, stop_all

PARENT_OF_ANOTHER = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service("The service", tmp_path / "logs" / "service.log")
    yield service
    service.stop()


def run(service: Service, code: str, *, log_stdout: bool = False) -> None:
    service.start([sys.executable, "-c", code], os.environ, log_stdout=log_stdout)


def output(service: Service) -> str | None:
    return service.output() if service.output().endswith("\n") else None


def is_gone(process_id: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True)
    except FileNotFoundError:
        # Only a look from outside tells whether a process is left, and slim images come without ps.
        pytest.skip("there is no ps on this machine to look with")
    return state.stdout.strip() in ("", "Z", "Zs")


def wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 10
    while not is_gone(process_id):
        assert time.monotonic() < deadline, f"process {process_id} is still there"
        threading.Event().wait(0.05)


@pytest.mark.parametrize("log_stdout", [False, True])
def test_what_a_service_writes_is_its_output(service: Service, log_stdout: bool) -> None:
    run(service, "print('ready', flush=True); import signal; signal.pause()", log_stdout=log_stdout)
    assert service.wait(lambda: output(service)) == "ready\n"
    assert service.running


def test_after_a_restart_only_the_new_output_is_there(service: Service) -> None:
    for words in ("one", "two"):
        run(service, f"print({words!r}, flush=True); import signal; signal.pause()", log_stdout=True)
        assert service.wait(lambda: output(service)) == f"{words}\n"
        service.stop()
    assert service.log.read_text() == "one\ntwo\n"


def test_a_service_that_ends_too_soon_is_explained_by_its_log(service: Service) -> None:
    run(service, "import sys; print('port 1 is taken', file=sys.stderr); sys.exit(3)")
    with pytest.raises(Failure) as failure:
        service.wait(lambda: output(service))
    for part in ("The service", "exit code 3", "port 1 is taken", str(service.log)):
        assert part in str(failure.value)


def test_a_service_that_never_gets_ready_is_named(service: Service) -> None:
    run(service, "import signal; signal.pause()")
    with pytest.raises(Failure, match=r"The service is not ready after 0 s\. It said nothing"):
        service.wait(lambda: output(service), seconds=0.1)


def test_last_words_before_the_end_count_as_ready(service: Service) -> None:
    run(service, "print('done', flush=True)")
    assert service.wait(lambda: output(service)) == "done\n"


def test_what_does_not_end_when_asked_is_ended_with_all_that_it_started(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dev.processes.service._STOP_TIMEOUT", 0.2)
    run(service, PARENT_OF_ANOTHER)
    grandchild = int(service.wait(lambda: output(service)))
    child = service.process.pid
    stop_all([service])
    wait_until_gone(child)
    wait_until_gone(grandchild)


def test_to_stop_what_is_not_started_is_no_error(service: Service) -> None:
    service.stop()
    assert not service.running


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_when_the_command_is_killed_then_its_services_end(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from dev.processes.service import Service\n"
        "service = Service('x', Path(sys.argv[1]))\n"
        "waiting = 'print(1, flush=True); import signal; signal.pause()'\n"
        "service.start([sys.executable, '-c', waiting], os.environ)\n"
        "service.wait(lambda: service.output() or None)\n"
        "print(service.process.pid, flush=True); signal.pause()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        service = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(service)
