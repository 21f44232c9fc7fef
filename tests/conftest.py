"""The local stack for tests, and how they are shared out to workers (pytest -n).

Each worker, or the run without any, has services of its own, started when the first test asks for them.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import pytest
from execnet.gateway import Gateway
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from dev.stack.services import Azurite
from dev.stack.stack import Stack
from tests.support.azurite import azurite_command
from tests.support.simulator import Simulator

# How fast the machine is says nothing about the code, and a change is not to fail by the examples of another one.
settings.register_profile("repeatable", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("explore", settings.get_profile("repeatable"), derandomize=False, max_examples=1_000)
settings.load_profile("repeatable")


_TWO_HOSTS = tuple(f"tests/integration/test_{name}.py" for name in ("crashes", "recovery_crashes", "pacing_hosts"))
"""They wait more than they work, and several at once would leave their hosts too little of a small machine."""
_FIRST = (
    *_TWO_HOSTS,
    "tests/api/",
    "tests/browser/",
    "tests/dev/",
    "tests/integration/",
    "tests/infra/",
    "tests/simulation/",
)
"""Begins of paths, those of the longest tests first: what is begun last should be short."""
_ON_ONE_PYTHON = (
    "bad_input",
    "clock_skew",
    "connection",
    "faults",
    "frozen_storage",
    "notices",
    "observe_mode",
    "openings",
    "outages",
    "poller",
    "recovery",
    "remediation_list",
    "see_and_steer",
    "shard_leases",
    "sign_in",
    "sweep",
    "trust",
)
_ONCE = (
    "tests/dev/azure_simulator/",
    "tests/dev/functions_host/",
    "tests/infra/",
    *(f"tests/integration/test_{name}.py" for name in _ON_ONE_PYTHON),
)
"""Begins of paths, those of tests that are all to be marked `once`. The rest leads through every room of the app."""
FAULT_MATRIX = "fault matrix"
"""The property of a test that is a cell of the matrix: the call and the fault."""
_workers: list[int] = []
"""Their process ids, in the process that hands out the tests."""


class FileScheduling(LoadFileScheduling):  # type: ignore[misc] # pytest-xdist comes without types, so mypy takes its classes for Any
    """Gives each worker whole files, for the sake of their fixtures, in the order in which they are collected."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "two hosts" if file in _TWO_HOSTS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileScheduling:
    """Instead of what --dist says."""
    return FileScheduling(config, log)


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first, and mark whole folders."""
    items.sort(key=lambda item: [not item.nodeid.startswith(begin) for begin in _FIRST])
    for item in items:
        if item.nodeid.startswith(_ONCE):
            item.add_marker(pytest.mark.once)


def pytest_configure(config: pytest.Config) -> None:
    """End on SIGTERM as on Ctrl-C: with the teardown of the fixtures, which ends the services."""
    if not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt_once)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """A worker is told to end by the terminal, by the process that hands out the tests, and by execnet."""
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: None)  # not SIG_IGN, which the services of a teardown would inherit
    raise KeyboardInterrupt


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how large the fault matrix is, where its cells were tested (`tests/integration/test_fault_matrix.py`)."""
    cells = {
        cell: report.outcome
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, cell in report.user_properties
        if name == FAULT_MATRIX
    }
    if cells:
        calls, faults = (len(set(names)) for names in zip(*cells, strict=True))
        held = sum(outcome == "passed" for outcome in cells.values())
        terminalreporter.line(f"fault matrix: {calls} calls x {faults} faults, {held} of {len(cells)} cells hold")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_newgateway(gateway: Gateway) -> None:
    """Remember the worker."""
    _workers.append(gateway.remote_exec("import os; channel.send(os.getpid())").receive())


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt() -> None:
    """Tell the workers at once: left to pytest-xdist, they would go on for 5 s, and be killed after 10 s."""
    for process_id in _workers:
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGTERM)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, not started."""
    # People may sign in, as if App Service's authentication were on: what it adds to requests, the tests add.
    sign_in = {"SIGN_IN": "Entra", "WEBSITE_AUTH_ENABLED": "True"}
    stack = Stack(tmp_path_factory.mktemp("stack"), azurite_command(), sys.executable, os.environ, **sign_in)
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def azurite(services: Stack) -> Azurite:
    """Running Azurite. A test that stops it starts it again: ports and data stay."""
    services.azurite.start()
    services.azurite.wait()
    return services.azurite


@pytest.fixture(scope="session")
def connection_string(azurite: Azurite) -> str:
    """For the storage SDKs."""
    return azurite.connection_string


@pytest.fixture(scope="session")
def running_azure(services: Stack) -> Simulator:
    """The simulated Azure, with whatever was registered before."""
    services.simulator.start()
    services.simulator.wait()
    return Simulator(services.simulator.ready)


@pytest.fixture
def simulator(running_azure: Simulator) -> Simulator:
    """The simulated Azure, as freshly started."""
    running_azure.control("POST", "reset")
    return running_azure


@pytest.fixture
def in_azure(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """The environment of an app with a managed identity: settings alone lead to the simulator."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", simulator.ready["identityEndpoint"])
    monkeypatch.setenv("IDENTITY_HEADER", simulator.ready["identityHeader"])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", simulator.ready["ca"])
    return simulator


@pytest.fixture(scope="module")
def running_stack(services: Stack, azurite: Azurite, running_azure: Simulator) -> Iterator[Stack]:
    """Azurite, simulated Azure, and a host with the app in it: it would announce what tests after it leave there."""
    services.host.start(services.app_settings())
    services.host.wait()
    yield services
    services.host.stop()


@pytest.fixture
def stack(running_stack: Stack, simulator: Simulator) -> Stack:
    """The whole stack, the simulated Azure as freshly started."""
    return running_stack
