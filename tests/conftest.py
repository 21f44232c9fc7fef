"""The local stack for tests: each service is started once per run, when the first test asks for it."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from dev.stack.services import Azurite
from dev.stack.stack import Stack
from tests.support.azurite import azurite_command
from tests.support.simulator import Simulator

# How fast the machine is says nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C: with the teardown of the fixtures, which ends the services."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last come the tests that want the running host: from then on it announces what they leave to it."""
    items.sort(key=lambda item: "running_stack" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, not started."""
    stack = Stack(tmp_path_factory.mktemp("stack"), azurite_command(), sys.executable, os.environ)
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


@pytest.fixture(scope="session")
def running_stack(services: Stack, azurite: Azurite, running_azure: Simulator) -> Stack:
    """Azurite, simulated Azure, and a host with the app in it."""
    services.host.start(services.app_settings())
    services.host.wait()
    return services


@pytest.fixture
def stack(running_stack: Stack, simulator: Simulator) -> Stack:
    """The whole stack, the simulated Azure as freshly started."""
    return running_stack
