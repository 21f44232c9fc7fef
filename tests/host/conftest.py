"""Services and hosts for host tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.host.processes import Azurite, Host

HostFactory = Callable[..., Host]


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite for all tests that do not stop it."""
    emulator = Azurite(tmp_path_factory.mktemp("azurite"))
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.stop()


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[HostFactory]:
    """Makes a host (not started) that ends with the test."""
    made: list[Host] = []

    def make(source: str, host_json: Mapping[str, Any] | None = None) -> Host:
        made.append(Host(tmp_path, source, host_json))
        return made[-1]

    yield make
    for host in made:
        host.stop()
