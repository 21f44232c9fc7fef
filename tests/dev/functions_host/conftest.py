"""Hosts and storage for tests of the host."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dev.stack.services import Azurite
from tests.support.azurite import azurite_command
from tests.support.processes import AppHost

HostFactory = Callable[..., AppHost]


@pytest.fixture
def own_azurite(tmp_path: Path) -> Iterator[Azurite]:
    """A running Azurite of this test's own, for a test that stops it."""
    emulator = Azurite(azurite_command(), os.environ, tmp_path)
    try:
        emulator.start()
        emulator.wait()
        yield emulator
    finally:
        emulator.stop()


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[HostFactory]:
    """Makes a host (not started) that ends with the test."""
    made: list[AppHost] = []

    def make(source: str, host_json: Mapping[str, Any] | None = None) -> AppHost:
        made.append(AppHost(tmp_path, source, host_json))
        return made[-1]

    yield make
    for host in made:
        host.stop()
